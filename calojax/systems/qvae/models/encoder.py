"""The hierarchical encoder: three levels, one after another, each with the logits of one partition.

A level takes the transformed shower u, the incident energy and the partitions so far (the bits of the energy first).
How it sees the partitions (`Model.earlier`): "map" is a dense projection to a few channels on the grid where the energy
joins; "scalar" is published: one number for each shower, added to every cell,

    K / (M - 1) sum_j [cos(pi j / M) s_j + sin(pi j / M) (1 - s_j)] / sqrt(M),   K integers lie in [1, M / 4 - 1)

Source: the CaloQVAE line (arXiv:2410.22870). Group norm stands where the source has batch norm. Letters: N showers,
n nodes of a partition, M nodes of the partitions so far.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import maps, smoothing
from calojax.systems.qvae.models import layers
from calojax.systems.qvae.models.config import Model
from calojax.systems.qvae.models.plan import Grid, Plan, grids

LEVELS = 3
LARGEST_LOGIT = 88.0  # exp of it is finite in float32
_GAIN = 16.0  # of the logits: at the start already most bits say more of the shower than of the noise
_CHANNELS = 8  # of the map of earlier partitions


class Level(NamedTuple):
    """A level's layers, and the projection (weight (M, cells, channels)) of the partitions before it, or None."""

    layers: tuple[layers.Layer, ...]
    earlier: maps.Kernel | None


class Latents(NamedTuple):
    """logits and samples of the three partitions, each (N, 3, n)."""

    logits: Array
    samples: Array


def init(key: Array, plan: Plan, model: Model) -> tuple[Level, ...]:
    """Parameters of the three levels."""
    keys = jax.random.split(key, LEVELS)
    return tuple(_init_level(k, plan, model, (number + 1) * model.nodes) for number, k in enumerate(keys))


def encode(
    params: tuple[Level, ...],
    plan: Plan,
    u: Array,
    energy: Array,
    bits: Array,
    noise: Array | None,
    sharpness: Array | float | None,
    direct: Array | float = 0.0,
) -> Latents:
    """u (N, Z, A, R), energy (N,) as `conditioning.channel`, bits (N, n) -> logits and samples (N, 3, n).

    noise: (N, 3, n) logistic, None: what is more likely; sharpness: of the smoothed samples, `smoothing.HARD` for bits;
    direct: (N, 3, n) or number added to the logits.
    """
    direct = jnp.broadcast_to(direct, (len(u), LEVELS, bits.shape[1]))
    seen, logits = [bits], []
    for number, level in enumerate(params):
        found = direct[:, number] + _level(level, plan, u[..., None], energy, jnp.concatenate(seen, 1))
        logits.append(jnp.clip(found, -LARGEST_LOGIT, LARGEST_LOGIT))
        drawn = 0.0 if noise is None else noise[:, number]
        seen.append(smoothing.sample(logits[-1], drawn, sharpness))
    return Latents(jnp.stack(logits, 1), jnp.stack(seen[1:], 1))


def scalar(seen: Array) -> Array:
    """seen (N, M) -> the published number (N,) that stands for it."""
    nodes = seen.shape[1]
    angle = jnp.pi * jnp.arange(nodes) / nodes
    terms = max(math.ceil(nodes / 4 - 1) - 1, 0)
    total = seen @ jnp.cos(angle) + (1 - seen) @ jnp.sin(angle)
    return terms / max(nodes - 1, 1) / math.sqrt(nodes) * total


def _init_level(key, plan, model, nodes) -> Level:
    *inner, _ = plan.encoder
    channels = [*(model.channels(layer.channels) for layer in inner), model.nodes]
    extra = [0] * len(channels)
    before, earlier = plan.energy_before, None
    extra[before] = 1
    first, *keys = jax.random.split(key, len(channels) + 1)
    if model.earlier == "map":
        cells, width = math.prod(_joining(plan)), model.channels(_CHANNELS)
        earlier = maps.init_kernel(first, (nodes, cells, width), nodes, width)
        extra[before] += width
    inputs = [had + more for had, more in zip([1, *channels[:-1]], extra, strict=True)]
    sizes = list(zip(keys, plan.encoder, inputs, channels, strict=True))
    found = [layers.rectified(*size) for size in sizes[:-1]]
    return Level((*found, layers.linear(*sizes[-1], _GAIN)), earlier)


def _level(level, plan, x, energy, seen):
    n, before = x.shape[0], plan.energy_before
    if level.earlier is None:
        x = x + scalar(seen)[:, None, None, None, None]
    x = layers.chain(level.layers[:before], plan.encoder[:before], x)
    x = layers.with_number(x, energy)
    if level.earlier is not None:
        weight, bias = level.earlier
        told = (seen @ weight.reshape(len(weight), -1)).reshape(n, *_joining(plan), -1)
        x = jnp.concatenate([x, told + bias], 4)
    return layers.chain(level.layers[before:], plan.encoder[before:], x).reshape(n, -1)


def _joining(plan: Plan) -> Grid:
    """The grid on which the energy joins."""
    return grids(plan.grid, plan.encoder[: plan.energy_before])[-1]
