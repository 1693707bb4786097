"""What only the qvae knows of its showers: latent bits of posterior and prior beside each other, and chi2 of energies.

Everything about voxels is the judge's. The prior's samples are for the incident energies of the showers compared with.
Source of the measures: the CaloQVAE line (arXiv:2410.22870 and its public code); its chi2 is not divided by degrees of
freedom, its bins here come from the truth alone.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax import evaluation
from calojax.nn import smoothing
from calojax.nn.boltzmann import autocorrelation, gibbs, machine
from calojax.system import Model
from calojax.systems.qvae import latent, showers
from calojax.systems.qvae.config import Config
from calojax.systems.qvae.models.encoder import LEVELS

_BINS = 30  # of E_dep / E_inc
_STEP = 2.0  # bins of incident energy: half an octave to either side of the powers of two


class Latents(NamedTuple):
    """bits (N, 4, n) uint8, partition 0 of the incident energy; energy (N,): of the machine, without biases there."""

    bits: np.ndarray
    energy: np.ndarray


def chi2(truth: np.ndarray, other: np.ndarray) -> float:
    """sum (P - Q)^2 / (P + Q) over 30 equal bins between the extremes of truth (N,); other (N,) beyond is in the last
    ones. About the number of occupied bins if both are alike."""
    edges = np.linspace(truth.min(), truth.max(), _BINS + 1)
    p, q = (np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(float) for values in (truth, other))
    both = p + q > 0
    return float((np.square(p - q)[both] / (p + q)[both]).sum())


def energy_chi2(incident_energy: np.ndarray, truth: np.ndarray, other: np.ndarray) -> float:
    """Mean over octaves of incident energy (N,) of chi2 of E_dep / E_inc; truth, other (N,): E_dep, MeV."""
    octave = np.round(np.log(incident_energy) / np.log(_STEP)).astype(int)
    found = [octave == one for one in np.unique(octave)]
    ratios = truth / incident_energy, other / incident_energy
    return float(np.mean([chi2(*(ratio[here] for ratio in ratios)) for here in found if here.sum() > 1]))


def posterior(model: Model, config: Config, incident_energy: Array, cells: Array, key: Array) -> Latents:
    """Bits of showers cells (N, V), MeV."""
    return _latents(model, jax.jit(partial(_encode, config=config))(model, incident_energy, cells, key))


def prior(model: Model, config: Config, incident_energy: Array, key: Array, *, sweeps: int | None = None) -> Latents:
    """Bits of the machine for incident energies (N,), from random ones; sweeps: default those of the configuration."""
    count = config.generation.sweeps if sweeps is None else sweeps
    return _latents(model, jax.jit(partial(_sample, config=config, sweeps=count))(model, incident_energy, key))


def mixing(
    model: Model, config: Config, incident_energy: Array, key: Array, *, records: int = 400, every: int = 10
) -> autocorrelation.Time:
    """Integrated autocorrelation time, in sweeps, of energies of chains that have gone as far as generation does."""

    def trace(model, incident_energy, key):
        begin = jax.random.fold_in(key, 1)
        begun = _sample(model, incident_energy, begin, config=config, sweeps=config.generation.sweeps)
        keys = jax.random.split(key, len(begun))
        given = latent.given(model.params, model.constants)
        return gibbs.trace(given, begun, keys, records, every, lists=model.constants.lists)[1]

    found = autocorrelation.integrated_time(np.asarray(jax.jit(trace)(model, incident_energy, key)))
    return found._replace(tau=found.tau * every, error=found.error * every)


def latent_distances(one: Latents, other: Latents) -> dict[str, evaluation.Estimate]:
    """Frobenius distances of the correlations of bits, all of them and within each partition, with errors."""
    a, b = (latents.bits.astype(np.float32) for latents in (one, other))
    named = {"all": (a.reshape(len(a), -1), b.reshape(len(b), -1))}
    named |= {f"within.{p}": (a[:, p], b[:, p]) for p in range(a.shape[1])}
    return {name: evaluation.frobenius_distance(*pair) for name, pair in named.items()}


def _encode(model: Model, incident_energy: Array, cells: Array, key: Array, *, config: Config) -> Array:
    true = showers.of_cells(incident_energy, cells, config.model.nodes, model.constants)
    noise = smoothing.logistic(key, (len(cells), LEVELS, config.model.nodes))
    return latent.posterior(model.params, true, noise, config, model.constants).astype(jnp.uint8)


def _sample(model: Model, incident_energy: Array, key: Array, *, config: Config, sweeps: int) -> Array:
    bits = showers.conditions(incident_energy, config.model.nodes, model.constants)[1]
    return latent.prior(model.params, bits, jax.random.split(key, len(bits)), sweeps, model.constants)


def _latents(model: Model, bits: Any) -> Latents:
    given = latent.given(model.params, model.constants)
    return Latents(np.asarray(bits), np.asarray(jax.jit(machine.conditional_energy)(given, bits)))
