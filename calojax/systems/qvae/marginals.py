"""What a voxel does at an incident energy, whatever the others do: how often it is hit, and with what mean energy.

One pass over the training data says so at some energies, spaced evenly in the logarithm from the lowest to the highest;
between two of them it is interpolated. The decoder's networks say by how much a shower differs from it, and so begin
where a histogram of every voxel would end.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.systems.qvae import transform

KNOTS = 9  # energies


class Marginals(NamedTuple):
    """hit_logits, u: (K, Z, A, R), at K energies; u is the transform of the mean energy of hits."""

    hit_logits: Array
    u: Array


class Sums(NamedTuple):
    """Over showers: showers (K,), hits and their energies (K, Z, A, R) as exp of `transform.log_energy`, each shower
    shared out between two incident energies."""

    showers: Array
    hits: Array
    energies: Array


def unknown(grid: tuple[int, int, int], u: Array) -> Marginals:
    """Hits as often as not, of a transformed energy u ()."""
    return Marginals(jnp.zeros((KNOTS, *grid)), jnp.broadcast_to(u, (KNOTS, *grid)))


def at(known: Marginals, channel: Array) -> Marginals:
    """At incident energies (T,), as `conditioning.channel`: (T, Z, A, R) each."""
    weights = shares(channel)
    return Marginals(*(jnp.tensordot(weights, values, 1) for values in known))


def sums(u: Array, channel: Array, weight: Array) -> Sums:
    """Of showers u (T, Z, A, R) at energies channel (T,)."""
    share = (shares(channel) * weight[:, None]).T
    hit = u > 0
    of_hits = jnp.where(hit, jnp.exp(transform.log_energy(u)), 0.0)
    return Sums(share.sum(1), *(jnp.tensordot(share, what, 1) for what in (hit.astype(u.dtype), of_hits)))


def of(found: Sums, usual: float) -> Marginals:
    """From the sums over all showers. One shower and one hit more, like those of all energies (of a voxel never hit:
    half a hit, of u `usual`), keep what is rare finite; an energy without showers is like the nearest with some."""
    showers, hits, energies = (np.asarray(part, np.float64) for part in found)
    often = (hits.sum(0) + 0.5) / (showers.sum() + 1)
    of_hits = (energies.sum(0) + np.exp(transform.log_energy(usual))) / (hits.sum(0) + 1)
    share = (hits + often) / (showers + 1)[:, None, None, None]
    u = np.asarray(transform.of_log_energy(np.log((energies + of_hits) / (hits + 1))))
    logits = np.log(share) - np.log1p(-share)
    place = nearest(showers)
    return Marginals(*(jnp.asarray(values[place], jnp.float32) for values in (logits, u)))


def nearest(count: np.ndarray) -> np.ndarray:
    """(K,): of each energy the nearest with a count (K,) above 0; all are 0: itself."""
    seen = np.flatnonzero(count > 0) if np.any(count > 0) else np.arange(len(count))
    return seen[np.abs(np.arange(len(count))[:, None] - seen).argmin(1)]


def shares(channel: Array) -> Array:
    """(T, K): how much of a shower belongs to each energy; those beyond the ends belong to these."""
    place = jnp.clip(channel, 0.0, 1.0) * (KNOTS - 1)
    return jnp.maximum(1.0 - jnp.abs(place[:, None] - jnp.arange(KNOTS)), 0.0)
