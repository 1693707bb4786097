"""Decoders whose sub-decoders each begin at a point, from the latent variables and the shower so far as plain numbers.

    input_0 = latent;   input_(l+1) = [skip_l(groups) + latent, shower_l] (+ input_l from l = 1 on)

groups: bits of the energy and partitions 3 - l to 3; shower_l: energies of sub-decoder l, multiplied by its hit head
(`Model.gate`) if it has one. n nodes of a partition.
"""

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import maps
from calojax.systems.qvae.models import layers
from calojax.systems.qvae.models.config import Model
from calojax.systems.qvae.models.decoded import Decoded
from calojax.systems.qvae.models.plan import Down, Plan

PARTS = 4
ATTENTION = 32


class Part(NamedTuple):
    """A sub-decoder: layers up to the heads, the heads (hits: None if it has none), and the kernels (span, 1, 1) that
    reduce each head to a slab of layers, None if all are handed on."""

    stem: tuple[layers.Layer, ...]
    energies: tuple[layers.Layer, ...]
    hits: tuple[layers.Layer, ...] | None
    slabs: tuple[layers.Layer, ...] | None


class Params(NamedTuple):
    """Four sub-decoders, and three skip connections of two products each."""

    parts: tuple[Part, ...]
    skips: tuple[tuple[maps.Kernel, maps.Kernel], ...] | None


def init(key: Array, plan: Plan, model: Model) -> Params:
    """Parameters."""
    keys = jax.random.split(key, 2 * PARTS)
    later = PARTS * model.nodes + plan.slab * plan.grid[1] * plan.grid[2]
    parts = []
    for number in range(PARTS):
        last = number == PARTS - 1
        inputs = later if number else PARTS * model.nodes
        parts.append(_init_part(keys[number], plan, model, inputs, hits=last or model.heads == "all", last=last))
    skips = tuple(_init_skip(keys[PARTS + number], number, model.nodes) for number in range(PARTS - 1))
    return Params(tuple(parts), skips if model.skip else None)


def decode(params: Params, plan: Plan, model: Model, latent: Array, energy: Array) -> Decoded:
    """See `decoders.decode`."""
    n = latent.shape[0]
    everything = latent.reshape(n, -1)
    x = everything
    for number, part in enumerate(params.parts):
        heads = _heads(part, plan, x, energy)
        if number == PARTS - 1:
            return heads
        told = everything
        if params.skips is not None:
            told += _skipped(params.skips[number], groups(latent, number).reshape(n, -1))
        following = jnp.concatenate([told, _handed_on(part, plan, heads, model).reshape(n, -1)], 1)
        x = following + x if number else following
    raise AssertionError("the last part returns")


def groups(latent: Array, number: int) -> Array:
    """Bits of the energy and partitions 3 - number to 3: (N, 2 + number, n)."""
    return jnp.concatenate([latent[:, :1], latent[:, PARTS - 1 - number :]], 1)


def stem_and_heads(key: Array, plan: Plan, model: Model, inputs: int, head: tuple, hits: bool) -> tuple[Any, Any, Any]:
    """Layers of the stem, of the energy head and (or None) of the hit head, whose layers of one channel are linear."""
    keys = jax.random.split(key, 3)
    stem, width = init_chain(keys[0], plan.stem, inputs, model, layers.rectified)
    attend = model.channels(ATTENTION) if model.attention else None
    energies, _ = init_chain(keys[1], head, width + 1, model, partial(layers.smooth, width=attend))
    hit = init_chain(keys[2], head, width + 1, model, layers.rectified)[0] if hits else None
    return stem, energies, hit


def init_chain(key: Array, chain: tuple, inputs: int, model: Model, kind) -> tuple[tuple[layers.Layer, ...], int]:
    """Parameters of layers of a kind (those of one channel: linear), and the number of channels they end with."""
    found = []
    for k, layer in zip(jax.random.split(key, len(chain)), chain, strict=True):
        outputs = model.channels(layer.channels)
        found.append((layers.linear if layer.channels == 1 else kind)(k, layer, inputs, outputs))
        inputs = outputs
    return tuple(found), inputs


def _init_part(key, plan, model, inputs, *, hits, last) -> Part:
    first, second = jax.random.split(key)
    stem, energies, hit = stem_and_heads(first, plan, model, inputs, plan.head, hits)
    if last:
        return Part(stem, layers.quiet(energies), layers.quiet(hit), None)
    if plan.slab == plan.grid[0]:
        return Part(stem, energies, hit, None)
    each = jax.random.split(second, 2 if hits else 1)
    return Part(stem, energies, hit, tuple(layers.linear(k, _slab(plan), 1, 1) for k in each))


def _init_skip(key, number, nodes):
    sizes = (2 + number) * nodes, (3 + number) * nodes, PARTS * nodes
    keys = jax.random.split(key)
    first, second = (
        maps.init_kernel(k, ends, ends[0], ends[1], 1.0) for k, ends in zip(keys, pairwise(sizes), strict=True)
    )
    return first, second


def _skipped(skip, x):
    for weight, bias in skip:
        x = x @ weight + bias
    return x


def _heads(part: Part, plan, x, energy) -> Decoded:
    """hit_logits of a sub-decoder without hit head: as its energies, not to be used."""
    x = layers.chain(part.stem, plan.stem, x[:, None, None, None])
    x = layers.with_number(x, energy)
    energies = layers.chain(part.energies, plan.head, x)[..., 0]
    return Decoded(energies if part.hits is None else layers.chain(part.hits, plan.head, x)[..., 0], energies)


def _handed_on(part: Part, plan, heads: Decoded, model: Model) -> Array:
    found = [heads.energies] if part.hits is None else [heads.energies, heads.hit_logits]
    if part.slabs is not None:
        found = [
            layers.convolved(own, _slab(plan), x[..., None])[..., 0] for own, x in zip(part.slabs, found, strict=True)
        ]
    return found[0] if part.hits is None else found[0] * gated(found[1], model)


def gated(hits: Array, model: Model) -> Array:
    """What energies between sub-decoders are multiplied by."""
    return jax.nn.sigmoid(hits) if model.gate == "probability" else hits


def _slab(plan: Plan) -> Down:
    return Down(1, (plan.grid[0] - plan.slab + 1, 1, 1))
