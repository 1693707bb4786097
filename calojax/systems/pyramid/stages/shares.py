"""Sharing out what is left: energies of children in order, each taking a fraction of what those before it have left.

    v_i = e_i / sum_{j >= i} e_j,   logit v_i = log e_i - log sum_{j > i} e_j

A child that is hit takes v, the last hit child takes all. The logit, in units of a given mean and width, is moved by a
scale, a shift and a spline. n children in order, P parents; energies MeV.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import couplings


class Split(NamedTuple):
    """What a child takes of what is left, what is left for those behind it, log density of the standardised logit."""

    taken: Array
    rest: Array
    score: Array


# (step, raw parameters, (mean, width), left, here, free) -> Split; here: the child is hit; free: and not the last
Splitter = Callable[[Array, Array, tuple[Any, Any], Array, Array, Array], Split]


def drawing(normals: Array, bound: float) -> Splitter:
    """Splits drawn with standard normal numbers (n, P)."""

    def split(step, raw, fit, left, here, free):
        mean, width = fit
        moved = couplings.undo_by_context(raw, normals[step], bound).values
        logit = jnp.clip(moved * width + mean, -25.0, 25.0)
        taken = jnp.where(free, left * jax.nn.sigmoid(logit), left)
        rest = jnp.where(free, left * jax.nn.sigmoid(-logit), 0.0)
        return Split(jnp.where(here, taken, 0.0), jnp.where(here, rest, left), jnp.zeros_like(left))

    return split


def scoring(energy: Array, bound: float) -> Splitter:
    """The splits of known energies (n, P), and their log densities."""
    behind = left_behind(energy)

    def split(step, raw, fit, left, here, free):
        mean, width = fit
        taken, rest = energy[step], behind[step]
        logit = jnp.log(jnp.where(free, taken, 1.0)) - jnp.log(jnp.where(free, rest, 1.0))
        score = log_density(raw, jnp.where(free, (logit - mean) / width, 0.0), bound)
        return Split(taken, rest, jnp.where(free, score, 0.0))

    return split


def log_density(raw: Array, x: Array, bound: float) -> Array:
    """Log density of x that scale, shift and spline (raw parameters) take to a standard normal number."""
    moved = couplings.move_by_context(raw, x, bound)
    return couplings.standard_normal(moved.values) + moved.log_slope


def left_behind(energy: Array) -> Array:
    """Energies of children in order, (n, P) -> what is left for those behind each, (n, P)."""
    behind = jnp.cumsum(energy[::-1], 0)[::-1]
    return jnp.concatenate([behind[1:], jnp.zeros_like(behind[:1])])


def logits(energy: Array) -> Array:
    """energy (n, P) -> logit of the share that each child takes, (n, P); 0 for the last hit one and those not hit."""
    behind = left_behind(energy)
    some = (energy > 0) & (behind > 0)
    return jnp.where(some, jnp.log(jnp.where(some, energy, 1.0)) - jnp.log(jnp.where(some, behind, 1.0)), 0.0)


def take(logit: Array, hit: Array, energy: Array) -> Array:
    """Undoes `logits`: logit, hit (n, P), energy of the parents (P,) -> energies (n, P)."""

    def body(left, child):
        logit, here, behind = child
        share = jnp.where(here, jnp.where(behind > 0, jax.nn.sigmoid(logit), 1.0), 0.0)
        rest = jnp.where(here, jnp.where(behind > 0, jax.nn.sigmoid(-logit), 0.0), 1.0)
        return left * rest, left * share

    behind = jnp.cumsum(hit[::-1], 0)[::-1] - hit
    return jax.lax.scan(body, energy, (logit, hit, behind))[1]
