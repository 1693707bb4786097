"""The engine: the same bits however showers are written, overflow, order, names of what went wrong."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny_system as tiny

from calojax import generation
from calojax.errors import InputError
from calojax.generation import Generation, engine
from calojax.system import Model

CONFIG = tiny.Config(generation=Generation(tile=4, window=16))
PARAMS = {"total": {"bias": np.zeros(2, np.float32)}}
MODEL = Model(PARAMS, {}, {})


def energies(n=45, low=1.0, high=20.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, n).astype(np.float32)


def run(energy, config=CONFIG, seed=0, sink=None, **options):
    sink = sink or generation.Arrays(tiny.N_CELLS, sparse=True)
    return generation.run(tiny, MODEL, config, {"incident_energy": energy}, seed, sink, progress=False, **options)


def single(energy, shower, seed=0):
    """One shower by itself, dense."""
    keys = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), shower)[None]
    found = tiny.generate(MODEL, {"incident_energy": energy[shower : shower + 1]}, keys, CONFIG, tiny.N_CELLS)
    dense = np.zeros(tiny.N_CELLS, np.float32)
    count = int(found.count[0])
    dense[np.array(found.index[:count])] = found.energy[:count]
    return dense


def test_every_shower_is_its_own_and_in_its_place():
    energy = energies()
    found = run(energy, sink=generation.Arrays(tiny.N_CELLS))
    np.testing.assert_array_equal(found.incident_energy, energy)
    for shower in (0, 7, 16, 44):
        np.testing.assert_allclose(found.showers[shower], single(energy, shower), rtol=1e-6)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


LADDER = tiny.Config(generation=Generation(tile=25, window=25))  # tiles of 1, 5 and 25
REQUESTS = [1, 2, 4, 12, 45, 70]  # of tiles of 1, 1, 5, 5, 25, 25


@pytest.mark.skipif(jax.local_device_count() < 2, reason="a single device, such as one GPU")
@pytest.mark.parametrize("n", REQUESTS)
def test_one_and_two_devices_give_the_same_bits(n):
    one, two = (run(energies(n), LADDER, devices=jax.local_devices()[:d]) for d in (1, 2))
    assert same(one, two)


@pytest.mark.parametrize("chunk", [1, 16, 17, 45, 1000])
def test_the_size_of_the_pieces_changes_no_bit(chunk):
    assert same(run(energies()), run(energies(), chunk=chunk))


@pytest.mark.parametrize("n", REQUESTS)
def test_the_size_of_the_pieces_changes_no_bit_in_any_tile(n):
    assert same(run(energies(n), LADDER), run(energies(n), LADDER, chunk=1))


@pytest.mark.parametrize("n", REQUESTS)
def test_a_shower_is_the_same_in_tiles_of_all_sizes(n):
    """Up to rounding: it depends on the seed, its number and its energy alone."""
    made = [
        run(energies(n), tiny.Config(generation=Generation(tile=tile)), sink=generation.Arrays(tiny.N_CELLS)).showers
        for tile in (1, 5, 25, 64)
    ]
    for other in made[1:]:
        np.testing.assert_array_equal(other > 0, made[0] > 0)
        np.testing.assert_allclose(other, made[0], rtol=1e-6)


@pytest.mark.parametrize(("n", "tiles"), [(1, [1]), (2, [1] * 2), (4, [5]), (12, [5] * 3), (25, [25]), (70, [25] * 3)])
def test_a_request_is_computed_in_tiles_that_suit_it(monkeypatch, n, tiles):
    """One shower once, and not as often as a large tile has places."""
    computed, compiled = [], engine._compiled
    monkeypatch.setattr(tiny, "expected_capacity", lambda *a: 2)  # which holds every tile
    monkeypatch.setattr(
        engine, "_compiled", lambda *a: lambda m, c, s, seed: (computed.append(len(s)), compiled(*a)(m, c, s, seed))[1]
    )
    run(energies(n), LADDER)
    assert computed == tiles


def test_a_longer_request_repeats_the_windows_of_a_shorter_one():
    short, long = run(energies(32)), run(energies(45))
    assert same(short.counts, long.counts[:32]) and same(short.energy, long.energy[: len(short.energy)])


def test_another_seed_gives_other_showers():
    assert not same(run(energies()), run(energies(), seed=1))


def test_a_tile_that_does_not_fit_is_computed_again_to_the_same_showers(monkeypatch):
    tried = []
    generate = tiny.generate
    monkeypatch.setattr(tiny, "generate", lambda *a: (tried.append(a[-1]), generate(*a))[1])
    energy = energies(low=15)
    monkeypatch.setattr(tiny, "expected_capacity", lambda *a: 0)
    small = run(energy)
    monkeypatch.setattr(tiny, "expected_capacity", lambda *a: 2)
    large = run(energy)
    assert same(small, large)
    assert set(tried) == set(tiny.capacities(CONFIG, {}))


def test_many_tiles_of_a_window_use_every_second_capacity(monkeypatch):
    tried, generate = [], tiny.generate
    monkeypatch.setattr(tiny, "generate", lambda *a: (tried.append(a[-1]), generate(*a))[1])
    monkeypatch.setattr(tiny, "expected_capacity", lambda *a: 1)
    wide = tiny.Config(generation=Generation(tile=4, window=48))
    found = run(energies(), wide)
    assert set(tried) == {tiny.capacities(wide, {})[2]}
    monkeypatch.setattr(tiny, "expected_capacity", lambda *a: 0)
    assert same(run(energies(), wide), found)  # where 0 is too small, 2 is next
    assert set(tried) == {tiny.capacities(wide, {})[0], tiny.capacities(wide, {})[2]}


def test_an_overflow_of_the_last_capacity_is_a_defect(monkeypatch):
    monkeypatch.setattr(tiny, "capacities", lambda *a: (2,))
    monkeypatch.setattr(tiny, "expected_capacity", lambda *a: 0)
    with pytest.raises(RuntimeError, match="overflowed the last capacity"):
        run(energies(low=15))


def test_one_function_per_capacity_is_traced_and_kept(monkeypatch):
    traced = []
    generate = tiny.generate
    monkeypatch.setattr(tiny, "generate", lambda *a: (traced.append(a[-1]), generate(*a))[1])
    run(energies(), devices=jax.local_devices()[:1])
    run(energies(seed=5), devices=jax.local_devices()[:1])
    assert len(traced) == len(set(traced))


def test_a_tile_is_filled_by_its_first_shower_and_the_filling_dropped():
    assert len(run(energies(3)).counts) == 3
    assert same(run(energies(3)), run(energies(3), replace(CONFIG, generation=Generation(4, 4))))


def test_a_shower_that_is_not_finite_is_named():
    energy = energies()
    energy[[30, 12]] = 7.0
    with pytest.raises(generation.NonFiniteShower, match="shower 12 "):
        run(energy)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_an_energy_that_makes_no_sense_names_its_row(bad):
    energy = energies()
    energy[9] = bad
    with pytest.raises(InputError, match="incident_energy, row 9"):
        run(energy)


@pytest.mark.parametrize("conditions", [{"incident_energy": []}, {"incident_energy": [1.0], "angle": [1.0, 2.0]}])
def test_conditions_of_unequal_or_no_length_are_refused(conditions):
    with pytest.raises(InputError, match="one row per shower"):
        generation.run(tiny, MODEL, CONFIG, conditions, 0, generation.Arrays(tiny.N_CELLS), progress=False)


def test_energies_outside_the_trained_range_warn_by_how_much():
    with pytest.warns(UserWarning, match=r"of 45 showers.*2 to 18.*below it.*above it"):
        run(energies(), trained={"incident_energy": (2.0, 18.0)})


EDGES = np.array([2.0, 5.0, 18.0])


@pytest.mark.parametrize("trained", [(2.0, 18.0), (2.015, 17.85)])
def test_energies_inside_or_less_than_a_percent_outside_do_not_warn(trained, recwarn):
    run(EDGES, trained={"incident_energy": trained})
    assert not [w for w in recwarn if "trained range" in str(w.message)]


@pytest.mark.parametrize(
    ("trained", "said"),
    [((2.0625, 17.85), "down to 2 MeV, 0.0625 MeV below it"), ((2.015, 17.75), "up to 18 MeV, 0.25 MeV above it")],
)
def test_energies_more_than_a_percent_outside_warn_of_this_side_alone(trained, said):
    with pytest.warns(UserWarning, match=rf"1 of 3 showers .* by more than 1 % \({said}\);"):
        run(EDGES, trained={"incident_energy": trained})


class Broken(generation.Arrays):
    def append(self, piece, block):
        raise OSError("disk full")


def test_an_error_of_the_sink_is_passed_on():
    with pytest.raises(OSError, match="disk full"):
        run(energies(), sink=Broken(tiny.N_CELLS))


@pytest.mark.parametrize("values", [{"tile": 0}, {"window": 0}, {"compression": 10}])
def test_a_config_that_makes_no_sense_says_so(values):
    with pytest.raises(InputError, match="generation"):
        Generation(**values)
