"""The decoder that works on the whole grid from its first sub-decoder on ("GeoDecoder").

The first sub-decoder spreads the latent variables from a point over the grid, in two heads of features that are
multiplied. The others refine: convolutions that keep the grid take the features, one channel of a skip connection and
the energy. The second and third add what they find to the features; the last one has two towers that end in the heads.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.systems.qvae.models import flat, layers
from calojax.systems.qvae.models.config import Model
from calojax.systems.qvae.models.decoded import Decoded
from calojax.systems.qvae.models.plan import Plan


class Params(NamedTuple):
    """stem and heads of the first sub-decoder, two that refine, two towers of the last, three skip connections."""

    stem: tuple[layers.Layer, ...]
    energies: tuple[layers.Layer, ...]
    hits: tuple[layers.Layer, ...]
    refining: tuple[tuple[layers.Layer, ...], ...]
    energy_tower: tuple[layers.Layer, ...]
    hit_tower: tuple[layers.Layer, ...]
    skips: tuple[tuple[layers.Layer, ...], ...] | None


def init(key: Array, plan: Plan, model: Model) -> Params:
    """Parameters."""
    keys = jax.random.split(key, 8)
    nodes, attend = model.nodes, model.channels(flat.ATTENTION) if model.attention else None
    first = flat.stem_and_heads(keys[0], plan, model, flat.PARTS * nodes + 1, plan.head[:-1], True)
    inputs = model.channels(plan.head[-2].channels) + 1 + model.skip
    smooth = partial(layers.smooth, width=attend)
    refining = [flat.init_chain(k, plan.refining[:-1], inputs, model, smooth)[0] for k in keys[1:3]]
    energy_tower, _ = flat.init_chain(keys[3], plan.refining, inputs, model, smooth)
    hit_tower, _ = flat.init_chain(keys[4], plan.refining, inputs, model, _rectified_attending(attend))
    skips = [
        flat.init_chain(k, plan.skip, (2 + number) * nodes, model, layers.rectified)[0]
        for number, k in enumerate(keys[5:])
    ]
    towers = layers.quiet(energy_tower), layers.quiet(hit_tower)
    return Params(*first, tuple(refining), *towers, tuple(skips) if model.skip else None)


def decode(params: Params, plan: Plan, model: Model, latent: Array, energy: Array) -> Decoded:
    """See `decoders.decode`."""
    features = _first(params, plan, model, latent, energy)
    for number, refining in enumerate(params.refining):
        x = _joined(features, params, plan, latent, energy, number)
        features += layers.chain(refining, plan.refining[:-1], x)
    x = _joined(features, params, plan, latent, energy, 2)
    towers = (layers.chain(tower, plan.refining, x)[..., 0] for tower in (params.hit_tower, params.energy_tower))
    return Decoded(*towers)


def _first(params, plan, model, latent, energy):
    point = latent.reshape(latent.shape[0], 1, 1, 1, -1)
    x = layers.chain(params.stem, plan.stem, layers.with_number(point, energy))
    x = layers.with_number(x, energy)
    energies = layers.chain(params.energies, plan.head[:-1], x)
    return energies * flat.gated(layers.chain(params.hits, plan.head[:-1], x), model)


def _joined(features, params, plan, latent, energy, number):
    """The features, the channel of the skip connection if there is one, and the energy."""
    parts = [features]
    if params.skips is not None:
        groups = flat.groups(latent, number).reshape(latent.shape[0], 1, 1, 1, -1)
        parts.append(layers.chain(params.skips[number], plan.skip, groups))
    return layers.with_number(jnp.concatenate(parts, 4), energy)


def _rectified_attending(width):
    """Layers of the hit tower: norm, rectifier, attention."""

    def init(key, layer, inputs, outputs):
        first, second = jax.random.split(key)
        with_attention = layers.smooth(second, layer, inputs, outputs, width).attention
        return layers.rectified(first, layer, inputs, outputs)._replace(attention=with_attention)

    return init
