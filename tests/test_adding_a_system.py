"""docs/adding-a-system.md works as it is written: its files, its line in the table, every command."""

import shlex

import h5py
import numpy as np
import pytest

import calojax
from calojax import cli, data, geometry, system
from calojax.files import calochallenge
from tests import layers


@pytest.fixture
def place(tmp_path):
    """A folder with the page's files, importable as if they lay in the package, the table as the page has it."""
    layers.write(tmp_path)
    with layers.known(tmp_path):
        yield tmp_path


def test_the_table_keeps_the_systems_that_are_there():
    assert layers.table().items() > system.TABLE.items()


def test_the_system_of_the_page_prepares_trains_and_generates(place):
    source, shards, run = data.sample("pyramid"), place / "shards", place / "run"
    manifest = calojax.prepare("layers", source, shards, data={"rows": 128})
    assert (manifest.rows, manifest.system) == (128, "layers")
    short = ("training.steps=5", "training.validation_rows=0", "training.batch=32", "training.tile=32", "couplings=2")
    done = calojax.train(place / "experiments/layers/quick.toml", shards, run, settings=short, progress=False)
    assert done.step == 5 and np.isfinite(done.values["loss"])
    out = calojax.generate(run, n=10, out=place / "layers.hdf5", progress=False)
    with h5py.File(out) as file:
        assert file["showers"].shape == (10, geometry.load("ds2").n_layers)
        assert file.attrs["generator"] == "calojax layers"
    calojax.generate(run, conditions=source, out=place / "as_given.hdf5", progress=False)
    with h5py.File(place / "as_given.hdf5") as file, h5py.File(source) as given:
        np.testing.assert_array_equal(file["incident_energies"][:], given["incident_energies"][:])


def test_shards_hold_the_energies_of_the_layers(place):
    manifest = calojax.prepare("layers", data.sample("pyramid"), place / "shards", data={"rows": 3})
    cells = geometry.load("ds2")
    showers = calochallenge.read(data.sample("pyramid"), cells, slice(0, 3)).showers
    found = np.load(place / "shards" / "00000.energy.npy")
    np.testing.assert_allclose(found, showers.reshape(3, 45, 144).sum(axis=2), rtol=1e-5)
    assert geometry.from_json(manifest.geometry).n_cells == cells.n_layers


def test_the_commands_of_the_page_parse(place):
    lines = [line for line in layers.PAGE.splitlines() if line.startswith("calojax ")]
    assert [cli._parser().parse_args(shlex.split(line)[1:]).run.__name__ for line in lines] == [
        "_prepare",
        "_train",
        "_generate",
    ]


def test_the_help_lists_its_fields(place, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    assert "couplings of the flow" in capsys.readouterr().out
