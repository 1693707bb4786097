"""What cannot be used ends with exit code 2 and one sentence on stderr that names it, and nothing is written."""

import re

import h5py
import numpy as np
import pytest

from calojax import data


def table(place, **sections):
    lines = [f'system = "{sections.pop("system", "pyramid")}"']
    for name, fields in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in fields.items())]
    path = place / "bad.toml"
    path.write_text("\n".join(lines))
    return path


def showers(place, energies=(1000.0,), width=6480, value=1.0, key="showers"):
    path = place / "bad.hdf5"
    with h5py.File(path, "w") as file:
        file["incident_energies"] = np.asarray(energies, float).reshape(-1, 1)
        file[key] = np.full((len(energies), width), value, np.float32)
    return path


@pytest.fixture
def refused(tmp_path, command, capsys):
    """Run a command that has to be refused; its one sentence. Whatever it was given, no file may appear."""

    def run(*arguments) -> str:
        before = sorted(tmp_path.rglob("*"))
        code = command(*arguments)
        out, err = capsys.readouterr()
        assert code == 2, err
        assert out == ""
        assert len(err.strip().splitlines()) == 1, err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


SAMPLE = data.sample("pyramid")


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"training": {"step": 3}}, r"bad\.toml, \[training\] step: unknown key.*did you mean steps\?"),
        ({"training": {"steps": "true"}}, r"bad\.toml, \[training\] steps: is true, but it must be whole number"),
        ({"training": {"steps": 0}}, r"bad\.toml, \[training\] steps: is 0"),
        ({"training": {"batch": 10, "tile": 4}}, r"\[training\] batch: is 10"),
        ({"trainning": {}}, r"trainning: unknown key.*did you mean training\?"),
        ({"model": {"coupling": '"rsq"'}}, r"\[model\] coupling: is \"rsq\""),
        ({"system": "piramid"}, r"did you mean pyramid\?"),
    ],
)
def test_configurations(tmp_path, refused, sections, said):
    config = table(tmp_path, **sections)
    assert_matches(said, refused("train", config, "--data", "sample", "--out", tmp_path / "run"))


def test_more_rows_for_validation_than_there_are(tmp_path, refused):
    config = table(tmp_path, training={"validation_rows": 1000})
    assert "validation_rows" in refused("train", config, "--data", "sample", "--out", tmp_path / "run")


def test_settings_of_the_command_line(tmp_path, refused):
    config = table(tmp_path)
    for setting, said in (("training.stepz=3", r"did you mean steps\?"), ("steps", "--set steps")):
        assert_matches(said, refused("train", config, "--data", "sample", "--out", tmp_path / "r", "--set", setting))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"energies": (1000.0, 0.0)}, r"bad\.hdf5, incident_energies, row 1: the energy is 0"),
        ({"energies": (1000.0, np.nan)}, r"bad\.hdf5, incident_energies, row 1"),
        ({"energies": ()}, r"bad\.hdf5, incident_energies: has no rows"),
        ({"width": 368}, r"bad\.hdf5, showers: has 368 columns.*6,480"),
        ({"value": np.nan}, r"bad\.hdf5, showers, row 0"),
        ({"value": np.inf}, r"bad\.hdf5, showers, row 0"),
        ({"value": -1.0}, r"bad\.hdf5, showers, row 0"),
        ({"key": "shower"}, r"bad\.hdf5, showers: is missing"),
    ],
)
def test_shower_files(tmp_path, refused, made, said):
    path = showers(tmp_path, **made)
    assert_matches(said, refused("prepare", "pyramid", path, "--out", tmp_path / "shards"))
    assert_matches(said, refused("evaluate", SAMPLE, path, "--geometry", "ds2", "--out", tmp_path / "report"))


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"not HDF5 at all", None])
def test_files_that_are_no_hdf5(tmp_path, refused, content):
    path = tmp_path / "bad.hdf5"
    if content is not None:
        path.write_bytes(content)
    assert "bad.hdf5" in refused("prepare", "pyramid", path, "--out", tmp_path / "shards")
    assert "bad.hdf5" in refused("info", path)


def test_a_truncated_file(tmp_path, refused):
    path = tmp_path / "bad.hdf5"
    path.write_bytes(SAMPLE.read_bytes()[:200_000])
    assert "bad.hdf5" in refused("prepare", "pyramid", path, "--out", tmp_path / "shards")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "{}/none", "--n", "3", "--out", "{}/g.hdf5"], "none: is no folder"),
        (["generate", "{}", "--n", "3", "--out", "{}/g.hdf5"], "has no config.toml"),
        (["generate", "{}", "--n", "0", "--out", "{}/g.hdf5"], "--n"),
        (["generate", "{}", "--out", "{}/g.hdf5"], "--n"),
        (["generate", "{}", "--n", "3", "--energy-range", "5", "--out", "{}/g.hdf5"], "LO:HI"),
        (["evaluate", str(SAMPLE), str(SAMPLE), "--geometry", "ds9", "--out", "{}/r"], "geometry ds9"),
        (["evaluate", str(SAMPLE), str(SAMPLE), "--geometry", "ds3", "--out", "{}/r"], "6,480"),
        (["prepare", "piramid", "x", "--out", "{}/s"], "pyramid"),
        (["prepare", "pyramid", str(SAMPLE), "--threshold", "low", "--out", "{}/s"], "threshold"),
        (["demo", "piramid"], "pyramid"),
        (["demo", "--out", "{}"], "exists already"),
        (["info", "{}"], "nothing of calojax"),
        (["train", "{}/none.toml", "--data", "sample"], "none.toml: does not exist"),
        (["train"], "CONFIG.toml"),
        (["fly"], "fly"),
    ],
)
def test_arguments(tmp_path, refused, arguments, said):
    assert said in refused(*(argument.format(tmp_path) for argument in arguments))


def test_training_without_data_or_on_a_file_that_is_not_there(tmp_path, refused):
    config = table(tmp_path)
    assert "names no data" in refused("train", config, "--out", tmp_path / "run")
    missing = tmp_path / "none.hdf5"
    assert "none.hdf5: does not exist" in refused("train", config, "--data", missing, "--out", tmp_path / "run")


def assert_matches(pattern: str, said: str) -> None:
    assert re.search(pattern, said), said
