"""The qvae as a system: what the shared rooms ask of it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax import geometry, shards
from calojax.errors import InputError
from calojax.evaluation.schema import Metric
from calojax.files import calochallenge, layouts
from calojax.files.atlas import reading as atlas
from calojax.nn import sets, smoothing
from calojax.nn.boltzmann import gradients, machine
from calojax.shards import Loader, Shards
from calojax.system import Fit, Model, Phase, Sparse, Update
from calojax.systems.qvae import constants as fixed
from calojax.systems.qvae import dispersion, evaluation, latent, losses, marginals, preparation, showers, transform
from calojax.systems.qvae.config import Config
from calojax.systems.qvae.models import decoders, direct, encoder
from calojax.training import optimiser

NAME = "qvae"
LEVELS, PARTITIONS = encoder.LEVELS, latent.PARTITIONS


def prepare(sources: list[Path], out: Path, config: Config) -> shards.Manifest:
    """CaloChallenge or ATLAS voxel files -> shards."""
    return preparation.prepare(sources, out, config.data)


def init(key: Array, config: Config, manifest: shards.Manifest) -> Model:
    """Fresh parameters; chains of random bits; the constants of the manifest."""
    known, n = constants(config, manifest), config.model.nodes
    plan = showers.chains(config, known)
    keys = jax.random.split(key, 5)
    params = {
        "encoder": encoder.init(keys[0], plan, config.model),
        "decoder": decoders.init(keys[1], plan, config.model),
        "marginals": marginals.unknown(plan.grid, known.scale[0]),
        "dispersion": dispersion.unknown(plan.grid),
        "prior": machine.init(keys[2], n, mask=known.mask),
        "frequencies": jnp.full((PARTITIONS, n), 0.5),
        "offsets": jnp.full((PARTITIONS, n), 0.5),
    }
    if config.model.direct:
        params["direct"] = direct.init(keys[4], plan.grid, n)
    chains = jax.random.bernoulli(keys[3], 0.5, (config.prior.chains, PARTITIONS, n)).astype(jnp.uint8)
    return Model(params, {"step": jnp.zeros((), jnp.int32), "chains": chains}, known)


def constants(config: Config, manifest: shards.Manifest) -> fixed.Constants:
    """What the manifest says of geometry and energies, and the couplings of the prior."""
    return fixed.build(config, manifest)


def phases(config: Config) -> tuple[Phase | Fit, ...]:
    """What each voxel does on its own, the autoencoder, what it makes of the data, the prior; or autoencoder and
    prior in every step."""
    of_autoencoder = Update("autoencoder", losses.autoencoder, trainable=("encoder", "decoder", "direct"))
    of_prior = Update("prior", losses.prior, trainable=("prior",), optimiser=partial(_adam, config))
    voxels = Fit("marginals", _marginals)
    encoded = Fit("encoded", partial(_encoded, begin_prior=not config.joint))
    steps = config.training.steps
    if config.joint:
        return (voxels, Phase("joint", steps, (of_autoencoder, of_prior)), encoded)
    prior = (Phase("prior", config.prior.steps, (of_prior,)),) if config.prior.steps else ()
    return (voxels, Phase("autoencoder", steps, (of_autoencoder,)), encoded, *prior)


def buckets(config: Config, manifest: shards.Manifest) -> dict[str, tuple[int, ...]]:
    """One capacity, which holds every tile of the data."""
    tile, most = config.training.tile, int(manifest.statistics["most hits"])
    cells = geometry.from_json(manifest.geometry).n_cells
    return {"hit": (tile * most, tile * cells) if most < cells else (tile * cells,)}


def generate(model: Model, conditions: dict[str, Array], keys: Array, config: Config, capacity: int) -> Sparse:
    """Showers of one tile: conditions["incident_energy"] (T,), MeV, and the showers to reconstruct, if any."""
    known, incident = model.constants, conditions["incident_energy"].astype(jnp.float32)
    of_bits, of_cells = jax.vmap(jax.random.split, out_axes=1)(keys)
    if config.generation.latent == "posterior":
        if "showers" not in conditions:
            raise InputError(
                where="generation.latent",
                found="is posterior, without showers",
                rule="a reconstruction needs the showers to reconstruct",
                remedy="give a file of them by --conditions",
            )
        true = showers.of_cells(incident, conditions["showers"], config.model.nodes, known)
        noise = jax.vmap(lambda key: smoothing.logistic(key, (LEVELS, true.bits.shape[1])))(of_bits)
        channel, drawn = true.channel, latent.posterior(model.params, true, noise, config, known)
    else:
        channel, bits = showers.conditions(incident, config.model.nodes, known)
        if config.generation.latent == "naive":
            drawn = latent.naive(model.params, bits, of_bits)
        else:
            drawn = latent.prior(model.params, bits, of_bits, config.generation.sweeps, known)
    said = showers.decode(model.params, drawn.astype(jnp.float32), channel, config, known)
    phi = dispersion.at(model.params["dispersion"], channel) if config.generation.fluctuations else None
    energy = showers.drawn(said, phi, incident, of_cells, known)
    flat = sets.places(energy.ravel() > 0, capacity)
    there = jnp.minimum(flat, energy.size - 1)
    value = jnp.where(flat < energy.size, energy.ravel()[there], 0.0)
    count = jnp.sum(energy > 0, 1, dtype=jnp.int32)
    return Sparse((there % energy.shape[1]).astype(jnp.int32), value, count, jnp.sum(count) > capacity)


def capacities(config: Config, known: fixed.Constants) -> tuple[int, ...]:
    """One, which holds every cell."""
    tile: Any = config.generation.tile
    return (tile * len(known.place),)


def expected_capacity(config: Config, known: fixed.Constants, conditions: dict[str, np.ndarray]) -> int:
    """The only one."""
    return 0


def conditions(path: Path, config: Config, manifest: shards.Manifest) -> dict[str, np.ndarray]:
    """Incident energies (N,), MeV, of an ATLAS or CaloChallenge file; its showers (N, V) too for a reconstruction.

    The places of the particles in a raw ATLAS file do not change the showers; they go with them into a file.
    """
    is_atlas = layouts.reader(path).name == "atlas"
    places = atlas.read_places(path) if is_atlas else {}
    if config.generation.latent == "posterior":
        found = preparation.read(path, geometry.from_json(manifest.geometry), config.data)
        transform.check(found.showers, found.incident_energy, str(path))
        return {"incident_energy": found.incident_energy, "showers": found.showers} | places
    read = atlas.read_energies if is_atlas else calochallenge.read_energies
    return {"incident_energy": read(path)} | places


def evaluate(
    model: Model, reference: Any, config: Config, manifest: shards.Manifest, level: str
) -> tuple[dict[str, Metric], dict[str, np.ndarray]]:
    """Metrics and curves of latent bits (`evaluation`); reference: a file, or (incident energies (N,), showers (N, V)),
    MeV, of which those that cannot be encoded are left out."""
    if isinstance(reference, (str, Path)):
        reference = preparation.read(Path(reference), geometry.from_json(manifest.geometry), config.data)
    incident, cells = np.asarray(reference[0]).reshape(-1), np.asarray(reference[1])
    whole = transform.takes(cells, incident)
    if whole.sum() < 2:
        rule, remedy = "the bits of two halves are compared", "give more showers, or leave the run away"
        raise InputError(where="the reference", found=f"has {whole.sum()} showers to encode", rule=rule, remedy=remedy)
    return evaluation.evaluate(model, config, incident[whole], cells[whole], level)


def _adam(config: Config, training: Any, steps: int) -> Any:
    peak = config.prior.learning_rate
    given = replace(training, learning_rate=peak, final_learning_rate=min(peak, training.final_learning_rate))
    return gradients.adam(optimiser.schedule(given, steps), config.prior.decay)


def _marginals(data: Shards, params: Any, config: Config) -> Any:
    """How often each voxel is hit and with what mean energy, at some incident energies."""
    known = constants(config, data.manifest)

    @jax.jit
    def of_tile(tile, _):
        true = showers.of_hits(tile, config.model.nodes, known)
        return marginals.sums(true.u, true.channel, tile["weight"])

    return params | {"marginals": marginals.of(_summed(of_tile, data, config), float(known.scale[0]))}


def _encoded(data: Shards, params: Any, config: Config, *, begin_prior: bool) -> Any:
    """How often each bit is 1 in the posterior of the showers, and how far their energies lie from the decoder's.

    A prior that is still to be trained begins about these frequencies, with biases that say them and without couplings.
    """
    known, rows = constants(config, data.manifest), _rows(data, config)
    count = jax.jit(partial(_count, config=config))  # parameters given, not part of the program
    ones, energies = _summed(lambda tile, number: count(params, tile, known, number), data, config)
    found = params | {"frequencies": (often := ones / rows), "dispersion": dispersion.of(energies)}
    if not begin_prior:
        return found
    prior = machine.init(jax.random.key(0), often.shape[1], spread=0.0, frequencies=often)
    return found | {"prior": prior, "offsets": often}


def _summed(of_tile: Any, data: Shards, config: Config) -> Any:
    """Sums over the showers that are trained on of what is found in a tile, (tile, its number) -> tree of arrays."""
    tile, total = config.training.tile, None
    rows, sizes = (0, _rows(data, config)), buckets(config, data.manifest)
    with Loader(data, batch=tile, tile=tile, buckets=sizes, rows=rows, shuffle=False, epochs=1) as loader:
        for number, batch in enumerate(loader):
            found = of_tile({name: array[0] for name, array in batch.items()}, np.uint32(number))
            total = found if total is None else jax.tree.map(jnp.add, total, found)
    return total


def _rows(data: Shards, config: Config) -> int:
    return data.rows - config.training.validation_rows


def _count(
    params: Any, tile: dict[str, Array], known: fixed.Constants, number: Array, *, config: Config
) -> tuple[Array, dispersion.Sums]:
    """Sums over a tile: of the probabilities that the bits are 1 (4, n), and of the dispersion."""
    true = showers.of_hits(tile, config.model.nodes, known)
    noise = smoothing.logistic(jax.random.key(number), (len(true.channel), LEVELS, true.bits.shape[1]))
    found = showers.encode(params, true, noise, smoothing.HARD, config, known)
    said = showers.decode(params, latent.joined(true.bits, found.samples), true.channel, config, known)
    ones = jnp.tensordot(tile["weight"], latent.joined(true.bits, jax.nn.sigmoid(found.logits)), 1)
    return ones, dispersion.sums(true.u, said.energies, true.channel, tile["weight"])
