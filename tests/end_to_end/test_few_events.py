"""One event, or a few: shapes are kept, and what cannot be computed says so."""

import json

import h5py
import numpy as np
import pytest

from calojax import evaluation, geometry, verbs


@pytest.fixture
def part(tmp_path, run):
    """A function that gives a file of the first n showers of the slice."""

    def make(rows):
        path = tmp_path / f"{rows}.hdf5"
        with h5py.File(run.parent / "slice.hdf5") as source, h5py.File(path, "w") as out:
            for key in source:
                out[key] = source[key][:rows]
        return path

    return make


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_showers_are_prepared(tmp_path, part, command, capsys, rows):
    path, shards = part(rows), tmp_path / "shards"
    assert command("prepare", "pyramid", path, "--out", shards) == 0
    for each, key in ((path, "showers"), (shards, "rows")):
        capsys.readouterr()
        assert command("info", each, "--json") == 0
        assert json.loads(capsys.readouterr().out)[key] == rows


def test_too_few_rows_to_hold_some_out_says_both_numbers(tmp_path, part, run, command, capsys):
    arguments = ("--data", part(1), "--out", tmp_path / "run")
    assert command("train", run.parent / "tiny.toml", *arguments) == 2
    assert "validation_rows: is 8, but the data have 1 rows" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_shower_is_generated(tmp_path, part, run, command):
    for name, which in (("n", ("--n", 1, "--energy", 3000)), ("conditions", ("--conditions", part(1)))):
        out = tmp_path / f"{name}.hdf5"
        assert command("generate", run, *which, "--out", out) == 0
        with h5py.File(out) as file:
            assert file["showers"].shape == (1, 6480)
            assert file["incident_energies"].shape == (1, 1)
    assert verbs.generate(run, [3000.0], progress=False).showers.shape == (1, 6480)


@pytest.mark.parametrize(("reference", "generated"), [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_what_few_showers_cannot_tell_is_null_with_the_reason(tmp_path, reference, generated):
    random = np.random.default_rng(0)
    sample = lambda n: (np.full(n, 1e4), random.gamma(0.5, 20.0, (n, 368)).astype(np.float32))
    found = evaluation.judge(
        sample(reference), sample(generated), geometry.load("ds1-photons"), level="quick", progress=False
    )
    found.save(tmp_path)
    content = (tmp_path / "metrics.json").read_text()
    table = json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} in metrics.json"))
    missing = [metric for metric in table["metrics"].values() if metric["value"] is None]
    assert missing
    assert all(metric["reason"] for metric in missing)
    if reference == 1:  # no halves to compare
        distances = [metric for name, metric in table["metrics"].items() if name.startswith("separation")]
        assert {metric["floor"] for metric in distances} == {None}
