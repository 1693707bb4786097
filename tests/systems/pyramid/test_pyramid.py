"""The whole pyramid in both of its forms, on a detector of unlike layers with an empty shower among its events."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import mixtures
from calojax.systems.pyramid import hits, showers, statistics, system, truth
from calojax.systems.pyramid.stages import energy_cells, shares

SHOWERS = 24


@pytest.fixture(scope="module")
def nats(small, batch):
    """Jitted: nats per stage of the batch's showers, each (T,)."""
    config, model = small

    @jax.jit
    def of(tile):
        true = truth.from_hits(tile, model.constants, statistics.SMALLEST_EXCESS)
        return showers.log_probability(model.params, true, jax.random.key(1), config.model, model.constants)

    return of


@pytest.fixture(scope="module")
def drawn(small):
    """8 showers of one tile: (energies (T,), largest capacity, and two functions of a capacity: Sparse, overflow)."""
    config, model = small
    energy = jnp.geomspace(1e3, 1e5, 8)
    keys = jax.random.split(jax.random.key(4, impl="threefry2x32"), 8)
    draw = lambda e, k, capacity: system.generate(model, {"incident_energy": e}, k, config, capacity)
    whole = jax.jit(draw, static_argnums=2)
    overflow = jax.jit(lambda *given: draw(*given).overflow, static_argnums=2)  # a far smaller program
    largest = system.capacities(config, model.constants)[-1]
    return energy, largest, lambda capacity: whole(energy, keys, capacity), lambda size: overflow(energy, keys, size)


@pytest.fixture(scope="module")
def scored(small):
    """Jitted: of a batch, ((total, loss), gradient)."""
    config, model = small

    def total(params, batch):
        found = system.loss(params, model, batch, jax.random.key(0), config)
        return found.total, found

    of = jax.jit(jax.value_and_grad(total, has_aux=True))
    return lambda batch: of(model.params, batch)


@pytest.fixture(scope="module")
def true(small, batch):
    """The showers of the batch."""
    of = jax.jit(lambda tile, known: truth.from_hits(tile, known, statistics.SMALLEST_EXCESS))
    return of(tile(batch), small[1].constants)


def tile(batch):
    return {name: array[0] for name, array in batch.items()}


def test_lists_of_hits_and_their_showers_are_the_same(true, small, events, detector):
    known = small[1].constants
    place = np.asarray(known.tree.ring_cells)[np.asarray(true.rings.ring)].T
    back = np.zeros_like(events[1])
    alpha, ring = np.nonzero(np.asarray(true.cells))
    owner = np.asarray(true.rings.owner)[ring]
    back[owner, place[alpha, ring]] = np.asarray(true.excess)[alpha, ring] + detector.threshold
    np.testing.assert_allclose(back, events[1], rtol=1e-5)


def test_log_probabilities_are_finite_and_an_empty_shower_has_only_its_layers(nats, batch):
    for name, score in nats(tile(batch)).items():
        assert np.isfinite(score).all(), name
        if name not in ("layers", "energy_total"):
            assert score[5] == 0, name


def test_gradients_are_finite_with_padding_and_an_empty_shower(scored, batch):
    chex.assert_tree_all_finite(scored(batch)[1])


def test_more_places_in_the_lists_change_nothing(small, nats, batch):
    one = tile(batch)
    more = dict(one)
    for group in ("hit", "ring"):
        for name in (n for n in one if n.startswith(f"{group}.")):
            empty = SHOWERS if name.endswith(".row") else 0
            more[name] = jnp.concatenate([one[name], jnp.full(32, empty, one[name].dtype)])
    found = nats(more)
    for name, score in nats(one).items():
        if name != "cells" or small[0].model.coupling != "rqs":  # which draws one number for every place
            np.testing.assert_allclose(found[name], score, rtol=2e-4, atol=2e-4, err_msg=name)


def test_drawn_showers_are_complete(drawn, detector):
    energy, dense, draw, _ = drawn
    found = draw(dense)
    count = np.asarray(found.count)
    assert not found.overflow and count.sum() > 0
    value, index = np.asarray(found.energy), np.asarray(found.index)
    used = np.arange(len(value)) < count.sum()
    assert (value[used] >= np.float32(detector.threshold)).all() and (value[~used] == 0).all()
    owner = np.repeat(np.arange(len(energy)), count)
    assert len(set(zip(owner, index[used], strict=True))) == used.sum()  # no cell twice
    assert ((index >= 0) & (index < detector.n_cells)).all()


def test_capacity_does_not_change_the_showers(drawn):
    _, (rings, cells), draw, overflow = drawn
    dense = draw((rings, cells))
    hits = int(dense.count.sum())
    found = draw((rings - 2, hits))
    assert not found.overflow
    np.testing.assert_array_equal(found.index, dense.index[:hits])
    np.testing.assert_allclose(found.energy, dense.energy[:hits], rtol=1e-4)
    assert not overflow((rings, hits)) and overflow((rings, hits - 1)) and overflow((3, cells))


def test_a_shower_depends_on_its_energy_and_its_key_alone(small, drawn):
    """Two of the eight, the other way round, in a tile of their own."""
    config, model = small
    energy, dense, draw, _ = drawn
    keys, chosen = jax.random.split(jax.random.key(4, impl="threefry2x32"), 8), np.array([6, 3])
    of_two = jax.jit(lambda e, k: system.generate(model, {"incident_energy": e}, k, config, dense))
    whole, two = draw(dense), of_two(energy[chosen], keys[chosen])
    ends = np.cumsum(whole.count)
    hits = np.concatenate([np.arange(ends[n] - whole.count[n], ends[n]) for n in chosen])
    np.testing.assert_array_equal(two.count, whole.count[chosen])
    np.testing.assert_array_equal(two.index[: len(hits)], whole.index[hits])
    np.testing.assert_allclose(two.energy[: len(hits)], whole.energy[hits], rtol=1e-4)


def test_loss_is_the_weighted_sum_and_padded_rows_weigh_nothing(scored, batch):
    weight = batch["weight"].at[0, 3:].set(0.0)
    (_, full), _ = scored(batch)
    (_, part), _ = scored(batch | {"weight": weight})
    assert float(full.weight) == SHOWERS and float(part.weight) == 3
    assert np.isfinite(full.total) and all(np.isfinite(v) for v in full.metrics.values())
    assert abs(float(part.metrics["layers"])) < abs(float(full.metrics["layers"]))


def test_turning_and_mirroring_keeps_rings_and_energies(small, true):
    turned = jax.jit(truth.turned)(true, jax.random.key(0), small[1].constants)
    np.testing.assert_array_equal(turned.cells.sum(0), true.cells.sum(0))
    np.testing.assert_allclose(turned.excess.sum(0), true.excess.sum(0), rtol=1e-6)
    assert (turned.cells != true.cells).any()


def test_levels_agree(small, true):
    known = small[1].constants
    found = jax.jit(hits.of_cells)(true.incident_energy, true.rings, true.cells, known)
    np.testing.assert_array_equal(found.numbers.cells, found.counts.sum(0))
    np.testing.assert_array_equal(found.known.hit, found.numbers.rings > 0)
    np.testing.assert_array_equal(truth.to_grid(truth.from_grid(found.counts, known), known), found.counts)


def test_a_share_drawn_from_what_is_left_leaves_the_rest():
    raw = jax.random.normal(jax.random.key(0), (6, 500))
    left, here = jnp.full(500, 7.0), jnp.arange(500) % 3 > 0
    free = here & (jnp.arange(500) % 2 > 0)
    fit = shares.Fit(-1.0, 0.5)
    uniform = jax.random.uniform(jax.random.key(1), (500,))
    taken, rest = jax.jit(shares.draw)(raw, uniform, fit, left, here, free)
    np.testing.assert_allclose(taken + rest, left, rtol=1e-6)
    assert (taken[~here] == 0).all() and (rest[here & ~free] == 0).all() and (rest[free] > 0).all()
    logit = shares.standard(fit, taken, rest, free) * fit.width + fit.mean
    np.testing.assert_allclose(jax.nn.sigmoid(logit)[free], (taken / left)[free], rtol=1e-5)


def test_the_density_of_a_share_is_one_over_all_its_logits():
    raw = jax.random.normal(jax.random.key(0), (6, 1))
    logit = jnp.linspace(-4.0, 2.0, 20_001)
    some = jnp.ones(logit.shape, bool)
    log_density = jax.jit(shares.log_density)
    density = jnp.exp(log_density(raw, shares.Fit(-1.0, 0.1), jax.nn.sigmoid(logit), jax.nn.sigmoid(-logit), some))
    assert float(jnp.trapezoid(density, logit)) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.optimised  # without, a difference of two chunks is rounded otherwise
def test_energies_of_cells_do_not_depend_on_the_chunks(true, small, monkeypatch):
    model = small[1]
    known = model.constants
    pattern = jax.jit(hits.of_cells)(true.incident_energy, true.rings, true.cells, known)
    uniforms = jax.random.uniform(jax.random.key(0), true.cells.shape)

    def drawn(chunk):
        monkeypatch.setattr(energy_cells, "_chunk", lambda rings: chunk)
        draw = lambda excess: energy_cells.draw(
            model.params["energies"], pattern, jnp.sum(excess, 0), uniforms, true.cells.size, known
        )
        return jax.jit(draw)(true.excess)

    whole, parts = drawn(1024), drawn(3)
    ring = whole.sum(0)  # what is left of it is shared out: errors are of its size
    np.testing.assert_allclose(parts / ring, whole / ring, atol=1e-5)
    np.testing.assert_array_equal(parts > 0, true.cells)
    np.testing.assert_allclose(parts.sum(0), true.excess.sum(0), rtol=1e-4)


@pytest.mark.parametrize("rings, expected", [(32, 32), (192, 32), (4064, 224), (16_224, 992)])
def test_a_chunk_is_a_whole_number_of_vectors(rings, expected):
    assert energy_cells._chunk(rings) == expected


def test_energies_of_cells_are_drawn_with_the_network_that_scores_them(true, small, monkeypatch):
    """A draw, step by step and in parts, against the network as training has it, all cells at once. A mixture that
    shifts the uniform number by what the network says, and a density that takes the shift off, give it back."""
    model, shift = small[1], lambda raw: jnp.mean(jnp.tanh(raw), 0)
    monkeypatch.setattr(mixtures, "draw", lambda raw, uniform: uniform + shift(raw))
    monkeypatch.setattr(mixtures, "log_density", lambda raw, x: x - shift(raw))

    @jax.jit
    def there_and_back(known, true, uniforms):
        pattern = hits.of_cells(true.incident_energy, true.rings, true.cells, known)
        given = model.params["energies"], pattern
        drawn = energy_cells.draw(*given, jnp.sum(true.excess, 0), uniforms, true.cells.size, known)
        return drawn, energy_cells.log_density(*given, drawn, true.listed, known)

    uniforms = jax.random.uniform(jax.random.key(0), true.cells.shape, minval=0.1)
    drawn, found = there_and_back(model.constants, true, uniforms)
    np.testing.assert_allclose(jnp.sum(drawn, 0), jnp.sum(true.excess, 0), rtol=1e-4)
    place, alpha = (np.asarray(x)[np.asarray(true.listed.place) < true.cells.shape[1]] for x in true.listed)
    found, expected = np.asarray(found)[: len(place)], np.asarray(uniforms)[alpha, place]
    assert (found == 0).sum() == np.asarray(true.cells).any(0).sum()  # the last of each ring has no choice
    np.testing.assert_allclose(found[found != 0], expected[found != 0], atol=1e-3)


def test_a_fit_finds_mean_and_width_that_change_with_energy():
    draw = np.random.default_rng(0)
    x = draw.uniform(-2.3, 2.3, 2000)
    y = 0.3 * x + np.exp(-3.0 - 0.5 * x) * draw.normal(size=x.shape)
    fit = statistics.Fit(1)
    fit.add(np.zeros(len(x), int), x, y)
    mean, log_width = fit.solve()
    np.testing.assert_allclose(mean[0], [0.0, 0.3, 0.0, 0.0], atol=0.01)
    np.testing.assert_allclose(log_width[0], [-3.0, -0.5], atol=0.05)


def test_a_fit_of_one_energy_is_level():
    x = np.full(500, 2.0)
    fit = statistics.Fit(1)
    fit.add(np.zeros(len(x), int), x, 1.0 + 0.1 * np.random.default_rng(0).normal(size=x.shape))
    log_width = fit.solve()[1][0]
    assert np.exp(log_width @ [1.0, 2.0]) == pytest.approx(0.1, rel=0.1) and abs(log_width[1]) < 0.1


def test_statistics_do_not_depend_on_the_blocks(detector, events):
    whole, parts = (statistics.Statistics(detector, detector.threshold) for _ in range(2))
    whole.add(events[0], statistics.hits(events[1], detector.threshold))
    for rows in (slice(0, 7), slice(7, None)):
        parts.add(events[0][rows], statistics.hits(events[1][rows], detector.threshold))
    for name, values in whole.arrays().items():
        np.testing.assert_allclose(parts.arrays()[name], values, rtol=1e-6, atol=1e-9, err_msg=name)
