"""Block Gibbs sampling: one partition after another is drawn anew given the others, in many chains at once.

A sweep draws partitions 1, 2, 3, and partition 0 before them unless it is clamped (to the bits of the incident energy).
The noise of a node is a function of its chain's key, the sweep and the node alone, so that a chain is the same whatever
runs beside it, up to the rounding of its fields.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.random import threefry2x32_p

from calojax.nn.boltzmann import machine
from calojax.nn.boltzmann.machine import PARTITIONS, Machine

_BITS = 24  # of a uniform number, as many as float32 holds


def sample(
    params: Machine,
    v: Array,
    keys: Array,
    sweeps: int,
    *,
    beta: Array | float = 1.0,
    clamped: bool = True,
    first: Array | int = 0,
) -> Array:
    """The chains after so many sweeps at an inverse temperature: v (C, 4, n) -> (C, 4, n), same type.

    keys: threefry keys (C,), one for each chain; first: number of the first sweep, for chains that are continued with
    the same keys.
    """
    words = jax.random.key_data(keys).astype(jnp.uint32).T[..., None]
    params = machine.scaled(params, beta)
    drawn = tuple(range(1 if clamped else 0, PARTITIONS))
    dtype = params.biases.dtype
    state = {p: v[:, p].astype(dtype) for p in range(PARTITIONS)}
    sources = {p: tuple(j for j in drawn if j != p) for p in drawn}
    weights = {p: machine.incoming(params, p, sources[p]) for p in drawn}
    held = {p: jnp.broadcast_to(params.biases[p], state[p].shape) for p in drawn}
    if clamped:
        held = {p: held[p] + state[0] @ machine.incoming(params, p, (0,)) for p in drawn}

    def sweep(state, number):
        for p in drawn:
            others = jnp.concatenate([state[j] for j in sources[p]], 1)
            uniform = uniforms(words, number, p, state[p].shape[1])
            state = state | {p: draw(held[p] + others @ weights[p], uniform).astype(dtype)}
        return state, None

    moved, _ = jax.lax.scan(sweep, {p: state[p] for p in drawn}, first + jnp.arange(sweeps))
    return jnp.stack([(state | moved)[p] for p in range(PARTITIONS)], 1).astype(v.dtype)


def draw(fields: Array, uniform: Array) -> Array:
    """True with probability sigmoid(field): uniform < 1 / (1 + exp(-field))."""
    return uniform + uniform * jnp.exp(-fields) < 1.0


def uniforms(words: Array, sweep: Array, partition: int, n: int) -> Array:
    """(C, n) in [0, 1): words (2, C, 1) of the chains' keys."""
    node = jnp.arange(partition * n, (partition + 1) * n, dtype=jnp.uint32)
    shape = (words.shape[1], n)
    block = [words[0], words[1], sweep.astype(jnp.uint32), node]
    bits = threefry2x32_p.bind(*(jnp.broadcast_to(one, shape) for one in block))[0]
    return (bits >> (32 - _BITS)).astype(jnp.float32) * 2.0**-_BITS
