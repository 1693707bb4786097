"""Stage 2, first half: how many cells and how many rings of each hit layer are hit.

The shower's number of hit cells comes first, so that its spread at an energy is one distribution and not the sum of 45.
It is then shared out from front to back: a hit layer has 1 + m cells, m of the M that are left to give. A mixture of
logistics on log(m / (M - m)) (`nn.mixtures`) gives m its exact probability, and the last hit layer takes what is left.
The number of rings is a categorical variable over what the cells allow. Each layer sees what those before it took.
The number of hit cells at this level is ours; the source has the number of rings.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures, rows
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import grid
from calojax.systems.pyramid.stages.grid import Grid
from calojax.systems.pyramid.stages.layers import categorical

HISTORY = tuple(range(-1, -9, -1))  # layers whose numbers a layer sees
NEVER = -1e9  # logit of a number that cannot be


class Noise(NamedTuple):
    """Uniform: total (T,), cells and rings (G,)."""

    total: Array
    cells: Array
    rings: Array


class Numbers(NamedTuple):
    """Of each layer of the grid: hit rings and hit cells (G,) int32, 0 where the layer is not hit."""

    rings: Array
    cells: Array


class Left(NamedTuple):
    """Before a layer takes its share, beyond one cell per hit layer: cells to give, hit layers to give them to, and
    how many these have room for; (E,)."""

    cells: Array
    layers: Array
    room: Array


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys = jax.random.split(key, 5)
    (layers, radii), hidden = constants.tree.layer_rings.shape, config.hidden
    context, moving = grid.context_size(constants) + 1, 3 * len(HISTORY) + 3
    outputs = mixtures.parameters(config.components)
    return {
        "total": dense.init_stack(keys[0], (3 + layers, hidden, hidden, outputs)),
        "cells_context": dense.init(keys[1], context, hidden),
        "cells": dense.init_stack(keys[2], (moving, hidden, hidden, outputs)),
        "rings_context": dense.init(keys[3], context, hidden),
        "rings": dense.init_stack(keys[4], (moving + 2, hidden, hidden, radii)),
    }


def log_probability(params: dict[str, Any], known: Grid, numbers: Numbers, constants: Constants) -> Array:
    """Of the numbers of all hit layers, (T,)."""
    layers, radii = constants.tree.layer_rings.shape
    by_shower = lambda x: x.reshape(-1, layers)
    left = _left(by_shower(known.hit), by_shower(numbers.cells), constants)
    total = jnp.sum(by_shower(numbers.cells), 1)
    fit, given = _shares(known, constants), numbers.cells - 1
    took = _took(numbers, given, left, known.hit, fit, radii)
    moving = _moving(truth.layers_apart(layers, HISTORY)(took), left, layers)
    contexts = _contexts(params, known, total, constants)
    sizes = jax.tree.map(lambda x: jnp.tile(x, total.shape[0]), constants.layer_size)
    raw = dense.apply_stack(params["cells"], moving, contexts[0])
    of_cells = jnp.where(left.layers > 1, _score_given(raw, given, left, fit, sizes.cells - 1), 0.0)
    logits = _ring_logits(params, moving, contexts[1], numbers.cells, sizes, radii)
    of_rings = jnp.sum(jnp.where(_numbers(radii) == numbers.rings, jax.nn.log_softmax(logits, 0), 0.0), 0)
    of_layers = jnp.where(known.hit, of_cells + of_rings, 0.0)
    return _score_total(params, known, total, left, constants) + jnp.sum(by_shower(of_layers), 1)


def draw(params: dict[str, Any], known: Grid, noise: Noise, constants: Constants) -> Numbers:
    """Numbers of the hit layers."""
    layers, radii = constants.tree.layer_rings.shape
    by_layer = lambda x: jnp.moveaxis(x.reshape(*x.shape[:-1], -1, layers), -1, 0)
    hit = by_layer(known.hit)
    log_total = mixtures.draw(_total(params, known, constants), noise.total)
    mean, width = _total_fit(known, constants)
    fewest = jnp.sum(hit, 0, dtype=jnp.int32)
    room = jnp.sum(hit * (constants.layer_size.cells[:, None] - 1), 0)
    total = jnp.floor(jnp.exp(jnp.clip(log_total * width + mean, 0.0, 15.0)) + 0.5)
    total = jnp.clip(total.astype(jnp.int32), fewest, fewest + room)
    first, of_own = _both(params)
    first = rows.ready(first)
    of_cells, of_rings = (rows.network(params[name][1:]) for name in ("cells", "rings"))
    width_of_cells = len(params["cells"][0].weight)
    context = by_layer(jnp.concatenate(_contexts(params, known, total, constants))).swapaxes(1, 2)

    def body(carry, layer):
        left, history = carry
        here, context, fit, uniforms, size = layer
        moving = _moving(history.reshape(-1, here.shape[0]), left, layers)
        both = rows.product(first, moving.T) + first.bias + context
        raw = of_cells(rows.rectified(both[:, :width_of_cells]).T)
        x = mixtures.draw(raw, uniforms[0]) * fit[1] + fit[0]
        given = jnp.floor((left.cells + 1) * jax.nn.sigmoid(x)).astype(jnp.int32)
        given = jnp.where(left.layers > 1, jnp.clip(given, *_bounds(left, size.cells - 1)), left.cells)
        cells = jnp.where(here, 1 + given, 0)
        seen = both[:, width_of_cells:] + sum(x[:, None] * of_own[:, i] for i, x in enumerate(_own(cells, radii)))
        logits = _possible(of_rings(rows.rectified(seen).T), cells, size, radii)
        numbers = Numbers(jnp.where(here, categorical(logits, uniforms[1]) + 1, 0), cells)
        took = _took(numbers, given, left, here, fit, radii)
        room = left.room - here * (size.cells - 1)
        left = Left(left.cells - jnp.where(here, given, 0), left.layers - here, room)
        return (left, jnp.concatenate([took[None], history[:-1]])), numbers

    start = Left(total - fewest, fewest, room), jnp.zeros((len(HISTORY), 3, hit.shape[1]))
    fit = tuple(by_layer(x) for x in _shares(known, constants))
    uniforms = (by_layer(noise.cells), by_layer(noise.rings))
    steps = (hit, context, fit, uniforms, jax.tree.map(jnp.asarray, constants.layer_size))
    none = jnp.zeros(hit.shape, jnp.int32)
    return Numbers(*(x.T.ravel() for x in grid.from_front(body, start, steps, hit, Numbers(none, none))))


def _both(params):
    """The first layers of both networks as one, for what both see, and the weights of what only that of the rings
    does: `_own`."""
    of_cells, of_rings = params["cells"][0], params["rings"][0]
    shared = of_cells.weight.shape[1]
    weight = jnp.concatenate([of_cells.weight, of_rings.weight[:, :shared]])
    bias = jnp.concatenate([of_cells.bias, of_rings.bias])
    return of_cells._replace(weight=weight, bias=bias), of_rings.weight[:, shared:]


def _features(numbers: Numbers, constants: Constants) -> Array:
    """Own and neighbouring layers' numbers, scaled: (2 (1 + len(NUMBERS)), G)."""
    layers, radii = constants.tree.layer_rings.shape
    own = jnp.stack([numbers.rings / radii, jnp.log1p(numbers.cells) / 4.0])
    return jnp.concatenate([own, truth.layers_apart(layers, grid.NUMBERS)(own)])


def seen(known: Grid, numbers: Numbers, constants: Constants) -> Array:
    """What later stages know of a layer: (seen_size, G)."""
    return jnp.concatenate([known.context, _features(numbers, constants)])


def seen_size(constants: Constants) -> int:
    """Rows of `seen`."""
    return grid.context_size(constants) + 2 * (1 + len(grid.NUMBERS))


def _left(hit, cells, constants):
    """hit, cells (T, L) -> Left before each layer, (G,)."""
    behind = lambda x: jnp.cumsum(x[:, ::-1], 1)[:, ::-1].ravel()
    return Left(behind(cells) - behind(hit), behind(hit), behind(hit * (constants.layer_size.cells - 1)))


def _score_total(params, known, total, left, constants):
    """Log probability (T,) of the number of hit cells, 0 for a shower without."""
    first = lambda x: x.reshape(total.shape[0], -1)[:, 0]
    fewest, room = first(left.layers), first(left.room)
    low, high = (_standard(known, total + side, constants) for side in (-0.5, 0.5))
    low = jnp.where(total <= fewest, -jnp.inf, low)
    high = jnp.where(total >= fewest + room, jnp.inf, high)
    score = mixtures.log_probability(_total(params, known, constants), low, high)
    return jnp.where(total > 0, score, 0.0)


def _score_given(raw, given, left, fit, own_room):
    """Log probability (G,) of what a layer is given; it is drawn as (M + 1) sigmoid(x), rounded down."""
    mean, width = fit
    least, most = _bounds(left, own_room)
    edge = lambda m: (jnp.log(m) - jnp.log(left.cells + 1 - m) - mean) / width
    low = jnp.where(given <= least, -jnp.inf, edge(jnp.maximum(given, 1)))
    high = jnp.where(given >= most, jnp.inf, edge(jnp.clip(given + 1, 1, jnp.maximum(left.cells, 1))))
    return mixtures.log_probability(raw, low, high)


def _bounds(left, own_room):
    """Fewest and most cells that a layer with this much room can be given."""
    return jnp.maximum(left.cells - (left.room - own_room), 0), jnp.minimum(left.cells, own_room)


def _total(params, known, constants):
    layers = constants.tree.layer_rings.shape[0]
    hit = known.hit.reshape(-1, layers).T.astype(jnp.float32)
    return dense.apply_stack(params["total"], jnp.concatenate([known.energy, hit]))


def _total_fit(known, constants):
    energy = known.incident_energy
    return truth.mean(constants.log_hits, energy)[0], truth.width(constants.log_hits, energy)[0]


def _standard(known, total, constants):
    mean, width = _total_fit(known, constants)
    return (jnp.log(jnp.maximum(total, 0.5)) - mean) / width


def _shares(known, constants):
    """Mean and width (G,) of the logits of the layers' shares."""
    by_layer = lambda fit_of: fit_of(constants.hit_share, known.incident_energy).T.ravel()
    return by_layer(truth.mean), by_layer(truth.width)


def _contexts(params, known, total, constants):
    layers = constants.tree.layer_rings.shape[0]
    standard = truth.on_grid(_standard(known, total, constants)[None], layers)
    seen = jnp.concatenate([known.context, standard])
    return dense.apply(params["cells_context"], seen), dense.apply(params["rings_context"], seen)


def _took(numbers, given, left, hit, fit, radii):
    """What later layers see of a layer: its share against the usual one, its cells, its rings; (3, E)."""
    mean, width = fit
    given = jnp.maximum(given, 0)
    share = (jnp.log(given + 0.5) - jnp.log(jnp.maximum(left.cells - given, 0) + 0.5) - mean) / width
    share = jnp.where(hit & (left.layers > 1), jnp.clip(share, -8.0, 8.0), 0.0)
    return jnp.stack([share / 2.0, jnp.log1p(numbers.cells) / 3.0, numbers.rings / radii])


def _moving(history, left, layers):
    per_layer = left.cells / jnp.maximum(left.layers, 1)
    return jnp.concatenate(
        [history, jnp.stack([jnp.log1p(left.cells) / 4.0, left.layers / layers, jnp.log1p(per_layer)])]
    )


def _numbers(radii):
    return jnp.arange(1, radii + 1)[:, None]


def _ring_logits(params, moving, context, cells, size, radii):
    """(R, E) over 1..R hit rings: no more than hit cells or than the layer has, enough to hold the cells."""
    moving = jnp.concatenate([moving, jnp.stack(_own(cells, radii))])
    return _possible(dense.apply_stack(params["rings"], moving, context), cells, size, radii)


def _own(cells, radii):
    return jnp.log1p(cells) / 3.0, jnp.minimum(cells, radii) / radii


def _possible(logits, cells, size, radii):
    least, most = -(-cells // size.per_ring), jnp.minimum(jnp.maximum(cells, 1), size.rings)
    allowed = (_numbers(radii) >= least) & (_numbers(radii) <= most)
    return jnp.where(allowed, logits, NEVER)
