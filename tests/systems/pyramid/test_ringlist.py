"""What cells see of each other, against a plain search by angle, on layers of 4, 4, 8 and 1 cells to a ring."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax import geometry
from calojax.geometry import Cylinder, Layer
from calojax.nn import placement
from calojax.systems.pyramid import coarse, constants, preparation, showers, statistics, system, truth
from calojax.systems.pyramid.config import Config, Model
from calojax.systems.pyramid.stages import cells, ringbits, ringlist


@pytest.fixture(scope="module")
def listed(prepared):
    """Constants and the list of two showers: every ring hit in the first, every second one in the other."""
    known = jax.tree.map(jnp.asarray, system.constants(Config(), prepared.manifest))
    rings = known.ring_size.shape[0]
    owner = jnp.array([0] * rings + [1] * len(range(0, rings, 2)) + [2])
    ring = jnp.array([*range(rings), *range(0, rings, 2), 0])
    return known, truth.ring_list(owner, ring, 2, known)


def test_every_cell_has_one_turn(listed):
    @jax.jit
    def of(known, rings):
        around = ringlist.surroundings(rings, known)
        return around.size, ringlist.order(8, around), ringlist.rank(8, around)

    sizes, order, rank = map(np.asarray, of(*listed))
    for place, size in enumerate(sizes):
        assert sorted(order[order[:, place] < 8, place]) == list(range(size))
        assert order[rank[:size, place], place].tolist() == list(range(size))


@pytest.mark.parametrize("cell", [0, 3, 7])
def test_neighbours_are_seen_at_the_same_angle(listed, cell):
    @jax.jit
    def of(known, rings):
        around = ringlist.surroundings(rings, known)
        cells = jnp.minimum(cell, around.size - 1)
        first, width = ringlist.near_from(around, cells, 8, None)
        return around, cells, ringlist.neighbourhood(around, cells, 8, 1), first, width

    around, cells, places, first, width = jax.tree.map(np.asarray, of(*listed))
    n_rings, size = len(around.size), around.size
    numbers = np.where(np.arange(8) < size[:, None], 1 + np.arange(8 * n_rings).reshape(-1, 8), -1)  # -1 does not exist
    numbers = np.pad(numbers, ((0, 2), (0, 0)))
    seen = numbers.ravel()[places].T
    own, near = seen[:, :7], seen[:, 7:].reshape(n_rings, -1, 3)
    assert width == 8
    for place, at in enumerate(cells):
        np.testing.assert_array_equal(own[place], numbers[place][(at + 1 + np.arange(7)) % size[place]])
        for m, there in enumerate(around.near[:, place]):
            if there >= n_rings:
                assert (near[place, m] == 0).all()
                continue
            same = int(np.floor((at + 0.5) / size[place] * size[there]))
            np.testing.assert_array_equal(near[place, m], numbers[there][(same + np.arange(-1, 2)) % size[there]])
            assert int(first[m, place]) == same


def test_a_cell_sees_what_was_placed_before_it(listed):
    known, rings = listed
    around = jax.jit(ringlist.surroundings)(rings, known)
    order = jax.jit(lambda around: ringlist.order(8, around))(around)
    memory = lambda around: cells.memory(around, order)
    put = jax.jit(lambda around, seen, step, hit: memory(around).put(seen, step, hit))

    @jax.jit
    def unpacked(seen):
        words = (seen.own, 7), (seen.faces, 8), (seen.others, 5)
        return [jnp.stack([ringbits.unpack(each, width) for each in bits]) for bits, width in words]

    near, near_size, size = (np.asarray(x) for x in (around.near, around.near_size, around.size))
    pattern = np.random.default_rng(0).random((len(size), 8)) < 0.4
    states = np.zeros((2, len(size) + 2, 8))  # placed, hit; nothing beyond the rings
    seen = jax.jit(lambda around: memory(around).start)(around)
    for step, cell in enumerate(np.asarray(order)):
        own, faces, others = map(np.asarray, unpacked(seen))
        for place, at in enumerate(np.minimum(cell, size - 1)):
            row = states[:, place]
            np.testing.assert_array_equal(own[..., place], row[:, (at + 1 + np.arange(7)) % size[place]])
            for m, there in enumerate(near[:, place]):
                n = near_size[m, place]
                same, row = int(np.floor((at + 0.5) / size[place] * n)), states[:, there]
                if m < coarse.FACES:
                    np.testing.assert_array_equal(faces[:, m, :, place], row[:, (same + np.arange(8)) % n])
                else:
                    found = others[:, m - coarse.FACES, :, place]
                    np.testing.assert_array_equal(found, row[:, (same - 2 + np.arange(5)) % n])
        exists = np.flatnonzero(cell < size)
        states[0, exists, cell[exists]] = 1
        states[1, exists, cell[exists]] = pattern[exists, cell[exists]]
        hit = pattern[np.arange(len(size)), np.minimum(cell, 7)] & (cell < size)
        seen = put(around, seen, step, hit)
    found = jax.jit(lambda around, seen: memory(around).pattern(seen))(around, seen)
    np.testing.assert_array_equal(found, (pattern & (np.arange(8) < size[:, None])).T)


def test_neighbours_get_their_turn_one_after_the_other():
    tree = coarse.tree(geometry.load("ds2"))
    turn = (5 * tree.ring_layer + 8 * tree.ring_radius) % 16
    steps = np.argsort(placement.interleaved(16))
    for near in tree.ring_near:
        real = near >= 0
        for cell in range(16):
            own = steps[(cell - turn[real]) % 16]
            assert (own != steps[(cell - turn[near[real]]) % 16]).all()


@pytest.mark.parametrize("n_alpha", [1, 2, 3, 5])
@pytest.mark.parametrize("coupling", ["gumbel-mixture", "rqs"])
def test_any_number_of_cells_to_a_ring(n_alpha, coupling):
    layers = tuple(Layer(i, (0.0, 5.0, 10.0), n_alpha, 10.0 * i, 10.0 * i + 10) for i in range(3))
    cylinder = Cylinder("small", layers, 0.5)
    draw = np.random.default_rng(0)
    deposits = draw.exponential(5.0, (6, cylinder.n_cells)) * (draw.random((6, cylinder.n_cells)) < 0.7)
    gathered = statistics.Statistics(cylinder, 0.5)
    energy = np.geomspace(1e3, 1e4, 6)
    gathered.add(energy, statistics.hits(deposits, 0.5))
    config = Model(coupling=coupling, hidden=4, cell_hidden=4, couplings=1, bins=2, pooled=2)
    known = jax.tree.map(jnp.asarray, constants.build(cylinder, 0.5, gathered.arrays(), 0.5))
    found = preparation.groups(statistics.hits(deposits, 0.5), 6, coarse.tree(cylinder))

    def both(key):
        params = showers.init(key, config, known)
        owner = np.repeat(np.arange(6), found["hit"][0])
        rows = np.repeat(np.arange(6), found["ring"][0])
        batch = {
            "incident_energy": jnp.asarray(energy, jnp.float32),
            "hit.cell": jnp.asarray(found["hit"][1]["cell"]),
            "hit.energy": jnp.asarray(found["hit"][1]["energy"], jnp.float32),
            "hit.row": jnp.asarray(owner),
            "ring.index": jnp.asarray(found["ring"][1]["index"]),
            "ring.row": jnp.asarray(rows),
        }
        true = truth.from_hits(batch, known, statistics.SMALLEST_EXCESS)
        scores = showers.log_probability(params, true, key, config, known)
        keys = jax.random.split(key, 6)
        return scores, showers.draw(params, true.incident_energy, keys, (36, 36 * n_alpha), config, known)

    scores, drawn = jax.eval_shape(both, jax.random.key(0))
    assert {score.shape for score in scores.values()} == {(6,)} and drawn.excess.shape == (n_alpha, 36)
