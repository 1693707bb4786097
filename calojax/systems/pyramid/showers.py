"""The four stages together: the likelihood of true showers, and showers drawn from nothing but energies and noise."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import sets
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import cells, counts, energies, grid, layers, rings
from calojax.systems.pyramid.truth import Showers

PURPOSES = ("hit layers", "numbers", "hit rings", "hit cells by ring", "cells", "energies", "cell energies")


class Drawn(NamedTuple):
    """Hit cells of a tile by ring: rings, cells (A, E) bool, excess (A, E) MeV; overflow: the list was too short."""

    rings: truth.Rings
    cells: Array
    excess: Array
    overflow: Array


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters of all stages."""
    keys = jax.random.split(key, 5)
    stages = {"layers": layers, "rings": rings, "counts": counts, "cells": cells, "energies": energies}
    return {name: stage.init(k, config, constants) for k, (name, stage) in zip(keys, stages.items(), strict=True)}


def log_probability(
    params: dict[str, Any], showers: Showers, key: Array, config: Model, constants: Constants
) -> dict[str, Array]:
    """Log probability of each stage's outcome given the true stages above, each (T,), in nats."""
    n, depth = showers.incident_energy.shape[0], constants.tree.layer_rings.shape[0]
    owner = showers.rings.owner
    by_layer = lambda x: jnp.sum(x.reshape(n, depth), 1)
    hit_cells = truth.grid(jnp.sum(showers.cells, 0, dtype=jnp.int32), showers.rings, constants)
    hit_rings = hit_cells > 0
    hit_layers = jnp.any(hit_rings, 0).reshape(n, depth)
    known = grid.build(showers.incident_energy, hit_layers, constants)
    numbers = rings.Numbers(jnp.sum(hit_rings, 0, dtype=jnp.int32), jnp.sum(hit_cells, 0))
    uniforms = jax.random.uniform(key, (2, n * depth))
    of_numbers, of_rings = rings.log_probability(
        params["rings"], known, numbers, hit_rings, uniforms, config, constants
    )
    of_counts = counts.log_probability(params["counts"], known, numbers, hit_rings, hit_cells, constants)
    of_cells = cells.log_probability(
        params["cells"], showers.incident_energy, showers.rings, showers.cells, config, constants
    )
    pattern = energies.Pattern(numbers, hit_cells, showers.rings, showers.cells)
    true = energies.of_showers(showers.excess, showers.rings, constants)
    energy = energies.log_probability(
        params["energies"], showers.incident_energy, known, pattern, true, config, constants
    )
    return {
        "layers": layers.log_probability(params["layers"], showers.incident_energy, hit_layers, constants),
        "numbers": by_layer(of_numbers),
        "rings": by_layer(of_rings),
        "counts": by_layer(of_counts),
        "cells": sets.sum_by_owner(of_cells, owner, n),
        "energy_total": energy["total"],
        "energy_layers": by_layer(energy["layers"]),
        "energy_rings": by_layer(energy["rings"]),
        "energy_cells": sets.sum_by_owner(energy["cells"], owner, n),
    }


def draw(
    params: dict[str, Any], incident_energy: Array, keys: Array, capacity: int, config: Model, constants: Constants
) -> Drawn:
    """incident_energy (T,), MeV; keys (T,), one per shower; capacity: hit rings that the tile's list can hold."""
    depth, radii = constants.tree.layer_rings.shape
    n_cells = constants.tree.ring_cells.shape[1]
    noise = _Noise(keys)
    hit_layers = layers.draw(
        params["layers"],
        incident_energy,
        layers.Noise(*_split_first(noise.uniform("hit layers", (1 + depth,)))),
        constants,
    )
    known = grid.build(incident_energy, hit_layers, constants)
    of_rings = rings.Noise(noise.on_grid("numbers", 2, depth, normal=True), noise.on_grid("hit rings", radii, depth))
    numbers, hit_rings = rings.draw(params["rings"], known, of_rings, config, constants)
    numbers = rings.feasible(numbers, hit_rings, constants)
    hit_cells = counts.draw(
        params["counts"], known, numbers, hit_rings, noise.on_grid("hit cells by ring", radii, depth), constants
    )
    in_tree = truth.from_grid(hit_cells, constants)
    found = sets.compact(in_tree > 0, capacity)
    listed = truth.ring_list(found.owner, found.position, incident_energy.shape[0], constants)
    count = jnp.where(listed.real, in_tree[jnp.minimum(found.owner, in_tree.shape[0] - 1), found.position], 0)
    pattern = cells.draw(
        params["cells"], incident_energy, listed, count, noise.by_ring("cells", listed, n_cells), config, constants
    )
    excess = energies.draw(
        params["energies"],
        incident_energy,
        known,
        energies.Pattern(numbers, hit_cells, listed, pattern),
        noise.of_energies(listed, depth, radii, n_cells),
        config,
        constants,
    )
    return Drawn(listed, pattern, excess, found.overflow)


def _split_first(values):
    return values[:, 0], values[:, 1:].T


class _Noise:
    """Random numbers keyed by (shower, purpose, place), so that neither tile nor capacity changes them."""

    def __init__(self, keys: Array):
        self.keys = keys

    def _for(self, purpose: str) -> Array:
        return jax.vmap(lambda key: jax.random.fold_in(key, PURPOSES.index(purpose)))(self.keys)

    def uniform(self, purpose: str, shape: tuple[int, ...]) -> Array:
        return jax.vmap(lambda key: jax.random.uniform(key, shape))(self._for(purpose))

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Array:
        return jax.vmap(lambda key: jax.random.normal(key, shape))(self._for(purpose))

    def on_grid(self, purpose: str, rows: int, depth: int, *, normal: bool = False) -> Array:
        """(rows, G)."""
        values = (self.normal if normal else self.uniform)(purpose, (depth, rows))
        return values.reshape(-1, rows).T

    def by_ring(self, purpose: str, listed: truth.Rings, cells: int, *, normal: bool = False) -> Array:
        """(A, E): drawn only for the rings in the list, by their number in the detector."""
        draw_one = jax.random.normal if normal else jax.random.uniform
        owner = jnp.minimum(listed.owner, self.keys.shape[0] - 1)
        each = lambda key, ring: draw_one(jax.random.fold_in(key, ring), (cells,))
        return jax.vmap(each)(self._for(purpose)[owner], listed.ring).T

    def of_energies(self, listed: truth.Rings, depth: int, radii: int, cells: int) -> energies.Noise:
        """All that stage 4 takes."""
        on_grid = self.on_grid("energies", radii + 2, depth, normal=True)
        total = on_grid[-1].reshape(-1, depth)[:, 0]
        in_cells = self.by_ring("cell energies", listed, cells, normal=True)
        return energies.Noise(total, on_grid[radii : radii + 1], on_grid[:radii], in_cells)
