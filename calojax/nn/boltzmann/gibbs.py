"""Block Gibbs sampling: one partition after another is drawn anew given the others, in many chains at once.

A sweep draws partitions 1, 2, 3, and partition 0 before them unless it is clamped (to the bits of the incident energy).
The noise of a node is a function of its chain's key, the sweep and the node alone, so that a chain is the same whatever
runs beside it and in whatever form it runs, up to the rounding of its fields.

Two forms. Full machines: chains are rows, and a partition's fields one product with those that change; what a clamped
partition contributes is computed once. Machines with few couplings: chains are columns, fields are sums over lists of
neighbours. On a CPU these go through all sweeps with a few chains at a time, whose nodes then stay in the first-level
cache (one byte each), one copied row of them for each neighbour.
"""

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import rows
from calojax.nn.boltzmann import machine, neighbours, noise
from calojax.nn.boltzmann.machine import PARTITIONS, Machine
from calojax.nn.boltzmann.neighbours import Neighbours

_ROWS, _COLUMNS = 512, 16  # chains of a block on a CPU


def sample(
    params: Machine,
    v: Array,
    keys: Array,
    sweeps: int,
    *,
    lists: Neighbours | None = None,
    beta: Array | float = 1.0,
    clamped: bool = True,
    first: Array | int = 0,
    narrow: bool = False,
) -> Array:
    """The chains after so many sweeps at an inverse temperature: v (C, 4, n) -> (C, 4, n), of the same type.

    keys: threefry keys (C,), one for each chain; lists: of the couplings, for machines with few; without them the
    weights are taken as they are (`machine.masked`); first: number of the first sweep, for chains that go on with the
    same keys; narrow: products of two bfloat16 halves of the weights (16 bits of each), for hardware that has such
    products and more than some 30 chains. Chains that are split over devices go through `jax.shard_map`.
    """
    params = machine.scaled(params, beta)
    number = jnp.asarray(first, jnp.uint32) + jnp.arange(sweeps, dtype=jnp.uint32)
    drawn = tuple(range(1 if clamped else 0, PARTITIONS))
    if lists is None:
        block, most = _rows(params, number, drawn, narrow), _ROWS
    else:
        block, most = _columns(params, lists, number, drawn), _COLUMNS
    return _by_blocks(block, v, noise.words(keys), most)


def trace(params: Machine, v: Array, keys: Array, records: int, every: int, **options) -> tuple[Array, Array]:
    """Chains (C, 4, n) after records x every sweeps, and their energies (records, C) along the way, without b_0.

    options: of `sample`; the weights are `machine.masked` whatever the form.
    """

    def go_on(v, number):
        v = sample(params, v, keys, every, first=number * every, **options)
        return v, machine.conditional_energy(params, v)

    return jax.lax.scan(go_on, v, jnp.arange(records))


def draw(fields: Array, uniform: Array) -> Array:
    """True with probability sigmoid(field): uniform < 1 / (1 + exp(-field))."""
    return uniform + uniform * jnp.exp(-fields) < 1.0


def _by_blocks(block, v, words, most):
    """On a CPU some chains after the others, so that they stay in its caches; elsewhere all at once."""
    chains = len(v)
    blocks = -(-chains // most) if jax.default_backend() == "cpu" else 1
    width = -(-chains // blocks)
    split = lambda x: jnp.pad(x, [(0, blocks * width - chains)] + [(0, 0)] * (x.ndim - 1)).reshape(
        blocks, width, *x.shape[1:]
    )
    moved = jax.lax.map(lambda given: block(*given), (split(v), split(words)))
    return moved.reshape(-1, *v.shape[1:])[:chains]


def _rows(params, number, drawn, narrow):
    """Function of v (C, 4, n) and words (C, 2)."""
    still = tuple(q for q in range(PARTITIONS) if q not in drawn)
    others = {p: tuple(q for q in drawn if q != p) for p in drawn}
    incoming = {p: _terms(machine.incoming(params, p, others[p]), narrow) for p in drawn}
    given = {p: _terms(machine.incoming(params, p, still), narrow) for p in drawn if still}

    def fields(state, sources, terms):
        v = jnp.concatenate([state[q] for q in sources], 1)
        return sum(jnp.matmul(v, term, precision="highest", preferred_element_type=jnp.float32) for term in terms)

    def block(v, words):
        state = tuple(v[:, p].astype(jnp.bfloat16 if narrow else jnp.float32) for p in range(PARTITIONS))
        held = {p: params.biases[p] + (fields(state, still, given[p]) if still else 0.0) for p in drawn}

        def sweep(state, number):
            for p in drawn:
                moving = jax.lax.optimization_barrier(fields(state, others[p], incoming[p]))  # not part of what follows
                new = draw(held[p] + moving, noise.uniform(words.T[..., None], number, _numbers(p, v.shape[-1])))
                state = (*state[:p], new.astype(state[p].dtype), *state[p + 1 :])
            return state, None

        return jnp.stack(jax.lax.scan(sweep, state, number)[0], 1).astype(v.dtype)

    return block


def _columns(params, lists, number, drawn):
    """Function of v (C, 4, n) and words (C, 2); one array of all nodes, whose parts XLA does not compute anew."""
    still = tuple(q for q in range(PARTITIONS) if q not in drawn)
    weights = [[neighbours.weights(params, lists, p, q) for q in range(PARTITIONS)] for p in range(PARTITIONS)]

    def incoming(state, p, sources):
        slots = [slot for q in sources for slot in zip(weights[p][q], lists.node[p][q], strict=True)]
        return sum((weight[:, None] * rows.take(state, node) for weight, node in slots), jnp.zeros(()))

    def block(v, words):
        n = v.shape[-1]
        state = v.reshape(len(v), -1).T.astype(jnp.uint8)  # (4 n, C)
        held = {p: params.biases[p][:, None] + incoming(state, p, still) for p in drawn}

        def sweep(state, number):
            for p in drawn:
                fields = held[p] + incoming(state, p, tuple(q for q in drawn if q != p))
                new = draw(fields, noise.uniform(words.T[:, None], number, _numbers(p, n)[:, None]))
                state = jax.lax.dynamic_update_slice(state, new.astype(state.dtype), (p * n, 0))
            return state, None

        return jax.lax.scan(sweep, state, number)[0].T.reshape(v.shape).astype(v.dtype)

    return block


def _numbers(p, n):
    """Of the nodes of a partition, as counters of their noise."""
    return jnp.arange(p * n, (p + 1) * n, dtype=jnp.uint32)


def _terms(weights, narrow):
    """Arrays that add up to the weights: these, or two in bfloat16 with their first 16 bits."""
    if not narrow:
        return (weights,)
    high = weights.astype(jnp.bfloat16)
    return high, (weights - high.astype(weights.dtype)).astype(jnp.bfloat16)
