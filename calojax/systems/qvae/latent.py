"""Latent bits (T, 4, n) of showers: of the posterior, of the Boltzmann prior, of a prior without couplings."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import smoothing
from calojax.nn.boltzmann import gibbs, machine
from calojax.nn.boltzmann.machine import Machine
from calojax.systems.qvae import showers
from calojax.systems.qvae.config import Config
from calojax.systems.qvae.constants import Constants
from calojax.systems.qvae.models.encoder import LEVELS
from calojax.systems.qvae.showers import Showers

PARTITIONS = 1 + LEVELS


def joined(bits: Array, samples: Array) -> Array:
    """bits (T, n) of the incident energy and samples (T, 3, n) -> (T, 4, n), of the type of the samples."""
    return jnp.concatenate([bits[:, None].astype(samples.dtype), samples], 1)


def posterior(params: Any, true: Showers, noise: Array, config: Config, known: Constants) -> Array:
    """Bits of true showers, float32; noise (T, 3, n) logistic."""
    return joined(true.bits, showers.encode(params, true, noise, smoothing.HARD, config, known).samples)


def naive(params: Any, bits: Array, keys: Array) -> Array:
    """Each bit independently as often as in the posterior, uint8; keys (T,)."""
    return _begun(bits, keys, params["frequencies"][1:])


def prior(params: Any, bits: Array, keys: Array, sweeps: int, known: Constants) -> Array:
    """Of the machine after so many Gibbs sweeps from random bits, uint8; keys (T,), one a shower."""
    of_begin, of_chain = jax.vmap(jax.random.split, out_axes=1)(keys)
    return gibbs.sample(given(params, known), _begun(bits, of_begin, 0.5), of_chain, sweeps, lists=known.lists)


def given(params: Any, known: Constants) -> Machine:
    """The prior, through which no gradient flows."""
    return jax.lax.stop_gradient(plain(params, known))


def plain(params: Any, known: Constants) -> Machine:
    """The prior itself; params["prior"] are parameters about params["offsets"], see `machine.uncentred`."""
    return machine.uncentred(params["prior"], jax.lax.stop_gradient(params["offsets"]), known.mask)


def _begun(bits, keys, often):
    drawn = jax.vmap(lambda key: jax.random.bernoulli(key, often, (LEVELS, bits.shape[1])))(keys)
    return joined(bits, drawn.astype(jnp.uint8))
