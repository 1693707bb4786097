"""The path through the command line: files, shards, a run, showers, a report."""

import json
import shutil

import h5py
import numpy as np
import pytest

import calojax
from calojax import cache
from calojax.report import drawing
from calojax.training import package
from tests import layers

pytestmark = pytest.mark.timeout(1200)  # most of it compiles


def test_training_leaves_a_whole_run_folder(run):
    assert {path.name for path in run.iterdir()} == {
        "config.toml",
        "manifest.json",
        "statistics.npz",
        "provenance.json",
        "metrics.jsonl",
        "checkpoints",
        "report",
    }
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 20
    assert "validation/loss" in lines[-1]["values"]
    assert [path.name for path in (run / "report").iterdir()] == ["index.html"]
    page = (run / "report" / "index.html").read_text()
    assert "system: pyramid" in page and "steps: 20 of 20" in page and "parameters: " in page
    assert drawing.number(lines[-1]["values"]["validation/loss"], 5) in page


def test_info_knows_every_stage(run, generated, command, capsys):
    for path, kind in ((run, "run"), (run.parent / "shards", "shards"), (generated, "showers")):
        capsys.readouterr()
        assert command("info", path, "--json") == 0
        assert json.loads(capsys.readouterr().out)["kind"] == kind


def test_info_of_a_run_that_another_version_went_on_with(run, tmp_path):
    assert "versions of the latest checkpoint" not in calojax.info(run)
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    origin = json.loads((folder / "provenance.json").read_text())
    origin["versions"]["jax"] = "0.1"
    (folder / "provenance.json").write_text(json.dumps(origin))
    found = calojax.info(folder)
    assert found["provenance"]["versions"]["jax"] == "0.1"
    assert found["versions of the latest checkpoint"] == calojax.info(run)["provenance"]["versions"]


def test_info_of_a_packaged_model_does_not_speak_of_resuming(run, tmp_path):
    package.write(calojax.load(run), tmp_path / "model")
    found = calojax.info(tmp_path / "model")
    assert (found["kind"], found["system"]) == ("packaged model", "pyramid")
    assert "--resume" not in json.dumps(found)


def test_generated_showers_are_complete_showers(generated):
    with h5py.File(generated) as file:
        energies, showers = file["incident_energies"][:], file["showers"][:]
        attributes = dict(file.attrs)
    assert showers.shape == (20, 6480)
    assert np.all((energies >= 2600) & (energies <= 3900))
    assert np.all((showers == 0) | (showers >= np.float32(0.015151514)))
    assert np.all(np.isfinite(showers))
    assert attributes["units"] == "MeV"
    assert attributes["seed"] == 3


def test_one_request_gives_the_same_showers_in_memory_as_in_a_file(run, generated):
    with h5py.File(generated) as file:
        energies, showers = file["incident_energies"][:, 0], file["showers"][:]
    again = calojax.generate(run, energies, seed=3, progress=False)
    np.testing.assert_array_equal(again.showers, showers)


def test_conditions_are_taken_in_their_order(run, command):
    out = run.parent / "conditioned.hdf5"
    assert command("generate", run, "--conditions", run.parent / "slice.hdf5", "--out", out) == 0
    with h5py.File(out) as ours, h5py.File(run.parent / "slice.hdf5") as given:
        np.testing.assert_array_equal(ours["incident_energies"][:], given["incident_energies"][:])


def test_energies_outside_the_trained_range_warn_by_how_much(run, command, capsys):
    capsys.readouterr()
    out = run.parent / "outside.hdf5"
    assert command("generate", run, "--n", 3, "--energy", 4100, "--out", out) == 0
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert "3 of 3 showers lie outside the trained range" in warning
    assert "up to 4,100" in warning and "above it" in warning


def test_evaluating_writes_metrics_and_a_report(run, generated, command):
    out = run.parent / "report"
    assert command("evaluate", run.parent / "slice.hdf5", generated, "--geometry", "ds2", "--quick", "--out", out) == 0
    found = json.loads((out / "metrics.json").read_text())
    assert found["schema"] == "calojax.metrics/1"
    assert found["metrics"]["separation.e_tot"]["n_generated"] == 20
    assert "<html" in (out / "index.html").read_text().lower()


def test_nothing_is_overwritten(run, generated, command, capsys):
    before = generated.read_bytes()
    config = run.parent / "tiny.toml"
    for arguments in (
        ("generate", run, "--n", 1, "--out", generated),
        ("train", config, "--data", run.parent / "shards", "--out", run),
        ("prepare", "pyramid", run.parent / "slice.hdf5", "--out", run.parent / "shards"),
    ):
        capsys.readouterr()
        assert command(*arguments) == 2
        assert "exists already" in capsys.readouterr().err
    assert generated.read_bytes() == before


def test_files_are_prepared_once_into_the_cache(place, tmp_path, command):
    """With the small system of docs/adding-a-system.md."""
    layers.write(tmp_path)
    arguments = ("--data", place / "slice.hdf5", "--set", "training.steps=1", "--set", "training.validation_rows=0")
    home = cache.folder() / "shards"
    made = set()
    with layers.known(tmp_path):
        for number in range(2):
            out = tmp_path / f"cached-{number}"
            assert command("train", tmp_path / "experiments/layers/quick.toml", *arguments, "--out", out) == 0
            made.add(tuple(sorted(path.name for path in home.iterdir())))
    assert len(made) == 1


def test_a_run_that_is_finished_resumes_to_the_same_step(run, command, capsys):
    config, shards = run.parent / "tiny.toml", run.parent / "shards"
    capsys.readouterr()
    assert command("train", config, "--data", shards, "--out", run, "--resume") == 0
    assert "20 steps" in capsys.readouterr().out
