"""What only the qvae knows of its showers: the latent bits of real showers beside those of its priors.

Everything about voxels is the judge's. Of the reference one half is encoded; the priors are drawn for the energies of
the other half, whose own bits take their place in the floors. Source of the measures: the CaloQVAE line
(arXiv:2410.22870 and its public code), which compares the posterior of all showers with the prior at their energies.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.evaluation import floors, histograms, jackknife, pearson, separation
from calojax.evaluation.measures import Measured
from calojax.evaluation.schema import Metric, metric
from calojax.evaluation.sparse import evenly
from calojax.nn import smoothing
from calojax.nn.boltzmann import autocorrelation, gibbs, machine
from calojax.nn.boltzmann.autocorrelation import Time
from calojax.system import Model
from calojax.systems.qvae import latent, showers
from calojax.systems.qvae.config import Config
from calojax.systems.qvae.models.encoder import LEVELS

PRIORS = ("prior", "naive")
_SHOWERS = {"quick": 1_000, "standard": 4_000, "full": 20_000}  # of the reference, half of which are encoded
_CHAINS, _RECORDS, _EVERY = 64, 2_000, 2  # for the autocorrelation time
_TILE = 100  # showers encoded together
_BINS, _DRAWN = 30, 60  # of energies of the machine: for the metric, and for the figure
_REASON = "not enough showers"


class Latents(NamedTuple):
    """bits (N, 4, n) uint8, partition 0 of the incident energy; energy (N,): of the machine, without biases there."""

    bits: np.ndarray
    energy: np.ndarray


class Mixing(NamedTuple):
    """time: integrated autocorrelation time of the chains' energies, in sweeps, at least `every`; rho (T,): their
    autocorrelation after 0, every, 2 every, ... sweeps."""

    time: Time
    rho: np.ndarray
    every: int


def evaluate(
    model: Model, config: Config, incident_energy: np.ndarray, cells: np.ndarray, level: str
) -> tuple[dict[str, Metric], dict[str, np.ndarray]]:
    """Metrics and curves `latent.*` of showers (N, V), MeV, at incident energies (N,); level: of the judge."""
    rows = evenly(len(cells), _SHOWERS[level])
    rows = rows[: len(rows) // 2 * 2]
    there = rows[1::2]
    keys = jax.random.split(jax.random.key(0), 4)
    both = posterior(model, config, incident_energy[rows], cells[rows], keys[0])
    encoded, other = (Latents(*(values[half::2] for values in both)) for half in (0, 1))
    drawn = {
        "prior": prior(model, config, incident_energy[there], keys[1]),
        "naive": naive(model, config, incident_energy[there], keys[2]),
    }
    of_chains = incident_energy[there][evenly(len(there), _CHAINS)]
    mixed = mixing(model, config, of_chains, keys[3])
    n = (len(there), len(there))
    floor = compared(encoded, other)
    found = {}
    for name, one in drawn.items():
        of_one = floors.with_floor([compared(encoded, one), floor], [n, n])
        found |= {f"latent.{name}.{key}": value for key, value in of_one.items()}
    found["latent.prior.autocorrelation_time"] = _metric_of(mixed, len(of_chains), config)
    return found, _curves({"posterior": both} | drawn, mixed)


def compared(reference: Latents, other: Latents) -> dict[str, Measured]:
    """energy: separation power of the machine's energies; frobenius.*: distances of the Pearson matrices of bits, of
    all, within each partition, and between each two."""
    found = {"energy": _energies(reference.energy, other.energy)}
    value, error = _blocks(reference.bits, other.bits)
    partitions, columns = value.shape[0] - 1, reference.bits.shape[2]
    for p in range(partitions):
        for q in range(p, partitions):
            name = f"within.{p}" if p == q else f"between.{p}.{q}"
            found[f"frobenius.{name}"] = _distance(value[p, q], error[p, q], columns)
    found["frobenius.all"] = _distance(value[-1, -1], error[-1, -1], partitions * columns)
    return found


def posterior(model: Model, config: Config, incident_energy: np.ndarray, cells: np.ndarray, key: Array) -> Latents:
    """Bits of showers cells (N, V), MeV."""
    encode = jax.jit(partial(_encode, config=config))
    given = (np.asarray(incident_energy, np.float32), cells, jax.random.split(key, len(cells)))
    return _latents(model, np.concatenate([encode(model, *tile)[:n] for n, tile in _tiles(given)]))


def prior(
    model: Model, config: Config, incident_energy: np.ndarray, key: Array, *, sweeps: int | None = None
) -> Latents:
    """Bits of the machine for incident energies (N,), from random ones; sweeps: default those of the configuration."""
    count = config.generation.sweeps if sweeps is None else sweeps
    return _latents(model, jax.jit(partial(_sample, config=config, sweeps=count))(model, incident_energy, key))


def naive(model: Model, config: Config, incident_energy: np.ndarray, key: Array) -> Latents:
    """Bits for incident energies (N,), each of them drawn by itself."""
    return _latents(model, jax.jit(partial(_independent, config=config))(model, incident_energy, key))


def mixing(
    model: Model,
    config: Config,
    incident_energy: np.ndarray,
    key: Array,
    *,
    records: int = _RECORDS,
    every: int = _EVERY,
) -> Mixing:
    """Of chains that have gone as far as generation does."""

    def trace(model, incident_energy, key):
        begin = jax.random.fold_in(key, 1)
        begun = _sample(model, incident_energy, begin, config=config, sweeps=config.generation.sweeps)
        keys = jax.random.split(key, len(begun))
        given = latent.given(model.params, model.constants)
        return gibbs.trace(given, begun, keys, records, every, lists=model.constants.lists)[1]

    series = np.asarray(jax.jit(trace)(model, incident_energy, key))
    found = autocorrelation.integrated_time(series)
    time = found._replace(tau=found.tau * every, error=found.error * every)
    return Mixing(time, autocorrelation.autocorrelation(series), every)


# ---- bits


def _encode(model: Model, incident_energy: Array, cells: Array, keys: Array, *, config: Config) -> Array:
    true = showers.of_cells(incident_energy, cells, config.model.nodes, model.constants)
    noise = jax.vmap(lambda key: smoothing.logistic(key, (LEVELS, config.model.nodes)))(keys)
    return latent.posterior(model.params, true, noise, config, model.constants).astype(jnp.uint8)


def _sample(model: Model, incident_energy: Array, key: Array, *, config: Config, sweeps: int) -> Array:
    bits = showers.conditions(incident_energy, config.model.nodes, model.constants)[1]
    return latent.prior(model.params, bits, jax.random.split(key, len(bits)), sweeps, model.constants)


def _independent(model: Model, incident_energy: Array, key: Array, *, config: Config) -> Array:
    bits = showers.conditions(incident_energy, config.model.nodes, model.constants)[1]
    return latent.naive(model.params, bits, jax.random.split(key, len(bits)))


def _tiles(arrays: tuple) -> Iterator[tuple[int, tuple]]:
    """Rows of arrays (N, ...) by tiles of one size, the last one filled up with its last row; how many are real."""
    rows = len(arrays[0])
    tile = min(_TILE, rows)
    for first in range(0, rows, tile):
        chosen = np.minimum(np.arange(first, first + tile), rows - 1)
        yield min(tile, rows - first), tuple(array[chosen] for array in arrays)


def _latents(model: Model, bits: Any) -> Latents:
    given = latent.given(model.params, model.constants)
    return Latents(np.asarray(bits), np.asarray(jax.jit(machine.conditional_energy)(given, bits)))


# ---- numbers


def _energies(reference: np.ndarray, other: np.ndarray) -> Measured:
    """In 30 bins between the extremes of the reference, what lies beyond in the last ones."""
    counts = histograms.between_extremes(reference, other, _BINS)
    value, error = jackknife.jackknife(separation.separation_of_counts, *counts)
    enough = min(len(reference), len(other)) >= 2 * jackknife.BLOCKS
    more = {"mean_reference": float(reference.mean()), "mean_generated": float(other.mean())}
    more |= {"width_reference": float(reference.std()), "width_generated": float(other.std())}
    return Measured(float(value), float(error) if enough else np.nan, _REASON, more)


def _blocks(reference: np.ndarray, other: np.ndarray) -> jackknife.Estimate:
    """(P + 1, P + 1): norms of the differences of Pearson matrices of bits (N, P, n), block by block; last that of the
    whole."""
    samples = [bits.reshape(len(bits), -1).astype(np.float64) for bits in (reference, other)]
    shape = reference.shape[1:]

    def norms(left_out: int | None) -> np.ndarray:
        kept = [x if left_out is None else x[np.arange(len(x)) % pearson.BLOCKS != left_out] for x in samples]
        apart = np.square(np.subtract(*map(pearson.pearson_matrix, kept))).reshape(*shape, *shape).sum(axis=(1, 3))
        norm = np.full((shape[0] + 1, shape[0] + 1), np.sqrt(apart.sum()))
        norm[:-1, :-1] = np.sqrt(apart)
        return norm

    value = norms(None)
    if min(map(len, samples)) < 2 * pearson.BLOCKS:
        return jackknife.Estimate(value, np.full_like(value, np.nan))
    return jackknife.combine(value, [norms(block) for block in range(pearson.BLOCKS)])


def _distance(value: Any, error: Any, columns: int) -> Measured:
    return Measured(float(value), float(error), _REASON, {"columns": columns}, power=0.5)


def _metric_of(mixed: Mixing, chains: int, config: Config) -> Metric:
    """In sweeps; it has no floor."""
    time, sweeps = mixed.time, config.generation.sweeps
    reason = "the energies of the chains never change"
    return metric(time.tau, time.error, None, (0, chains), reason, sweeps=sweeps, long_enough=float(time.long_enough))


# ---- curves


def _curves(samples: dict[str, Latents], mixed: Mixing) -> dict[str, np.ndarray]:
    """latent.energy.edges (B + 1,) and .<sample> (B,) densities, latent.often.<sample> (3, n) how often bits are 1,
    latent.autocorrelation (2, T): sweeps, and the correlation of energies so far apart."""
    edges = histograms.edges_of(np.concatenate([one.energy for one in samples.values()]), _DRAWN)
    made = {"latent.energy.edges": edges}
    for name, one in samples.items():
        made[f"latent.energy.{name}"] = np.histogram(one.energy, edges, density=True)[0]
        made[f"latent.often.{name}"] = one.bits[:, 1:].mean(axis=0)
    shown = slice(0, min(len(mixed.rho), 4 * (mixed.time.window + 1)))
    made["latent.autocorrelation"] = np.stack([np.arange(len(mixed.rho)) * mixed.every, mixed.rho])[:, shown]
    return made
