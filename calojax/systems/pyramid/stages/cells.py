"""Stage 3, second half: which cells of each hit ring are hit (`nn.placement`), one network for all cells.

A cell sees what is placed of its own ring, of the four rings that share a face with it, all around (a ring that still
owes its hit has to know where its neighbour's is, however far), and of six more rings near the same angle. What is seen
of a cell is how far it departs from its ring's mean: 1 - k/n where hit, -k/n where not, 0 where not yet placed.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, placement, sets
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.coarse import FACES, NEIGHBOURS
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import ringlist
from calojax.systems.pyramid.truth import Rings

REACH = 2  # cells to either side that are seen of the rings that share no face


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    cells, hidden, near = constants.tree.ring_cells.shape[1], config.cell_hidden, len(NEIGHBOURS)
    keys = jax.random.split(key, 3)
    seen = (cells - 1) + FACES * cells + (near - FACES) * ringlist.window(cells, REACH)
    return {
        "context": dense.init(keys[0], 3 + constants.ring_features.shape[0] + 2 + 2 * near, hidden),
        "step": jnp.zeros((hidden, cells)),
        "seen": dense.init(keys[1], seen + 2, hidden),
        "place": dense.init_stack(keys[2], (hidden, hidden, 1)),
    }


def log_probability(
    params: dict[str, Any],
    incident_energy: Array,
    rings: Rings,
    pattern: Array,
    config: Model,
    constants: Constants,
    shift_showers: int = 0,
) -> Array:
    """pattern (A, E) bool -> (E,); shift_showers: see `ringlist.surroundings`."""
    around = ringlist.surroundings(rings, constants, shift_showers)
    counts = jnp.sum(pattern, 0, dtype=jnp.int32)
    logit = _logit(params, incident_energy, rings, counts, around, config, constants)
    order = ringlist.order(pattern.shape[0], around)
    return placement.score(logit, order, counts, _real(rings, constants), pattern).log_probability


def draw(
    params: dict[str, Any],
    incident_energy: Array,
    rings: Rings,
    counts: Array,
    uniforms: Array,
    config: Model,
    constants: Constants,
) -> Array:
    """Hit cells (A, E) bool, counts (E,) of each ring; uniforms (A, E), one per cell."""
    around = ringlist.surroundings(rings, constants)
    logit = _logit(params, incident_energy, rings, counts, around, config, constants)
    order = ringlist.order(uniforms.shape[0], around)
    return placement.draw(logit, order, counts, _real(rings, constants), uniforms).pattern


def _real(rings, constants):
    exists = jnp.arange(constants.tree.ring_cells.shape[1])[:, None] < constants.ring_size[rings.ring]
    return exists & rings.real


def _context(incident_energy, rings, around, share, config, constants):
    energy = sets.of_owner(truth.energy_features(incident_energy, constants), rings.owner)
    near_hit = (around.near < rings.owner.shape[0]).astype(jnp.float32)
    near = jnp.concatenate([ringlist.near_numbers(share, around), near_hit])
    near = near if config.neighbours else jnp.zeros_like(near)
    full = (share == 1.0).astype(jnp.float32)
    return jnp.concatenate([energy, constants.ring_features[:, rings.ring], share, full, near])


def _logit(params, incident_energy, rings, counts, around, config, constants):
    cells = constants.tree.ring_cells.shape[1]
    share = (counts / constants.ring_size[rings.ring])[None]
    hidden = dense.apply(params["context"], _context(incident_energy, rings, around, share, config, constants))
    faces, others = around.some(slice(FACES)), around.some(slice(FACES, None))

    def logit(step, cell, states, owed, left):
        departure = jnp.where(states == placement.UNPLACED, 0.0, (states == placement.HIT) - share)
        twice = ringlist.table(departure, around)
        cell = jnp.minimum(cell, around.size - 1)
        near = [ringlist.near_view(twice, faces, cell), ringlist.near_view(twice, others, cell, REACH)]
        if not config.neighbours:
            near = [jnp.zeros_like(x) for x in near]
        counted = jnp.stack([owed / jnp.maximum(left, 1), left / cells], 1)
        seen = jnp.concatenate([ringlist.own_view(twice, around, cell), *near, counted], 1)
        context = params["step"][:, step][:, None] + hidden
        return dense.apply_stack(params["place"], jax.nn.relu(dense.apply(params["seen"], seen.T) + context))[0]

    return logit
