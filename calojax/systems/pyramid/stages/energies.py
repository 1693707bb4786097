"""Stage 4: the energy of every hit cell, divided along the same tree.

    incident energy -> total -> layers -> rings -> cells

Each level shares out the energy above threshold that the level above has left, child by child: a hit child takes the
fraction v of what remains, the last hit child takes all of it (`shares`). So cells that are not hit are zero, hit cells
are at or above threshold, and the sums of layers and of the shower are exact. The logits of the fractions follow
mixtures of logistics, given all that was shared out before. The parameters of all levels are one flat dict.

Sharing out what is left, by layer: the u variables of CaloFlow and CaloINN (arXiv:2106.05285, arXiv:2312.09290); only
hit layers, down to cells, and above threshold: ours.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures, sets
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import energy_cells, energy_layers, energy_rings, shares
from calojax.systems.pyramid.truth import Cells, Rings


class Uniforms(NamedTuple):
    """total (T,), layers (G,), rings (R, G), cells (A, E)."""

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


def noise(of_showers: Noise, listed: Rings, constants: Constants) -> Uniforms:
    """All that stage 4 takes."""
    depth, radii = constants.tree.layer_rings.shape
    on_grid = of_showers.on_grid("energies", radii + 2, depth)
    total = on_grid[-1].reshape(-1, depth)[:, 0]
    in_cells = of_showers.by_ring("cell energies", listed, constants.tree.ring_cells.shape[1])
    return Uniforms(total, on_grid[radii], on_grid[:radii], in_cells)


def of_showers(excess: Array, rings: Rings, constants: Constants) -> Energies:
    """True energies of every level from those of the cells, excess (A, E)."""
    by_ring = truth.grid(jnp.sum(excess, 0), rings, constants)
    layers = jnp.sum(by_ring, 0)
    total = jnp.sum(layers.reshape(-1, constants.tree.layer_rings.shape[0]), 1)
    return Energies(total, layers, by_ring, excess)


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys, hidden = jax.random.split(key, 4), config.hidden
    sizes = (3 + 2 * constants.tree.layer_rings.shape[0], hidden, hidden, mixtures.parameters(config.components))
    params: dict[str, Any] = {"total": dense.init_stack(keys[0], sizes)}
    for level, k in zip((energy_layers, energy_rings, energy_cells), keys[1:], strict=True):
        params |= level.init(k, config, constants)
    return params


def log_probability(
    params: dict[str, Any], pattern: Hits, energies: Energies, listed: Cells, constants: Constants
) -> dict[str, Array]:
    """Log densities of ln(total) and of the logits of the shares, by level, each (T,); listed: the hit cells."""
    showers, depth = pattern.known.energy.shape[1], constants.tree.layer_rings.shape[0]
    by_shower = lambda score: jnp.sum(score.reshape(showers, depth), 1)
    total = _standard(pattern, energies.total, constants)
    of_total = mixtures.log_density(_raw(params, pattern, constants), total) - jnp.log(_fit(pattern, constants)[1])
    of_layers = energy_layers.log_density(params, pattern, energies.total, total, energies.layers, constants)
    of_rings = energy_rings.log_density(params, pattern, energies.layers, energies.rings, constants)
    of_cells = energy_cells.log_density(params, pattern, energies.cells, listed, constants)
    owner = jnp.concatenate([pattern.rings.owner, jnp.full(1, showers)])[listed.place]
    return {
        "total": jnp.where(energies.total > 0, of_total, 0.0),
        "layers": by_shower(of_layers),
        "rings": by_shower(of_rings),
        "cells": sets.sum_by_owner(of_cells, owner, showers),
    }


def draw(params: dict[str, Any], pattern: Hits, uniforms: Uniforms, most: int, constants: Constants) -> Array:
    """Energies above threshold of the hit cells, (A, E), MeV; most: hit cells that the pattern can have."""
    standard = jnp.clip(mixtures.draw(_raw(params, pattern, constants), uniforms.total), -8.0, 8.0)
    mean, width = _fit(pattern, constants)
    total = pattern.known.incident_energy * jnp.exp(standard * width + mean)
    layers = energy_layers.draw(params, pattern, total, standard, uniforms.layers, constants)
    rings = truth.from_grid(energy_rings.draw(params, pattern, layers, uniforms.rings, constants), constants)
    in_list = rings[jnp.minimum(pattern.rings.owner, rings.shape[0] - 1), pattern.rings.ring]
    return energy_cells.draw(params, pattern, in_list, uniforms.cells, most, constants)


def _fit(pattern, constants):
    """Mean and width (T,) of the logarithm of the response."""
    energy = pattern.known.incident_energy
    return truth.mean(constants.response, energy)[0], truth.width(constants.response, energy)[0]


def _standard(pattern, total, constants):
    mean, width = _fit(pattern, constants)
    return (jnp.log(jnp.maximum(total, shares.TINY) / pattern.known.incident_energy) - mean) / width


def _raw(params, pattern, constants):
    layers, radii = constants.tree.layer_rings.shape
    by_layer = lambda x: x.reshape(-1, layers).T
    found = pattern.numbers
    parts = [pattern.known.energy, by_layer(jnp.log1p(found.cells) / 4.0), by_layer(found.rings) / radii]
    return dense.apply_stack(params["total"], jnp.concatenate(parts))
