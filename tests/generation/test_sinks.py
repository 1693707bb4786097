"""Sinks: the same showers in memory and in a file, whose bytes do not depend on how they are written."""

import json

import h5py
import jax
import numpy as np
import tiny_system as tiny

from calojax import cache, digests, generation
from calojax.generation import Generation, sinks
from calojax.geometry import Cylinder, Layer
from calojax.system import Model
from calojax.training import Loaded

GEOMETRY = Cylinder("tiny", (Layer(0, (0.0, 1.0, 2.0), 3, 0.0, 1.0), Layer(1, (0.0, 1.0, 2.0), 3, 1.0, 2.0)), 0.1)
CONFIG = tiny.Config(generation=Generation(tile=4, window=16))
MODEL = Model({"total": {"bias": np.zeros(2, np.float32)}}, {}, {})
ENERGY = np.random.default_rng(0).uniform(1, 20, 45)


def run(sink, energy=ENERGY):
    conditions = {"incident_energy": energy}
    return generation.run(tiny, MODEL, CONFIG, conditions, 0, sink, progress=False)


def dense():
    return run(generation.Arrays(tiny.N_CELLS))


def test_sparse_and_dense_arrays_hold_the_same_showers():
    block = run(generation.Arrays(tiny.N_CELLS, sparse=True))
    showers = np.zeros((45, tiny.N_CELLS), np.float32)
    sinks.scatter(block, showers)
    np.testing.assert_array_equal(showers, dense().showers)
    assert showers.dtype == np.float32 and (showers > 0).any(axis=1).all()


def test_a_file_holds_what_arrays_hold(tmp_path):
    layout = generation.Voxels(GEOMETRY, {"seed": 0})
    path = run(generation.Files(tmp_path / "out.hdf5", layout, {}))
    assert list(tmp_path.iterdir()) == [path]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["showers"][:], dense().showers)
        np.testing.assert_array_equal(file["incident_energies"][:, 0], ENERGY)
        assert file.attrs["seed"] == 0 and file.attrs["units"] == "MeV"


def test_the_origin_of_a_file_is_complete():
    class Manifest:
        system, digest = "tiny", "ab"

    found = generation.attributes(Loaded("run-1", tiny, CONFIG, Manifest, MODEL, 40), seed=5, showers=45)
    expected = {"generator", "run", "step", "seed", "config_digest", "data_digest", "tile", "window", "versions"}
    assert set(found) == expected
    assert (found["run"], found["step"], found["seed"], found["tile"], found["window"]) == ("run-1", 40, 5, 4, 16)
    assert f"jax={jax.__version__}" in found["versions"]


def test_a_file_says_which_tile_its_number_of_showers_was_given():
    class Manifest:
        system, digest = "tiny", "ab"

    def recorded(showers, generation_config):
        loaded = Loaded("run-1", tiny, tiny.Config(generation=generation_config), Manifest, MODEL, 40)
        found = generation.attributes(loaded, 5, showers)
        return found["tile"], found["window"]

    assert recorded(1, Generation(tile=4, window=15)) == (1, 15)
    assert recorded(45, Generation(tile=4, window=15)) == (4, 16)
    assert recorded(10_000, Generation()) == (25, 1_600)


def test_a_request_is_of_one_code_kind_of_cpu_and_precision(monkeypatch):
    class Manifest:
        system, digest = "tiny", "ab"

    loaded = Loaded("run-1", tiny, CONFIG, Manifest, MODEL, 40)

    def differing():
        now = generation.request(loaded, {"incident_energy": ENERGY}, 5, chunk=8)
        return {key for key in before | now if before.get(key) != now.get(key)}

    before = generation.request(loaded, {"incident_energy": ENERGY}, 5, chunk=8)
    assert before["tile"] == 4
    assert json.loads(json.dumps(before)) == before
    assert differing() == set()
    with jax.default_matmul_precision("float32"):
        assert differing() == {"matmul precision"}
    monkeypatch.setattr(cache, "cpu", lambda: "another")
    monkeypatch.setattr(digests, "of_code", lambda: "another")
    assert differing() == {"device", "code"}
