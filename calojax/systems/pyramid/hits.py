"""Which cells are hit, in the two forms of the pyramid: what the stages have in common."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from calojax.systems.pyramid import truth
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import grid
from calojax.systems.pyramid.stages.grid import Grid
from calojax.systems.pyramid.stages.numbers import Numbers
from calojax.systems.pyramid.truth import Rings


class Hits(NamedTuple):
    """A tile's hit pattern at every level, true or drawn.

    known: its hit layers; numbers: hit rings and cells of each layer (G,); counts (R, G) int32 hit cells of each ring;
    rings: the list of hit rings; cells (A, E) bool; overflow: the list was too short.
    """

    known: Grid
    numbers: Numbers
    counts: Array
    rings: Rings
    cells: Array
    overflow: Array | bool = False


def of_cells(
    incident_energy: Array, rings: Rings, cells: Array, constants: Constants, overflow: Array | bool = False
) -> Hits:
    """Every level from the hit cells (A, E) of the hit rings."""
    depth = constants.tree.layer_rings.shape[0]
    counts = truth.grid(jnp.sum(cells, 0, dtype=jnp.int32), rings, constants)
    layers = jnp.any(counts > 0, 0).reshape(-1, depth)
    known = grid.build(incident_energy, layers, constants)
    numbers = Numbers(jnp.sum(counts > 0, 0, dtype=jnp.int32), jnp.sum(counts, 0))
    return Hits(known, numbers, counts, rings, cells, overflow)
