"""Cells drawn where a decision is open, from tables and bytes, against the network of all rings in every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax import geometry
from calojax.geometry import Cylinder, Layer
from calojax.nn import mixtures, placement
from calojax.systems.pyramid import coarse, constants, hits, statistics, truth, windows
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.stages import cells, drawing, energy_cells, ringbytes, ringlist

ALIKE = {name: [n_alpha] * 4 for name, n_alpha in (("one", 1), ("five", 5), ("sixteen", 16), ("three words", 20))}
UNLIKE = {"unlike": [4, 4, 8, 1], "two words": [3, 12, 6, 12]}
SHOWERS = 3


def known_of(n_alpha):
    """Constants of a detector with three rings to a layer."""
    layers = (Layer(i, (0.0, 5.0, 10.0, 20.0), n, 10.0 * i, 10.0 * i + 10) for i, n in enumerate(n_alpha))
    cylinder = Cylinder("small", tuple(layers), 0.5)
    gathered = statistics.Statistics(cylinder, 0.5)
    deposits = np.random.default_rng(0).exponential(1.0, (6, cylinder.n_cells))
    gathered.add(np.geomspace(1e3, 1e4, 6), statistics.hits(deposits, 0.5))
    return jax.tree.map(jnp.asarray, constants.build(cylinder, 0.5, gathered.arrays(), 0.5))


def listed(known, draw):
    """Most rings of three showers, places that are not used, and numbers of hits from one to all."""
    rings = known.ring_size.shape[0]
    chosen = np.flatnonzero(draw.random(SHOWERS * rings) < 0.8)
    owner = np.concatenate([chosen // rings, [SHOWERS] * 5])
    ring = np.concatenate([chosen % rings, [0] * 5])
    counts = np.where(owner < SHOWERS, draw.integers(1, np.asarray(known.ring_size)[ring] + 1), 0)
    return truth.ring_list(jnp.asarray(owner), jnp.asarray(ring), SHOWERS, known), jnp.asarray(counts)


def shaken(config, known, stage=cells):
    params = stage.init(jax.random.key(0), config, known)
    return jax.tree.map(lambda a: a + 0.3 * jax.random.normal(jax.random.key(a.size), a.shape), params)


def everywhere(params, energy, rings, counts, uniforms, config, known):
    """As `cells.draw`, all rings in every step."""
    around = ringlist.surroundings(rings, known)
    logit = cells._logit(params, energy, rings, counts, around, config, known)
    order, real = ringlist.order(len(uniforms), around), cells._real(rings, known)
    return placement.draw(logit, order, counts, real, uniforms, cells.memory(around, order)).pattern


@pytest.mark.parametrize(("name", "neighbours"), [*((name, True) for name in ALIKE | UNLIKE), ("unlike", False)])
def test_the_same_cells_as_from_all_rings(name, neighbours):
    known, config = known_of((ALIKE | UNLIKE)[name]), Model(cell_hidden=8, neighbours=neighbours)
    assert known.windows.first.shape[1] == (1 if name in ALIKE else known.ring_size.shape[0])
    rings, counts = listed(known, np.random.default_rng(1))
    uniforms = jax.random.uniform(jax.random.key(2), (known.tree.ring_cells.shape[1], len(counts)))
    given = (shaken(config, known), jnp.geomspace(1e3, 1e5, SHOWERS), rings, counts, uniforms)
    found = jax.jit(lambda given, known: cells.draw(*given, config, known))(given, known)
    expected = jax.jit(lambda given, known: everywhere(*given, config, known))(given, known)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.asarray(found).sum(0), counts)


@pytest.mark.parametrize("name", ALIKE | UNLIKE)
def test_logits_are_those_of_the_network_of_all_rings(name):
    """With half of the cells placed, in all places that are used."""
    known, config = known_of((ALIKE | UNLIKE)[name]), Model(cell_hidden=8)
    rings, counts = listed(known, np.random.default_rng(1))
    energy, params = jnp.geomspace(1e3, 1e5, SHOWERS), shaken(config, known)
    hit = jax.random.bernoulli(jax.random.key(3), 0.5, (known.tree.ring_cells.shape[1], len(counts)))
    half = len(hit) // 2
    owed, left = jnp.minimum(counts, 2), jnp.full(len(counts), 3)

    @jax.jit
    def both(params, known):
        around = ringlist.surroundings(rings, known)
        order = ringlist.order(len(hit), around)
        of_all, of_some = cells.memory(around, order), drawing.memory(rings, known)
        seen, words = of_all.start, of_some.start
        for step in range(half):
            here = hit[step] & (order[step] < known.ring_size[rings.ring])
            seen, words = of_all.put(seen, step, here), of_some.put(words, step, here)
        logit = cells._logit(params, energy, rings, counts, around, config, known)
        decide = drawing.look(params, energy, rings, counts, config, known)(half, words)
        places = jnp.arange(len(counts))[::-1]
        some = decide(places, owed[places], left[places])[places]
        exists = (order[half] < known.ring_size[rings.ring]) & rings.real
        return logit(half, order[half], seen, owed, left), some, exists

    expected, found, exists = map(np.asarray, both(params, known))
    assert exists.any()
    np.testing.assert_allclose(found[exists], expected[exists], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ALIKE | UNLIKE)
def test_energies_are_drawn_with_the_network_that_scores_them(name, monkeypatch):
    """A mixture that shifts the uniform number by what the network says, and a density that takes the shift off, give
    the number back."""
    shift = lambda raw: jnp.mean(jnp.tanh(raw), 0)
    monkeypatch.setattr(mixtures, "draw", lambda raw, uniform: uniform + shift(raw))
    monkeypatch.setattr(mixtures, "log_density", lambda raw, x: x - shift(raw))
    known, config = known_of((ALIKE | UNLIKE)[name]), Model(cell_hidden=8)
    rings, counts = listed(known, np.random.default_rng(1))
    uniforms = jax.random.uniform(jax.random.key(2), (known.tree.ring_cells.shape[1], len(counts)), minval=0.1)
    exists = jnp.arange(len(uniforms))[:, None] < known.ring_size[rings.ring]
    hit = jnp.argsort(jnp.argsort(jnp.where(exists, uniforms, 2.0), 0), 0) < counts
    alpha, place = jnp.nonzero(hit)
    by_ring = jnp.where(counts > 0, jnp.linspace(1.0, 50.0, len(counts)), 0.0)

    @jax.jit
    def there_and_back(params, known):
        pattern = hits.of_cells(jnp.geomspace(1e3, 1e5, SHOWERS), rings, hit, known)
        drawn = energy_cells.draw(params, pattern, by_ring, uniforms, hit.size, known)
        return drawn, energy_cells.log_density(params, pattern, drawn, truth.Cells(place, alpha), known)

    drawn, found = there_and_back(shaken(config, known, energy_cells), known)
    np.testing.assert_array_equal(drawn > 0, hit)
    np.testing.assert_allclose(jnp.sum(drawn, 0), by_ring, rtol=1e-4)
    choice = np.asarray(found) != 0
    assert (~choice).sum() == (counts > 0).sum()  # the last of each ring has none
    np.testing.assert_allclose(found[choice], uniforms[alpha, place][choice], atol=2e-3)


@pytest.mark.parametrize("name", ["ds2", "ds3"])
def test_tables_of_the_large_detectors_are_those_of_one_ring(name):
    tables = windows.build(coarse.tree(geometry.load(name)))
    assert tables.first.shape[1] == tables.mask.shape[2] == tables.of_energies.step.shape[1] == 1


@pytest.mark.parametrize("n", [1, 5, 8, 16, 20])
def test_a_byte_is_the_ring_from_its_turn_on(n):
    """Of one ring, every byte from every turn on, against a list of what each cell is."""
    draw, places = np.random.default_rng(n), np.arange(n)
    of_word = 8 * np.arange(-(-n // 8))[:, None] + np.arange(16)
    words, states = jnp.zeros((len(of_word), 1), jnp.uint32), np.zeros(n)
    hit = draw.random(n) < 0.5
    for turn in draw.permutation(n)[: n // 2 + 1]:
        mask = ((of_word % n == turn) << np.arange(16)).sum(1).astype(np.uint32)[:, None]
        words = ringbytes.put(words, mask, jnp.asarray(hit[turn : turn + 1]))
        states[turn] = 0.75 if hit[turn] else -0.25
    begin, share = (places % 8).astype(np.uint32)[None], jnp.full((1, n), 0.25)
    found = ringbytes.departures(words[places // 8, 0][None], begin, share)
    np.testing.assert_array_equal(found.reshape(n, 8), states[(places[:, None] + np.arange(8)) % n])
    np.testing.assert_array_equal(ringbytes.hits(words, places[:, None])[:, 0], states > 0)
