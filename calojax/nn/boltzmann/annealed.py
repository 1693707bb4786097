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
    """Of log sum_v exp(-E(v)) with the weights as they are (`machine.masked`).

    key: threefry; base: biases a (4, n), best those of independent nodes with the data's frequencies, default those of
    the machine; bits (n,): partition 0 is given, the sum goes over the others and E is the conditional energy.
    """
    base = params.biases if base is None else base
    drawn = (3, 0, 1, 2) if bits is None else (3, 1, 2)
    words = noise.words(jax.random.split(key, chains)).T[..., None]
    n = base.shape[1]
    uniform = lambda number, p: noise.uniform(words, number, jnp.arange(p * n, (p + 1) * n, dtype=jnp.uint32))
    others = {p: tuple(q for q in range(PARTITIONS) if q != p) for p in drawn}
    incoming = {p: machine.incoming(params, p, others[p]) for p in drawn}

    def fields(v, p):
        return params.biases[p] + v[:, others[p]].reshape(chains, -1) @ incoming[p]

    def free_energy(v, at):
        """Of partitions 0 to 2 at two values of t, (2, C): what does not depend on t is computed once."""
        visible = v.at[:, _SUMMED].set(0.0)
        own = -machine.energy(params, visible) if bits is None else -machine.conditional_energy(params, visible)
        of_base = jnp.sum((base * visible)[:, 0 if bits is None else 1 :], (1, 2))
        summed = lambda t: jnp.sum(jax.nn.softplus((1 - t) * base[_SUMMED] + t * fields(v, _SUMMED)), 1)
        return jnp.stack([-(1 - t) * of_base - t * own - summed(t) for t in at])

    def step(state, number):
        v, log_w = state
        before, now = (number - 1) / temperatures, number / temperatures
        energies = free_energy(v, (before, now))
        for p in drawn:
            towards = (1 - now) * base[p] + now * fields(v, p)
            v = v.at[:, p].set(gibbs.draw(towards, uniform(number.astype(jnp.uint32), p)).astype(v.dtype))
        return (v, log_w + energies[0] - energies[1]), None

    v = jnp.stack([gibbs.draw(base[p], uniform(jnp.uint32(0), p)) for p in range(PARTITIONS)], 1).astype(base.dtype)
    v = v if bits is None else v.at[:, 0].set(bits)
    (_, log_w), _ = jax.lax.scan(step, (v, jnp.zeros(chains)), jnp.arange(1, temperatures + 1))
    log_z_of_base = jnp.sum(jax.nn.softplus(base[0 if bits is None else 1 :]))
    return _estimate(log_z_of_base, log_w)


def _estimate(log_z_of_base, log_w):
    chains = len(log_w)
    relative = jnp.exp(log_w - jax.nn.logsumexp(log_w) + jnp.log(chains))  # of mean 1
    error = jnp.std(relative, ddof=1) / jnp.sqrt(chains)
    log_z = log_z_of_base + jax.nn.logsumexp(log_w) - jnp.log(chains)
    return Estimate(log_z, error, chains / jnp.mean(relative**2))
