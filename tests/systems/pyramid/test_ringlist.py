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
from calojax.systems.pyramid.stages import ringlist


@pytest.fixture(scope="module")
def listed(prepared):
    """Constants and the list of two showers: every ring hit in the first, every second one in the other."""
    known = jax.tree.map(jnp.asarray, system.constants(Config(), prepared.manifest))
    rings = known.ring_size.shape[0]
    owner = jnp.array([0] * rings + [1] * len(range(0, rings, 2)) + [2])
    ring = jnp.array([*range(rings), *range(0, rings, 2), 0])
    return known, truth.ring_list(owner, ring, 2, known)


def test_every_cell_has_one_turn(listed):
    known, rings = listed
    around = ringlist.surroundings(rings, known)
    order, rank = ringlist.order(8, around), ringlist.rank(8, around)
    for place, size in enumerate(np.asarray(around.size)):
        turns = [int(cell) for cell in order[:, place] if cell < 8]
        assert sorted(turns) == list(range(size))
        assert [int(order[rank[cell, place], place]) for cell in range(size)] == list(range(size))


def test_neighbours_are_seen_at_the_same_angle(listed):
    known, rings = listed
    around = ringlist.surroundings(rings, known)
    values = jax.random.normal(jax.random.key(0), (8, rings.owner.shape[0]))
    values = jnp.where(jnp.arange(8)[:, None] < around.size, values, jnp.nan)  # cells that do not exist are never seen
    twice = ringlist.table(values, around)
    for cell in (0, 3, 7):
        cells = jnp.minimum(cell, around.size - 1)
        near = np.asarray(ringlist.near_view(twice, around, cells, 1)).reshape(len(cells), -1, 3)
        whole = np.asarray(ringlist.near_view(twice, around, cells)).reshape(len(cells), -1, 8)
        for place in range(len(cells)):
            for m, there in enumerate(np.asarray(around.near[:, place])):
                if there >= len(cells):
                    assert (near[place, m] == 0).all() and (whole[place, m] == 0).all()
                    continue
                n, own = int(around.size[there]), int(around.size[place])
                middle = (int(cells[place]) + 0.5) / own
                same = int(np.floor(middle * n))
                ring = np.asarray(values[:, there])
                np.testing.assert_array_equal(near[place, m], ring[(same + np.arange(-1, 2)) % n])
                np.testing.assert_array_equal(whole[place, m], ring[(same + np.arange(8)) % n])


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
    found = preparation.groups(statistics.hits(deposits, 0.5), 6, gathered)

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
