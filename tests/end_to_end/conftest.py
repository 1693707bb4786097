"""A slice of the sample, and one small run on it that every test of the command line shares."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from calojax import cli, data

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "training")]
CONFIG = """
system = "pyramid"
[model]
hidden = 4
cell_hidden = 4
couplings = 2
bins = 2
pooled = 2
[training]
steps = 20
batch = 8
tile = 8
warmup_steps = 2
validation_rows = 8
log_every = 5
[generation]
tile = 8
window = 64
"""


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """A folder with `slice.hdf5` (40 showers of like energy, so that one size fits all) and `tiny.toml`."""
    folder = tmp_path_factory.mktemp("end_to_end")
    with h5py.File(data.sample("pyramid")) as source, h5py.File(folder / "slice.hdf5", "w") as out:
        energies, showers = (source[key][:] for key in ("incident_energies", "showers"))
        rows = np.flatnonzero((energies[:, 0] > 2500) & (energies[:, 0] < 4000))[:40]
        out["incident_energies"], out["showers"] = energies[rows], showers[rows]
    (folder / "tiny.toml").write_text(CONFIG)
    return folder


def calojax(*arguments) -> int:
    """One command in this process; its exit code."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as left:  # argparse
        return int(left.code or 0)


@pytest.fixture(scope="session")
def run(place) -> Path:
    """A run of 20 steps, trained through the command line."""
    shards = place / "shards"
    assert calojax("prepare", "pyramid", place / "slice.hdf5", "--out", shards) == 0
    assert calojax("train", place / "tiny.toml", "--data", shards, "--out", place / "run") == 0
    return place / "run"


@pytest.fixture(scope="session")
def generated(run) -> Path:
    """20 showers of that run, at the energies of the slice."""
    out = run.parent / "generated.hdf5"
    arguments = ("--n", 20, "--energy-range", "2600:3900", "--seed", 3)
    assert calojax("generate", run, *arguments, "--out", out) == 0
    return out


@pytest.fixture(scope="session")
def command():
    """`command("info", path)` -> exit code."""
    return calojax
