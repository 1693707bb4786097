"""Stage 3, second half: which cells of each hit ring are hit (`nn.placement`), one network for all cells.

A cell sees what is placed of its own ring, of the four rings that share a face with it, all around (a ring that still
owes its hit has to know where its neighbour's is, however far), and of six more rings near the same angle. What is seen
of a cell is how far it departs from its ring's mean: 1 - k/n where hit, -k/n where not, 0 where not yet placed.

Where the pattern is known all rings are computed in every step, here; where it is drawn only those with a choice, in
`drawing`, which is the same network.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, placement, sets
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.coarse import FACES, NEIGHBOURS
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import drawing, ringbits, ringlist
from calojax.systems.pyramid.truth import Rings
from calojax.systems.pyramid.windows import REACH

_CHUNK = 256  # rings that are computed together where cells are drawn: what they need fits a core's cache


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
    order, real = ringlist.order(pattern.shape[0], around), _real(rings, constants)
    return placement.score(logit, order, counts, real, pattern, memory(around, order)).log_probability


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
    order, real = ringlist.order(len(uniforms), ringlist.surroundings(rings, constants)), _real(rings, constants)
    look = drawing.look(params, incident_energy, rings, counts, config, constants)
    logit = placement.where_open(look, min(_CHUNK, -(-len(counts) // 2)))
    return placement.draw(logit, order, counts, real, uniforms, drawing.memory(rings, constants)).pattern


class Seen(NamedTuple):
    """Bits of the cells that are placed, and of those that are hit; all as words, see `ringbits`.

    ring (2, W, E): of every ring; own (2, W', E), faces (2, W', FACES, E), others (2, W', M - FACES, E): what is seen
    of the own ring and the neighbours from the cell whose turn it is. They are made at the end of the turn before, so
    that they are made once, and not again for every cell that is seen.
    """

    ring: Array
    own: Array
    faces: Array
    others: Array


def memory(around: ringlist.Surroundings, order: Array) -> placement.Memory:
    """What is seen when cells are placed in this order (A, E), as bits: start and put give `Seen`."""
    cells = len(order)
    each = ringbits.of_cell(order, around.size, cells)  # (W, A, E)
    cell = jnp.minimum(order, around.size - 1)
    following = ringlist.next_cell(around, cell)
    near = [(some, *ringlist.near_from(some, cell, cells, reach)) for some, reach in _neighbours(around)]
    words = lambda bits, first, width: jnp.stack([ringbits.view(x, first, width) for x in bits])

    def see(ring, step):
        padded = jnp.pad(ring, ((0, 0), (0, 0), (0, 2)))
        of_near = [words(padded[:, :, some.near], first[:, step], width) for some, first, width in near]
        return Seen(ring, words(ring, following[step], cells - 1), *of_near)

    def put(memory, step, hit):
        bits = each[:, step]
        return see(memory.ring | jnp.stack([bits, jnp.where(hit, bits, 0)]), jnp.minimum(step + 1, cells - 1))

    def pattern(memory):
        exists = jnp.arange(cells)[:, None] < around.size
        return (ringbits.unpack(ringbits.view(memory.ring[1], jnp.zeros_like(around.size), cells), cells) > 0) & exists

    nothing = jnp.zeros((2, ringbits.n_words(cells), around.size.shape[0]), jnp.uint32)
    return placement.Memory(see(nothing, 0), put, pattern)


def _neighbours(around):
    """Those that share a face and the others, each with how far they are seen."""
    return (around.some(slice(FACES)), None), (around.some(slice(FACES, None)), REACH)


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
    near_share = ringlist.near_numbers(share, around)
    window = ringlist.window(cells, REACH)

    def logit(step, cell, memory, owed, left):
        near = [
            _departures(memory.faces, near_share[:FACES], cells),
            _departures(memory.others, near_share[FACES:], window),
        ]
        if not config.neighbours:
            near = [jnp.zeros_like(x) for x in near]
        counted = jnp.stack([owed / jnp.maximum(left, 1), left / cells])
        seen = jnp.concatenate([_departures(memory.own, share[0], cells - 1), *near, counted])
        context = params["step"][:, step][:, None] + hidden
        return dense.apply_stack(params["place"], jax.nn.relu(dense.apply(params["seen"], seen) + context))[0]

    return logit


def _departures(bits, share, width):
    """1 - k/n where hit, -k/n where not, 0 where not placed: bits (2, W, ..., E), share (..., E) -> (... width, E)."""
    placed, hit = (ringbits.unpack(words, width) for words in bits)
    return (hit - placed * share[..., None, :]).reshape(-1, share.shape[-1])
