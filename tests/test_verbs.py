"""What the verbs make of their arguments, and what they refuse before anything is written."""

import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from calojax import data, digests, experiments, preparation, training, verbs
from calojax.errors import InputError
from calojax.generation import requested
from calojax.shards import Manifest
from calojax.training import folder

TOML = """
system = "pyramid"
[training]
steps = 7
validation_rows = 2
batch = 2
tile = 2
"""


@pytest.fixture
def toml(tmp_path):
    """A function that writes a TOML file: `toml(text)` -> path."""

    def write(text=TOML):
        path = tmp_path / "experiment.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def slice_of_sample(tmp_path):
    """Twelve showers of the sample in a file of their own."""
    path = tmp_path / "slice.hdf5"
    with h5py.File(data.sample("pyramid")) as source, h5py.File(path, "w") as out:
        for key in ("incident_energies", "showers"):
            out[key] = source[key][:12]
    return path


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Nothing is trained: what would be is listed as (config, folder of shards, run folder)."""
    asked = []
    monkeypatch.setattr(
        training,
        "run",
        lambda system, config, shards, out, **rest: asked.append((config, shards and shards.folder, out)),
        raising=False,
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return asked


# ---- experiments


def test_an_experiment_names_its_system_and_settings_win_over_the_file(toml):
    found = experiments.read(toml(), ["training.steps=9", "model.coupling=rqs"])
    assert (found.system, found.source) == ("pyramid", "")
    assert (found.config.training.steps, found.config.model.coupling) == (9, "rqs")


@pytest.mark.parametrize(
    "text", ['data = "sample"\n' + TOML, TOML + '[data]\nsource = "sample"\nrows_per_shard = 5', TOML + "[data]"]
)
def test_the_sample_can_be_asked_for_beside_a_table_of_data_or_in_its_place(toml, text):
    found = experiments.read(toml(text))
    assert found.source == ("sample" if "sample" in text else "")
    assert found.config.data.rows_per_shard == (5 if "per_shard" in text else 4096)
    assert experiments.read(toml(text), ["data.rows=8"]).config.data.rows == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[training]\nsteps = 1", "key system: is missing"),
        ("system = 3", "key system: is 3"),
        ('system = "pyramit"', "did you mean pyramid"),
        (TOML + "[modle]", "modle: unknown key"),
        (TOML + "[model]\nwidht = 3", r"\[model\] widht: unknown key"),
        (TOML + "[model]\nhidden = true", r"\[model\] hidden: is true"),
        (TOML + 'data = "sample"', "validation|unknown key"),
        ('data = "/a/file.hdf5"\n' + TOML, "configurations hold no paths"),
        ("data = 3\n" + TOML, "data: is 3"),
        (TOML.replace("tile = 2", "tile = 3"), r"\[training\] batch: is 2"),
        ("system = ", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(toml, text, said):
    with pytest.raises(InputError, match=said):
        experiments.read(toml(text))


def test_the_configuration_of_a_run_is_an_experiment(toml, slice_of_sample, trained, tmp_path):
    asked, shards, run = experiments.read(toml()), tmp_path / "shards", tmp_path / "run"
    folder.create(run, asked.config, shards, verbs.prepare("pyramid", slice_of_sample, shards), steps=7)
    written = run / "config.toml"
    assert experiments.read(written) == asked
    verbs.train(written, shards)
    assert trained == [(asked.config, shards, Path("runs/config"))]
    assert folder.describe(run)[2] == asked.config
    written.write_text(written.read_text().replace('system = "pyramid"\n', ""))  # as older runs have it
    assert folder.describe(run)[2] == asked.config


# ---- data to train on


def test_files_are_prepared_once_and_again_when_what_they_depend_on_changes(toml, slice_of_sample, trained):
    for settings in ([], ["training.steps=3"], ["data.rows=6"], []):
        verbs.train(toml(), slice_of_sample, settings=settings)
    folders = [shards for _, shards, _ in trained]
    assert folders[0] == folders[1] == folders[3] != folders[2]
    assert [Manifest.read(folder).rows for folder in folders] == [12, 12, 6, 12]


def test_held_out_rows_of_the_sample_are_never_trained_on(toml, trained, monkeypatch):
    prepared = []
    monkeypatch.setattr(preparation, "shards", lambda asked, *rest: prepared.append(asked.config.data.rows))
    for settings in ([], ["data.rows=5000"], ["data.rows=50"]):
        verbs.train(toml(), "sample", settings=settings)
    assert prepared == [1000, 1000, 50]


def test_a_folder_of_shards_is_used_as_it_is(toml, slice_of_sample, trained, tmp_path):
    manifest = verbs.prepare("pyramid", slice_of_sample, tmp_path / "shards", data={"rows_per_shard": 5})
    verbs.train(toml(), tmp_path / "shards")
    assert trained[0][1] == tmp_path / "shards"
    assert [part.rows for part in manifest.parts] == [5, 5, 2]


def test_a_run_is_named_after_its_file_and_the_next_one_gets_a_number(toml, slice_of_sample, trained, tmp_path):
    for taken in ("experiment", "experiment-2", ""):
        verbs.train(toml(), slice_of_sample)
        (tmp_path / "runs" / taken).mkdir(parents=True, exist_ok=True)
    assert [out.name for _, _, out in trained] == ["experiment", "experiment-2", "experiment-3"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (None, "names no data"),
        (["absent.hdf5"], "absent.hdf5: does not exist"),
        (["absent"], "absent: does not exist"),
        (["folder", "other.hdf5"], "folder among several sources"),
        (["folder"], "has no manifest.json"),
        (["a run"], "a run: is a run, but a training reads shards"),
    ],
)
def test_data_that_cannot_be_used_are_named(toml, trained, tmp_path, paths, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a run").mkdir()
    (tmp_path / "a run" / "config.toml").touch()
    with pytest.raises(InputError, match=said):
        verbs.train(toml(), paths)
    assert trained == []
    assert not (tmp_path / "runs").exists()


def test_shards_of_another_system_are_refused(toml, slice_of_sample, trained, tmp_path, monkeypatch):
    verbs.prepare("pyramid", slice_of_sample, tmp_path / "shards")
    manifest = tmp_path / "shards" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"system": "pyramid"', '"system": "zdc"'))
    with pytest.raises(InputError, match="was prepared for zdc"):
        verbs.train(toml(), tmp_path / "shards")


def test_files_are_prepared_again_when_their_geometry_changes(toml, slice_of_sample, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    binning = tmp_path / "binning.xml"
    asked = experiments.read(toml(), [f'data.geometry="{binning}:electron"'])
    named = []
    monkeypatch.setattr(preparation, "prepare", lambda system, sources, out, config: named.append(out))
    for content in ("one", "two", "one"):
        binning.write_text(content)
        preparation._cached(asked, [slice_of_sample])
    assert named[0] == named[2] != named[1]


def test_files_are_prepared_again_when_any_code_changes(toml, slice_of_sample, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked, named = experiments.read(toml()), []
    monkeypatch.setattr(preparation, "prepare", lambda system, sources, out, config: named.append(out))
    for code in ("one", "two", "one"):
        monkeypatch.setattr(digests, "of_code", lambda code=code: code)
        preparation._cached(asked, [slice_of_sample])
    assert named[0] == named[2] != named[1]


def test_two_processes_prepare_the_same_files_once(toml, slice_of_sample, tmp_path, monkeypatch):
    """The second one waits for the first and uses what it made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked, made, begun = experiments.read(toml()), [], threading.Event()
    prepare = preparation.prepare

    def slow(*inputs):
        begun.set()
        time.sleep(0.3)
        made.append(prepare(*inputs))

    monkeypatch.setattr(preparation, "prepare", slow)
    first = threading.Thread(target=preparation._cached, args=(asked, [slice_of_sample]))
    first.start()
    assert begun.wait(10)
    stale = tmp_path / "calojax" / "shards" / ".killed.claim"
    stale.mkdir()
    folder = preparation._cached(asked, [slice_of_sample])
    first.join()
    assert len(made) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert Manifest.read(folder).rows == made[0].rows


def test_resuming_needs_the_run(toml, trained):
    with pytest.raises(InputError, match="give --out RUN"):
        verbs.train(toml(), "sample", resume=True)


def test_an_existing_run_is_refused_before_anything_is_prepared(toml, slice_of_sample, trained, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="exists already"):
        verbs.train(toml(), slice_of_sample, tmp_path / "run")
    assert not (tmp_path / "cache" / "calojax" / "shards").exists()


def test_bad_sources_leave_nothing_behind(tmp_path, slice_of_sample):
    with h5py.File(slice_of_sample, "a") as file:
        file["showers"][7, 100] = np.nan
    with pytest.raises(InputError, match=r"slice\.hdf5, showers, row 7, column 100"):
        verbs.prepare("pyramid", slice_of_sample, tmp_path / "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["slice.hdf5"]


# ---- what is generated


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"n": 0}, "n: is 0"),
        ({"n": 2, "energy": 0.0}, "energy: is 0.0, but it must be above 0 MeV"),
        ({"n": 2, "energy": float("inf")}, "energy: is inf"),
        ({"n": 2, "energy_range": (0.0, 5.0)}, "energy range: is 0 to 5 MeV"),
        ({"n": 2, "energy_range": (5.0, 1.0)}, "energy range: is 5 to 1 MeV"),
        ({"n": 2, "energy_range": (1.0, float("nan"))}, "energy range: is 1 to nan"),
        ({"energies": [1.0], "energy": 3.0}, "beside the energies themselves"),
        ({"n": 2, "seed": -1}, "seed: is -1"),
        ({"n": 2, "out": "taken"}, "taken: exists already"),
        ({"n": 2}, "is no folder"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_before_a_model_is_loaded(tmp_path, monkeypatch, request_, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match=said):
        verbs.generate("run", **request_)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_energies_fill_their_range_evenly_in_the_logarithm():
    energies = requested.energies(20_000, None, (1e3, 1e5), seed=1)
    counts = np.histogram(np.log10(energies), np.linspace(3, 5, 11))[0]
    assert counts.sum() == 20_000
    assert np.all(abs(counts - 2_000) < 5 * np.sqrt(2_000))
    assert np.array_equal(energies, requested.energies(20_000, None, (1e3, 1e5), seed=1))
    assert np.all(requested.energies(5, 2_000.0, (1e3, 1e5), seed=1) == 2_000)


# ---- what is judged


@pytest.mark.parametrize("given", [{"compare": {"other": "other.hdf5"}}, {"published": True}, {"resume": True}])
def test_what_is_about_a_folder_is_refused_without_one(given):
    with pytest.raises(InputError, match=f"{next(iter(given))}: is given without out"):
        verbs.evaluate("reference.hdf5", "generated.hdf5", "ds2", **given)
