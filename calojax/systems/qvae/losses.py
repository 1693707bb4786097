"""The losses: of the autoencoder, with a regularised posterior, and of the prior. Sums over showers; means in the logs.

Of a shower, with u its transformed voxels, q the posterior's probabilities and p0 the bits of its incident energy:

    energy         sum 16 exp(v / 2) sinh^2((v - v^) / 4),   v = `log_energy` of u, v^ of what is said where hits are
    hits           sum of binary cross-entropies of the hit logits
    entropy        sum q ln q + (1 - q) ln(1 - q), minus the exact entropy of the posterior
    prior_energy   E(p0, zeta) of the smoothed samples, the prior's parameters given

Entropy and prior energy together are the divergence of posterior from prior, but for the prior's log Z, which only the
prior's own parameters change: its loss moves those.

The energy's term is the deviance of a compound Poisson-gamma distribution (Tweedie's with power 3/2) of exp(v), which
is linear in the energy: its best v^ has the mean energy, so that layers and showers keep theirs. To second order, and
where a voxel has little of the energy, it is the published exp(u / 2) (u - u^)^2, whose best u^ has too much.

Source: the CaloQVAE line (arXiv:2410.22870); the deviance: Jorgensen, J. R. Stat. Soc. B 49 (1987) 127.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from calojax.nn import smoothing
from calojax.nn.boltzmann import gibbs, gradients, machine
from calojax.system import Loss, Model
from calojax.systems.qvae import dispersion, latent, showers
from calojax.systems.qvae.config import Config
from calojax.systems.qvae.constants import Constants
from calojax.systems.qvae.models import decoded
from calojax.systems.qvae.models.encoder import LEVELS
from calojax.systems.qvae.showers import Showers
from calojax.training.tiles import side_by_side, sum_over_tiles

TERMS = ("energy", "hits", "entropy", "prior_energy")


def autoencoder(params: Any, model: Model, batch: dict[str, Array], key: Array, config: Config) -> Loss:
    """Encoder and decoder; the sharpness of the bits follows the number of the step, which is part of the state."""
    known, step = model.constants, model.state["step"]

    def of_tile(tile, key):
        terms = _terms(params, tile, key, step, config, known)
        return {name: jnp.sum(term * tile["weight"]) for name, term in terms.items()}

    sums = sum_over_tiles(of_tile, batch, jax.random.split(key, batch["weight"].shape[0]))
    weights = {"hits": 1.0} | {name: getattr(config.losses, name) for name in TERMS if name != "hits"}
    total = sum(weights[name] * term for name, term in sums.items())
    return Loss(total, jnp.sum(batch["weight"]), model.state | {"step": step + 1}, sums)


def prior(params: Any, model: Model, batch: dict[str, Array], key: Array, config: Config) -> Loss:
    """Persistent contrastive divergence on bits of the posterior; the chains are part of the state."""
    known, weight = model.constants, batch["weight"]
    of_noise, of_chains = jax.random.split(key)
    fixed = jax.lax.stop_gradient((params, known))
    data = side_by_side(
        partial(_encoded, config=config), len(weight), fixed, batch, jax.random.split(of_noise, len(weight))
    )
    data = data.reshape(-1, *data.shape[2:])
    given = latent.given(params, known)
    begun = gradients.persistent(model.state["chains"], data[:, 0])
    keys = jax.random.split(of_chains, len(begun))
    chains = side_by_side(partial(_moved, config=config), len(weight), fixed, begun, keys)
    flat = weight.ravel()
    loss = gradients.contrastive_loss(
        latent.plain(params, known),
        data,
        chains,
        weight=flat,
        sample_weight=flat[jnp.arange(len(chains)) % len(flat)],
    )
    energies = {
        "energy_of_posterior": jnp.sum(machine.conditional_energy(given, data) * flat),
        "energy_of_chains": jnp.mean(machine.conditional_energy(given, chains)) * jnp.sum(flat),
    }
    return Loss(loss * jnp.sum(flat), jnp.sum(flat), model.state | {"chains": chains}, energies)


def _encoded(fixed: tuple, batch: dict[str, Array], keys: Array, *, config: Config) -> Array:
    """Bits (S, T, 4, n) of the posterior of S tiles; fixed: parameters and constants."""
    params, known = fixed

    def of_tile(given):
        tile, key = given
        true = showers.of_hits(tile, config.model.nodes, known)
        return latent.posterior(params, true, _noise(key, true), config, known)

    return jax.lax.map(of_tile, (batch, keys))


def _moved(fixed: tuple, chains: Array, keys: Array, *, config: Config) -> Array:
    """The chains (C, 4, n) after the sweeps of a step."""
    params, known = fixed
    return gibbs.sample(latent.given(params, known), chains, keys, config.prior.sweeps, lists=known.lists)


def _terms(params, tile, key, step, config: Config, known: Constants) -> dict[str, Array]:
    """Terms of the loss of each shower of a tile, (T,)."""
    true = showers.of_hits(tile, config.model.nodes, known)
    hold, end = (round(share * config.training.steps) for share in (config.smoothing.hold, config.smoothing.end))
    sharpness = smoothing.sharpness(step, hold, end - hold)
    found = showers.encode(params, true, _noise(key, true), sharpness, config, known)
    smoothed = latent.joined(true.bits, found.samples)
    said = showers.decode(params, smoothed, true.channel, config, known)
    hit = (true.u > 0).astype(jnp.float32)
    made = decoded.showers(said, hit, smoothing.leak(step, hold, end - hold))
    cells = lambda grid: jnp.sum(jnp.where(known.there, grid, 0.0), (1, 2, 3))
    terms = {
        "energy": cells(dispersion.deviance(true.u, made)),
        "hits": cells(optax.sigmoid_binary_cross_entropy(said.hit_logits, hit)),
        "entropy": -jnp.sum(_entropy(found.logits), (1, 2)),
    }
    if config.losses.prior_energy:
        terms["prior_energy"] = machine.conditional_energy(latent.given(params, known), smoothed)
    return terms


def _entropy(logits: Array) -> Array:
    """Of Bernoulli variables, in nats."""
    return jax.nn.softplus(logits) - logits * jax.nn.sigmoid(logits)


def _noise(key: Array, true: Showers) -> Array:
    """Logistic, for every bit but those of the energy."""
    return smoothing.logistic(key, (len(true.channel), LEVELS, true.bits.shape[1]))
