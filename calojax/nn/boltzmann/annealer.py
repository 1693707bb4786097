"""Drawing from the machine with an annealer: what it is sent, a classical one in its place, and its temperature.

An annealer draws spins s = 2 v - 1 with probability exp(-kappa H(s)), H = sum h s + sum J s s, at an inverse
temperature kappa that nobody tells. It is sent E / beta (up to a constant), and draws from the machine where beta is
kappa:

    J_ij = - W_ij / (4 beta),    h_i = - b_i / (2 beta) - sum_j W_ij / (4 beta)

Partition 0 is held by flux biases, as strong as a field of -+ 20 would be. Constants are those of D-Wave's processors
as CaloQVAE uses them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.nn.boltzmann import gibbs, machine
from calojax.nn.boltzmann.machine import PARTITIONS, Machine

PLANCK = 6.62607015e-34  # J s
FLUX_QUANTUM = 2.067833848e-15  # Wb
ENERGY_SCALE = 1.391e9 * PLANCK  # B at the freeze-out point, J
MUTUAL_INDUCTANCE = 1.647e-12  # M_AFM, H
HOLDING_FIELD = 20.0  # h that holds a spin
_LARGEST_CHANGE = 2.0  # of beta in a step
_LEAST_VARIANCE = 1e-9  # where nothing moves


_drawn = jax.jit(gibbs.sample, static_argnames=("sweeps", "clamped"))  # the same program for every request


class Request(NamedTuple):
    """What an annealer is sent, as it is (no scaling): couplings J (6, n, n), blocks of PAIRS; fields h (4, n);
    flux (n,) flux biases of partition 0 in flux quanta, or None where it is free."""

    couplings: Array
    fields: Array
    flux: Array | None


class Sampler(Protocol):
    """An annealer, or what stands for one."""

    def __call__(self, request: Request, reads: int, key: Array) -> Array:
        """Spins (reads, 4, n), -1 or 1; a real one needs no key."""
        ...


@dataclass(frozen=True)
class Classical:
    """Block Gibbs chains at a true inverse temperature kappa, from random bits, of so many sweeps."""

    kappa: float
    sweeps: int = 1000

    def __call__(self, request: Request, reads: int, key: Array) -> Array:
        n = request.fields.shape[1]
        pulls = machine.fields(Machine(request.couplings, jnp.zeros_like(request.fields)), jnp.ones((PARTITIONS, n)))
        asked = Machine(-4 * request.couplings, 2 * pulls - 2 * request.fields)
        start, chains = jax.random.split(key)
        v = jax.random.bernoulli(start, 0.5, (reads, PARTITIONS, n))
        if request.flux is not None:
            v = v.at[:, 0].set(request.flux > 0)
        clamped, keys = request.flux is not None, jax.random.split(chains, reads)
        v = _drawn(asked, v, keys, self.sweeps, beta=self.kappa, clamped=clamped)
        return 2 * v.astype(jnp.int8) - 1


def request(params: Machine, beta: float | Array, bits: Array | None = None) -> Request:
    """For the machine (with the weights as they are) at 1 / beta; bits (n,): what partition 0 is held at."""
    neighbours = machine.fields(params._replace(biases=jnp.zeros_like(params.biases)), jnp.ones_like(params.biases))
    fields = -params.biases / (2 * beta) - neighbours / (4 * beta)
    return Request(-params.weights / (4 * beta), fields, None if bits is None else flux_biases(bits))


def flux_biases(bits: Array) -> Array:
    """In flux quanta, that hold spins at 2 bits - 1: phi = - B h / (2 I_p), h = -+ 20, I_p = sqrt(B / (2 M_AFM))."""
    current = math.sqrt(ENERGY_SCALE / (2 * MUTUAL_INDUCTANCE))  # persistent, A
    field = -HOLDING_FIELD * (2 * jnp.asarray(bits, jnp.float32) - 1)
    return -field * (ENERGY_SCALE / (2 * current) / FLUX_QUANTUM)


def sample(sampler: Sampler, params: Machine, beta: float | Array, reads: int, key: Array, bits=None) -> Array:
    """States v (reads, 4, n) of the machine by an annealer at this setting of beta."""
    return (sampler(request(params, beta, bits), reads, key) + 1) // 2


class Temperature(NamedTuple):
    """beta at which the annealer draws from the machine, its standard error, what was tried on the way; converged:
    whether the energies came to agree within their errors."""

    beta: float
    error: float
    trail: tuple[float, ...]
    converged: bool


def effective_temperature(
    sampler: Sampler,
    params: Machine,
    samples: Array,
    key: Array,
    *,
    start: float = 1.0,
    steps: int = 20,
    bits: Array | None = None,
) -> Temperature:
    """By Newton's steps beta <- beta - (beta / V)(E - E_r) until the mean energies are the same within their errors.

    samples (C, 4, n): of the machine by chains that have converged (given `bits`, if these are), whose mean energy is
    E_r; E and V are mean and variance of the energies of as many reads; beta changes by a factor of 2 at most.
    """
    reference = np.asarray(machine.energy(params, samples), np.float64)
    beta, trail = float(start), [float(start)]
    for step in range(steps):
        v = sample(sampler, params, beta, len(samples), jax.random.fold_in(key, step), bits)
        energies = np.asarray(machine.energy(params, v), np.float64)
        apart, variance = float(energies.mean() - reference.mean()), max(float(energies.var()), _LEAST_VARIANCE)
        error = math.sqrt((energies.var() + reference.var()) / len(samples))
        change = 1 - apart / variance
        beta *= min(max(change, 1 / _LARGEST_CHANGE), _LARGEST_CHANGE)
        trail.append(beta)
        if abs(apart) <= error:
            return Temperature(beta, beta * error / variance, tuple(trail), True)
    return Temperature(beta, math.inf, tuple(trail), False)
