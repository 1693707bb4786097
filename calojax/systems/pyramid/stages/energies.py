"""Stage 4: the energy of every hit cell, divided along the same tree.

    incident energy -> total -> layers -> rings -> cells

Each level shares out the energy above threshold that the level above has left, child by child: a hit child takes the
fraction v of what remains, the last hit child takes all of it. So cells that are not hit are zero, hit cells are at or
above threshold, and the sums of layers and of the shower are exact. The logits of the fractions are the variables of
the flows: a spline in one dimension for the total, a set coupling flow for the layers (as in stage 2), and for rings
and cells splines that move every child once, in order, given all that is placed before (as the hits of stage 3).

Sharing out what is left, by layer: the u variables of CaloFlow and CaloINN (arXiv:2106.05285, arXiv:2312.09290); only
hit layers, down to cells, and above threshold: ours.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import couplings, dense, placement, sets, splines
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import grid, ringlist, rings, shares
from calojax.systems.pyramid.truth import Rings

FACES = 4  # the first of `coarse.NEIGHBOURS`, which share a face: whose energies are seen
TINY = 1e-12


class Normals(NamedTuple):
    """Standard normal: total (T,), layers (1, G), rings (R, G), cells (A, E)."""

    total: Array
    layers: Array
    rings: Array
    cells: Array


class Energies(NamedTuple):
    """MeV above threshold: total (T,), layers (G,), rings (R, G), cells (A, E)."""

    total: Array
    layers: Array
    rings: Array
    cells: Array


def noise(of_showers: Noise, listed: Rings, constants: Constants) -> Normals:
    """All that stage 4 takes."""
    depth, radii = constants.tree.layer_rings.shape
    on_grid = of_showers.on_grid("energies", radii + 2, depth, normal=True)
    total = on_grid[-1].reshape(-1, depth)[:, 0]
    in_cells = of_showers.by_ring("cell energies", listed, constants.tree.ring_cells.shape[1], normal=True)
    return Normals(total, on_grid[radii : radii + 1], on_grid[:radii], in_cells)


def of_showers(excess: Array, rings: Rings, constants: Constants) -> Energies:
    """True energies of every level from those of the cells, excess (A, E)."""
    by_ring = truth.grid(jnp.sum(excess, 0), rings, constants)
    layers = jnp.sum(by_ring, 0)
    total = jnp.sum(layers.reshape(-1, constants.tree.layer_rings.shape[0]), 1)
    return Energies(total, layers, by_ring, excess)


def layer_shape(config: Model, constants: Constants) -> couplings.Shape:
    """The set flow on the layers' fractions."""
    return couplings.Shape(
        dims=1,
        context=grid.context_size(constants) + 2 * (1 + len(grid.NUMBERS)) + 1,
        neighbours=len(grid.NUMBERS),
        couplings=config.couplings,
        hidden=config.hidden,
        pooled=config.pooled,
        bins=config.bins,
        bound=config.bound,
    )


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys = jax.random.split(key, 6)
    layers, radii = constants.tree.layer_rings.shape
    cells, hidden, narrow = constants.tree.ring_cells.shape[1], config.hidden, config.cell_hidden
    outputs = 2 + splines.parameters(config.bins)
    by_layer = grid.context_size(constants) + 2 * (1 + len(grid.NUMBERS)) + 1 + len(grid.VECTORS)
    in_cells = 2 * (cells - 1) + 2 * FACES * _width(cells) + 2
    return {
        "total": dense.init_stack(keys[0], (3 + 2 * layers, hidden, hidden, outputs)),
        "layers": couplings.init(keys[1], layer_shape(config, constants)),
        "ring_context": dense.init(keys[2], by_layer + radii * (2 + len(grid.VECTORS)), hidden),
        "rings": dense.init_stack(keys[3], (radii * (2 + len(grid.VECTORS)) + 3, hidden, hidden, outputs)),
        "cell_context": dense.init(keys[4], 3 + constants.ring_features.shape[0] + 2 + 2 * FACES, narrow),
        "step": jnp.zeros((narrow, cells)),
        "cells": dense.init_stack(keys[5], (in_cells, narrow, narrow, outputs)),
    }


def log_probability(
    params: dict[str, Any],
    incident_energy: Array,
    pattern: Hits,
    energies: Energies,
    config: Model,
    constants: Constants,
) -> dict[str, Array]:
    """Log densities of the standardised logits: total (T,), layers (G,), rings (G,), cells (E,)."""
    known = pattern.known
    total = _standard_total(incident_energy, energies.total, constants)
    raw = _total_raw(params, known, pattern.numbers, constants)
    scores = {"total": shares.log_density(raw, total[None], config.bound)[0]}
    scores["total"] = jnp.where(energies.total > 0, scores["total"], 0.0)
    setting, shape = _layer_setting(incident_energy, known, pattern.numbers, total, constants, config)
    logits = shares.logits(energies.layers.reshape(known.energy.shape[1], -1).T).T.reshape(1, -1)
    fit = _layer_fit(incident_energy, pattern, constants)
    standard = jnp.where(setting.real, (logits - fit[0]) / fit[1], 0.0)
    scores["layers"] = couplings.log_density(params["layers"], standard, setting, shape)
    by_ring = jnp.sum(energies.cells, 0)
    of_rings = shares.scoring(energies.rings, config.bound)
    of_cells = shares.scoring(_in_order(energies.cells, pattern, constants), config.bound)
    scores["rings"] = _divide_layers(params, pattern, energies.layers, of_rings, constants)[1]
    scores["cells"] = _divide_rings(params, incident_energy, pattern, by_ring, of_cells, constants)[1]
    return scores


def draw(
    params: dict[str, Any],
    incident_energy: Array,
    pattern: Hits,
    noise: Normals,
    config: Model,
    constants: Constants,
) -> Array:
    """Energies above threshold of the hit cells, (A, E), MeV."""
    known = pattern.known
    raw = _total_raw(params, known, pattern.numbers, constants)
    total = couplings.undo_by_context(raw, noise.total[None], config.bound).values[0]
    energy = incident_energy * jnp.exp(total * constants.response.width[0] + _response(incident_energy, constants))
    setting, shape = _layer_setting(incident_energy, known, pattern.numbers, total, constants, config)
    standard = couplings.inverse(params["layers"], noise.layers, setting, shape).values
    fit = _layer_fit(incident_energy, pattern, constants)
    logits = (standard * fit[1] + fit[0]).reshape(known.energy.shape[1], -1)
    hit = known.hit.reshape(logits.shape)
    layers = shares.take(logits.T, hit.T, energy).T.ravel()
    of_rings = shares.drawing(noise.rings, config.bound)
    of_cells = shares.drawing(_in_order(noise.cells, pattern, constants), config.bound)
    by_ring = truth.from_grid(_divide_layers(params, pattern, layers, of_rings, constants)[0], constants)
    in_list = by_ring[jnp.minimum(pattern.rings.owner, by_ring.shape[0] - 1), pattern.rings.ring]
    return _divide_rings(params, incident_energy, pattern, in_list, of_cells, constants)[0]


# --- total and layers


def _response(incident_energy, constants):
    return truth.polynomial(constants.response, incident_energy)[0]


def _standard_total(incident_energy, total, constants):
    log_ratio = jnp.log(jnp.maximum(total, TINY) / incident_energy)
    return (log_ratio - _response(incident_energy, constants)) / constants.response.width[0]


def _total_raw(params, known, numbers, constants):
    layers = constants.tree.layer_rings.shape[0]
    by_layer = lambda x: x.reshape(-1, layers).T
    parts = [known.energy, by_layer(jnp.log1p(numbers.cells) / 4.0), by_layer(numbers.rings) / layers]
    return dense.apply_stack(params["total"], jnp.concatenate(parts))[:, None]


def _layer_setting(incident_energy, known, numbers, total, constants, config):
    layers = constants.tree.layer_rings.shape[0]
    hit = known.hit.reshape(-1, layers)
    behind = jnp.cumsum(hit[:, ::-1], 1)[:, ::-1] - hit
    real = (hit & (behind > 0)).ravel()
    own_total = truth.on_grid(total[None], layers)
    context = jnp.concatenate([known.context, rings.number_features(numbers, constants), own_total])
    neighbours = truth.layers_apart(layers, grid.NUMBERS)
    setting = couplings.Setting(context, real, known.parity, known.owner, hit.shape[0], neighbours)
    return setting, layer_shape(config, constants)


def _layer_fit(incident_energy, pattern, constants):
    """Mean and width (G,) of the logits of the layers' shares: those of their hits, and a polynomial in ln E."""
    mean = truth.polynomial(constants.layer_share, incident_energy).T.ravel()
    of_hits = shares.logits(pattern.numbers.cells.reshape(incident_energy.shape[0], -1).T.astype(jnp.float32))
    return mean + of_hits.T.ravel(), jnp.tile(constants.layer_share.width, incident_energy.shape[0])


# --- rings of a layer


def _divide_layers(params, pattern, layers, splitter, constants):
    """Energies of the rings (R, G) and their log density (G,)."""
    depth, radii = constants.tree.layer_rings.shape
    n = constants.tree.ring_cells.shape[1]
    around = truth.layers_apart(depth, grid.VECTORS)
    hit = pattern.counts > 0
    per_cell = layers / jnp.maximum(pattern.numbers.cells, 1)
    context = _ring_context(params, pattern, per_cell, constants)
    mean, width = _ring_fit(pattern, constants)
    first, *rest = params["rings"]

    def body(carry, step):
        scaled, left, cells_left, total = carry
        here, cells = hit[step], pattern.counts[step]
        free = here & (cells_left > cells)
        remaining = jnp.stack([jnp.log(left + TINY) - jnp.log(layers + TINY), cells_left / n, cells / n])
        remaining = jnp.where(here, remaining, 0.0)
        at_step = jnp.broadcast_to((jnp.arange(radii) == step)[:, None], hit.shape).astype(jnp.float32)
        inputs = jnp.concatenate([scaled, around(scaled), at_step, remaining])
        raw = dense.apply_stack(tuple(rest), jax.nn.relu(dense.apply(first, inputs) + context))
        split = splitter(step, raw, (mean[step], width[step]), left, here, free)
        ratio = jnp.log(split.taken / jnp.maximum(cells, 1) + TINY) - jnp.log(per_cell + TINY)
        scaled = scaled.at[step].set(jnp.where(here, ratio / 3.0, 0.0))
        return (scaled, split.rest, cells_left - cells, total + split.score), split.taken

    start = (jnp.zeros(hit.shape), layers, pattern.numbers.cells, jnp.zeros(layers.shape))
    (_, _, _, total), taken = jax.lax.scan(jax.checkpoint(body), start, jnp.arange(radii))
    return taken, total


def _ring_context(params, pattern, per_cell, constants):
    known = pattern.known
    depth = constants.tree.layer_rings.shape[0]
    around = truth.layers_apart(depth, grid.VECTORS)
    numbers = rings.number_features(pattern.numbers, constants)
    own = jnp.where(known.hit, jnp.log(per_cell + TINY), 0.0)[None] / 3.0
    share = pattern.counts / constants.tree.ring_cells.shape[1]
    hit = (pattern.counts > 0).astype(jnp.float32)
    parts = [known.context, numbers, own, around(own), share, around(share), hit]
    return dense.apply(params["ring_context"], jnp.concatenate(parts))


def _ring_fit(pattern, constants):
    """Mean and width (R, G) of the logits of the rings' shares: those of their hits, and a polynomial in ln E."""
    known = pattern.known
    showers = known.energy.shape[1]
    low, high = constants.log_energy
    energy = jnp.exp((known.energy[0] * jnp.maximum(high - low, 1e-3) + low + high) / 2)
    mean = truth.to_grid(truth.polynomial(constants.ring_share, energy).T, constants)
    width = truth.to_grid(jnp.tile(constants.ring_share.width, (showers, 1)), constants)
    return mean + shares.logits(pattern.counts.astype(jnp.float32)), jnp.maximum(width, 1e-2)


# --- cells of a ring


def _width(cells):
    return 2 * min(1, (cells - 1) // 2) + 1


def _in_order(values, pattern, constants):
    """values (A, E) by cell -> by step of each ring."""
    around = ringlist.surroundings(pattern.rings, constants)
    return jnp.take_along_axis(values, ringlist.order(values.shape[0], around.parity), axis=0)


def _divide_rings(params, incident_energy, pattern, by_ring, splitter, constants):
    """Energies of the cells (A, E) and their log density (E,)."""
    n = constants.tree.ring_cells.shape[1]
    around = ringlist.surroundings(pattern.rings, constants)
    around = around._replace(near=around.near[:FACES])
    order, bases = ringlist.order(n, around.parity), jnp.asarray(placement.interleaved(n))
    counts = jnp.sum(pattern.cells, 0, dtype=jnp.int32)
    per_cell = by_ring / jnp.maximum(counts, 1)
    context = _cell_context(params, incident_energy, pattern.rings, counts, per_cell, around, constants)
    first, *rest = params["cells"]
    reach = (_width(n) - 1) // 2
    hits = pattern.cells.astype(jnp.float32)

    def body(carry, step):
        energy, scaled, left, cells_left, total = carry
        cell = order[step]
        here = grid.at(hits, cell) > 0
        free = here & (cells_left > 1)
        rolled, rolled_hits = ringlist.turned(scaled, bases[step]), ringlist.turned(hits, bases[step])
        ratio = jnp.log(left + TINY) - jnp.log(per_cell * jnp.maximum(cells_left, 1) + TINY)
        inputs = [
            ringlist.own_view(rolled, around.parity)[1:],
            ringlist.own_view(rolled_hits, around.parity)[1:],
            ringlist.near_view(rolled, around, reach, 0.0, 0.0),
            ringlist.near_view(rolled_hits, around, reach, 0.0, 0.0),
            jnp.where(free, ratio, 0.0)[None],
            (cells_left / n)[None],
        ]
        seen = dense.apply(first, jnp.concatenate(inputs)) + params["step"][:, step][:, None] + context
        raw = dense.apply_stack(tuple(rest), jax.nn.relu(seen))
        fit = (-jnp.log(jnp.maximum(cells_left - 1.0, 1.0)), 1.0)
        split = splitter(step, raw, fit, left, here, free)
        here_at = (jnp.arange(n)[:, None] == cell) & here
        energy = jnp.where(here_at, split.taken, energy)
        log_ratio = jnp.log(split.taken + TINY) - jnp.log(per_cell + TINY)
        scaled = jnp.where(here_at, log_ratio / 2.0, scaled)
        return (energy, scaled, split.rest, cells_left - here, total + split.score), None

    start = (jnp.zeros(hits.shape), jnp.zeros(hits.shape), by_ring, counts, jnp.zeros(by_ring.shape))
    (energy, _, _, _, total), _ = jax.lax.scan(jax.checkpoint(body), start, jnp.arange(n))
    return energy, total


def _cell_context(params, incident_energy, listed, counts, per_cell, around, constants):
    energy = sets.of_owner(truth.energy_features(incident_energy, constants), listed.owner)
    share = (counts / constants.ring_size[listed.ring])[None]
    own = jnp.where(listed.real, jnp.log(per_cell + TINY), 0.0)[None] / 3.0
    near = [ringlist.near_numbers(x, around) for x in (own, share)]
    parts = [energy, constants.ring_features[:, listed.ring], share, own, *near]
    return dense.apply(params["cell_context"], jnp.concatenate(parts))
