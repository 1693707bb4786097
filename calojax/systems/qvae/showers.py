"""Showers between lists of hits, the grid of the networks and latent bits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import smoothing
from calojax.systems.qvae import bits, conditioning, dispersion, marginals, transform
from calojax.systems.qvae.config import Config
from calojax.systems.qvae.constants import Constants
from calojax.systems.qvae.models import decoded, decoders, direct, encoder, plan
from calojax.systems.qvae.models.decoded import Decoded
from calojax.systems.qvae.models.encoder import Latents


class Showers(NamedTuple):
    """A tile of T showers: u (T, Z, A, R) transformed voxels; channel (T,) and bits (T, n) of the incident energy."""

    u: Array
    channel: Array
    bits: Array


def of_hits(tile: dict[str, Array], nodes: int, known: Constants) -> Showers:
    """From the loader's lists of one tile: incident_energy (T,), hit.cell|energy|row (C,)."""
    incident, row = tile["incident_energy"], tile["hit.row"]
    showers, cells = len(incident), known.there.size
    u = transform.transform(tile["hit.energy"], incident[jnp.minimum(row, showers - 1)])
    at = jnp.where(row < showers, row * cells + known.place[tile["hit.cell"]], showers * cells)
    u = jnp.zeros(showers * cells).at[at].set(u, mode="drop")
    return Showers(u.reshape(showers, *known.there.shape), *conditions(incident, nodes, known))


def of_cells(incident_energy: Array, showers: Array, nodes: int, known: Constants) -> Showers:
    """From dense showers (T, V), MeV."""
    empty = jnp.zeros((len(showers), known.there.size))
    u = empty.at[:, known.place].set(transform.transform(showers, incident_energy))
    return Showers(u.reshape(-1, *known.there.shape), *conditions(incident_energy, nodes, known))


def encode(params, true: Showers, noise: Array | None, sharpness, config: Config, known: Constants) -> Latents:
    """Posterior of the latent bits: logits and samples (T, 3, n)."""
    usual = marginals.at(params["marginals"], true.channel)
    u = (true.u - jax.nn.sigmoid(usual.hit_logits) * usual.u) / known.scale[0]  # about 1 for a hit where there is none
    straight = direct.logits(params["direct"], u) if config.model.direct else 0.0
    plan = chains(config, known)
    return encoder.encode(params["encoder"], plan, u, true.channel, true.bits, noise, sharpness, straight)


def decode(params, latent: Array, channel: Array, config: Config, known: Constants) -> Decoded:
    """latent (T, 4, n) -> hit logits and transformed energies (T, Z, A, R)."""
    said = decoders.decode(params["decoder"], chains(config, known), config.model, latent, channel)
    if config.model.direct:
        said = Decoded(*map(jnp.add, said, direct.heads(params["direct"], latent[:, 1:])))
    usual = marginals.at(params["marginals"], channel)
    return Decoded(usual.hit_logits + said.hit_logits, usual.u + known.scale[1] * said.energies)


def drawn(said: Decoded, phi: Array | None, incident_energy: Array, keys: Array, known: Constants) -> Array:
    """Showers (T, V), MeV, with hits, and unless phi is None their energies, drawn; phi (T, Z, A, R), see `dispersion`;
    keys (T,)."""
    on_cells = lambda grid: grid.reshape(len(incident_energy), -1)[:, known.place]
    of_hits, of_energies = jax.vmap(jax.random.split, out_axes=1)(keys)
    noise = jax.vmap(lambda key: smoothing.logistic(key, (len(known.place),)))(of_hits)
    said = Decoded(*map(on_cells, said))
    u = decoded.showers(said, smoothing.sample(said.hit_logits, noise, smoothing.HARD))
    energy = transform.inverse(u, incident_energy)
    if phi is None:
        return energy
    most = jnp.nextafter(incident_energy, jnp.zeros_like(incident_energy))  # with less than all it can be encoded again
    return jnp.minimum(energy * dispersion.factors(on_cells(phi), u, of_energies), most[:, None])


def chains(config: Config, known: Constants) -> plan.Plan:
    """The layers of the networks for this grid."""
    layers, sectors, rings = known.there.shape
    return plan.build((layers, sectors, rings), config.model.heads)


def conditions(incident_energy: Array, nodes: int, known: Constants) -> tuple[Array, Array]:
    """Channel (T,) and bits (T, n) of incident energies (T,), MeV."""
    code = bits.encode(known.code, known.tables, incident_energy, nodes)
    return conditioning.channel(incident_energy, *known.energies), code
