"""Sharing out what is left: energies of children in order, each taking a fraction of what those before it have left.

    v_i = e_i / sum_{j >= i} e_j,   logit v_i = log e_i - log sum_{j > i} e_j

A child that is hit takes v, the last hit child takes all. The logit, in units of a given mean and width, follows a
mixture of logistics (`nn.mixtures`). n children in order, P parents; energies MeV.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import mixtures

TINY = 1e-12


class Fit(NamedTuple):
    """Mean and width in units of which a logit is seen."""

    mean: Array | float
    width: Array | float


class Split(NamedTuple):
    """What a child takes, and what it leaves to those behind it."""

    taken: Array
    rest: Array


def draw(raw: Array, uniform: Array, fit: Fit, left: Array, here: Array, free: Array) -> Split:
    """The share of a child: raw (3 C, P), uniform, left (P,); here: it is hit, free: and not the last that is."""
    logit = jnp.clip(mixtures.draw(raw, uniform) * fit.width + fit.mean, -25.0, 25.0)
    taken = jnp.where(free, left * jax.nn.sigmoid(logit), left)
    rest = jnp.where(free, left * jax.nn.sigmoid(-logit), 0.0)
    return Split(jnp.where(here, taken, 0.0), jnp.where(here, rest, left))


def log_density(raw: Array, fit: Fit, taken: Array, rest: Array, free: Array) -> Array:
    """Log density of the logit (P,) of what a child took, 0 where it was not free to choose."""
    return jnp.where(free, mixtures.log_density(raw, standard(fit, taken, rest, free)) - jnp.log(fit.width), 0.0)


def standard(fit: Fit, taken: Array, rest: Array, free: Array) -> Array:
    """The logit in units of the fit, 0 where not free."""
    logit = jnp.log(jnp.where(free, taken, 1.0)) - jnp.log(jnp.where(free, rest, 1.0))
    return jnp.where(free, (logit - fit.mean) / fit.width, 0.0)


def log_ratio(energy: Array, usual: Array, most: float) -> Array:
    """ln(energy / usual), within [-most, most]; finite where either is 0."""
    return jnp.clip(jnp.log(energy + TINY) - jnp.log(usual + TINY), -most, most)


def left_behind(energy: Array) -> Array:
    """Energies of children in order, (n, P) -> what is left for those behind each, (n, P)."""
    behind = jnp.cumsum(energy[::-1], 0)[::-1]
    return jnp.concatenate([behind[1:], jnp.zeros_like(behind[:1])])


def logits(energy: Array) -> Array:
    """energy (n, P) -> logit of the share that each child takes, (n, P); 0 for the last hit one and those not hit."""
    behind = left_behind(energy)
    some = (energy > 0) & (behind > 0)
    return jnp.where(some, jnp.log(jnp.where(some, energy, 1.0)) - jnp.log(jnp.where(some, behind, 1.0)), 0.0)
