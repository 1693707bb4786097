"""How far the energy of a hit lies from what the decoder says of it, in each voxel by itself.

The loss of energies is the deviance of Tweedie's distribution with power 3/2, whose variance about a mean m is
phi m^(3/2). phi of a voxel is the mean deviance of its hits, in one pass over the training data, at the energies of the
`marginals`; in generation the energy of a hit is a gamma variable with that mean and variance. The mean deviance is a
tenth below phi where energies are as wide as their mean, but moved less by large residuals than the mean of squares is.
Voxels are drawn independently, given the bits: a shower's own energy is as uncertain as the bits leave it, and a little
more. Not published: there energies are what the decoder says, so that voxels go together too well.

Source of the distribution: Jorgensen, J. R. Stat. Soc. B 49 (1987) 127.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.nn import gamma
from calojax.systems.qvae import marginals, transform

_LEAST = 1e-30  # of phi, which is 0 before the pass: no spread
_USUAL = 3.0  # hits of the phi that is usual at an energy, which every voxel is given, so that few hits say little


class Sums(NamedTuple):
    """Over showers, shared out between incident energies: hits of which an energy is said, and their deviances
    (K, Z, A, R)."""

    hits: Array
    deviances: Array


def deviance(u: Array, said: Array) -> Array:
    """Of transformed energies u from what is said of them; of several u least at the transform of their mean energy."""
    v = transform.log_energy(u)
    return 16 * jnp.exp(0.5 * v) * jnp.square(jnp.sinh(0.25 * (v - transform.log_energy(said))))


def unknown(grid: tuple[int, int, int]) -> Array:
    """phi (K, Z, A, R) of no spread."""
    return jnp.zeros((marginals.KNOTS, *grid))


def sums(u: Array, said: Array, channel: Array, weight: Array) -> Sums:
    """Of showers u (T, Z, A, R) of which energies `said` are said, at incident energies channel (T,)."""
    shares, hit = (marginals.shares(channel) * weight[:, None]).T, (u > 0) & (said > 0)
    of_hits = jnp.where(hit, deviance(u, jnp.clip(said, 0.0, transform.LARGEST)), 0.0)
    return Sums(*(jnp.tensordot(shares, what, 1) for what in (hit.astype(u.dtype), of_hits)))


def of(found: Sums) -> Array:
    """phi (K, Z, A, R) from the sums over all showers; an energy without hits is like the nearest with some."""
    hits, deviances = (np.asarray(part, np.float64) for part in found)
    cells = tuple(range(1, hits.ndim))
    usual = deviances.sum(cells, keepdims=True) / np.maximum(hits.sum(cells, keepdims=True), 1e-9)
    phi = (deviances + _USUAL * usual) / (hits + _USUAL)
    return jnp.asarray(phi[marginals.nearest(hits.sum(cells))], jnp.float32)


def at(phi: Array, channel: Array) -> Array:
    """At incident energies channel (T,): (T, Z, A, R)."""
    return jnp.tensordot(marginals.shares(channel), phi, 1)


def factors(phi: Array, u: Array, keys: Array) -> Array:
    """By what energies of hits are multiplied, with mean 1: phi and transformed energies u (T, V); keys (T,)."""
    root = jnp.exp(0.5 * transform.log_energy(jnp.minimum(u, transform.LARGEST)))
    return jax.vmap(gamma.relative)(keys, root / jnp.maximum(phi, _LEAST))
