"""Annealed importance sampling of the logarithm of the partition function.

Chains go from a machine of biases a alone, whose Z_0 is known, to the one asked about, along

    E_t = (1 - t) E_0 + t E,    log w = sum_k (F_(t_(k-1)) - F_(t_k))(v_(k-1)),    log Z = log Z_0 + log <w>

with one sweep at each t. F is the free energy of partitions 0 to 2, partition 3 being summed over, which makes the
weights w vary less. Source: R. Neal, Annealed importance sampling (2001), arXiv:physics/9803008; for Boltzmann machines
R. Salakhutdinov and I. Murray (2008).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn.boltzmann import gibbs, machine, noise
from calojax.nn.boltzmann.machine import PARTITIONS, Machine

_SUMMED = 3


class Estimate(NamedTuple):
    """log_z with its standard error, from the spread of the weights; effective: how many chains they are worth.

    Where that is a few, neither can be trusted: take more temperatures.
    """

    log_z: Array
    error: Array
    effective: Array


def log_partition(
    params: Machine,
    key: Array,
    *,
    chains: int = 512,
    temperatures: int = 1000,
    base: Array | None = None,
    bits: Array | None = None,
) -> Estimate:
    """Of log sum_v exp(-E(v)), with the weights as they are (`machine.masked`).

    key: threefry; base: biases a (4, n), best those of independent nodes with the data's frequencies, default those of
    the machine; bits (n,): partition 0 is given, the sum goes over the others and E is the conditional energy.
    """
    base = params.biases if base is None else base
    drawn = tuple(range(PARTITIONS)) if bits is None else (1, 2, 3)
    if bits is not None:  # what is given has no biases
        base, params = base.at[0].set(0.0), params._replace(biases=params.biases.at[0].set(0.0))
    words = noise.words(jax.random.split(key, chains)).T[..., None]
    fields, own = _fields(params), lambda v: -machine.energy(params, v)

    def redrawn(v, p, towards, number):
        node = jnp.arange(p * base.shape[1], (p + 1) * base.shape[1], dtype=jnp.uint32)
        return v.at[:, p].set(gibbs.draw(towards, noise.uniform(words, number, node)).astype(v.dtype))

    def step(state, number):
        v, log_w = state
        t = jnp.stack([number - 1.0, number]) / temperatures
        energies = _free_energies(t, base, v.at[:, _SUMMED].set(0.0), own, fields(v, _SUMMED))
        for p in (_SUMMED, *drawn[:-1]):
            v = redrawn(v, p, (1 - t[1]) * base[p] + t[1] * fields(v, p), number.astype(jnp.uint32))
        return (v, log_w + energies[0] - energies[1]), None

    v = jnp.zeros((chains, *base.shape)) if bits is None else jnp.zeros((chains, *base.shape)).at[:, 0].set(bits)
    for p in drawn:
        v = redrawn(v, p, base[p], jnp.uint32(0))
    (_, log_w), _ = jax.lax.scan(step, (v, jnp.zeros(chains)), jnp.arange(1.0, temperatures + 1))
    return _estimate(jnp.sum(jax.nn.softplus(base[jnp.array(drawn)])), log_w)


def _fields(params):
    """`machine.field` whose weights are put together once."""
    others = [tuple(q for q in range(PARTITIONS) if q != p) for p in range(PARTITIONS)]
    incoming = [machine.incoming(params, p, others[p]) for p in range(PARTITIONS)]
    return lambda v, p: params.biases[p] + v[:, others[p]].reshape(len(v), -1) @ incoming[p]


def _free_energies(t, base, visible, own, fields):
    """(2, C) at two values of t: visible (C, 4, n) without the summed partition, whose fields are (C, n)."""
    of_base, of_machine, t = jnp.sum(base * visible, (1, 2)), own(visible), t[:, None]
    summed = jnp.sum(jax.nn.softplus((1 - t[..., None]) * base[_SUMMED] + t[..., None] * fields), -1)
    return -(1 - t) * of_base - t * of_machine - summed


def _estimate(log_z_of_base, log_w):
    chains = len(log_w)
    log_mean = jax.nn.logsumexp(log_w) - jnp.log(chains)
    relative = jnp.exp(log_w - log_mean)
    error = jnp.std(relative, ddof=1) / jnp.sqrt(chains)
    return Estimate(log_z_of_base + log_mean, error, chains / jnp.mean(relative**2))
