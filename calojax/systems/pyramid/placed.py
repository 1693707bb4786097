"""Hit patterns with every cell placed once: coupling = "gumbel-mixture"."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import sets
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import cells, counts, grid, layers, numbers, rings


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters of the stages."""
    keys = jax.random.split(key, 5)
    stages = {"layers": layers, "numbers": numbers, "rings": rings, "counts": counts, "cells": cells}
    return {name: stage.init(k, config, constants) for k, (name, stage) in zip(keys, stages.items(), strict=True)}


def log_probability(
    params: dict[str, Any], incident_energy: Array, hits: Hits, key: Array, config: Model, constants: Constants
) -> dict[str, Array]:
    """Log probability of each stage's outcome given the stages above, each (T,), in nats."""
    n, depth = incident_energy.shape[0], constants.tree.layer_rings.shape[0]
    by_layer = lambda x: jnp.sum(x.reshape(n, depth), 1)
    known, pattern = hits.known, hits.counts > 0
    of_numbers = numbers.log_probability(params["numbers"], known, hits.numbers, constants)
    of_rings = rings.log_probability(params["rings"], known, hits.numbers, pattern, constants)
    of_counts = counts.log_probability(params["counts"], known, hits.numbers, pattern, hits.counts, constants)
    of_cells = cells.log_probability(params["cells"], incident_energy, hits.rings, hits.cells, config, constants)
    of_layers = layers.log_probability(params["layers"], incident_energy, known.hit.reshape(n, depth), constants)
    return {
        "layers": of_layers,
        "numbers": of_numbers,
        "rings": by_layer(of_rings),
        "counts": by_layer(of_counts),
        "cells": sets.sum_by_owner(of_cells, hits.rings.owner, n),
    }


def draw(
    params: dict[str, Any], incident_energy: Array, noise: Noise, capacity: int, config: Model, constants: Constants
) -> Hits:
    """incident_energy (T,), MeV; capacity: hit rings that the tile's list can hold."""
    depth, radii = constants.tree.layer_rings.shape
    in_layers = noise.by_shower("hit layers", 1 + depth)
    hit_layers = layers.draw(params["layers"], incident_energy, layers.Noise(in_layers[0], in_layers[1:]), constants)
    known = grid.build(incident_energy, hit_layers, constants)
    uniforms = noise.on_grid("numbers", 3, depth)
    total = uniforms[2].reshape(-1, depth)[:, 0]
    found = numbers.draw(params["numbers"], known, numbers.Noise(total, *uniforms[:2]), constants)
    hit_rings = rings.draw(params["rings"], known, found, noise.on_grid("hit rings", radii, depth), constants)
    shared = noise.on_grid("hit cells by ring", radii, depth)
    hit_cells = counts.draw(params["counts"], known, found, hit_rings, shared, capacity, constants)
    in_tree = truth.from_grid(hit_cells, constants)
    chosen = sets.compact(in_tree > 0, capacity)
    listed = truth.ring_list(chosen.owner, chosen.position, incident_energy.shape[0], constants)
    count = jnp.where(listed.real, in_tree[jnp.minimum(chosen.owner, in_tree.shape[0] - 1), chosen.position], 0)
    uniforms = noise.by_ring("cells", listed, constants.tree.ring_cells.shape[1])
    pattern = cells.draw(params["cells"], incident_energy, listed, count, uniforms, config, constants)
    return Hits(known, found, hit_cells, listed, pattern, chosen.overflow)
