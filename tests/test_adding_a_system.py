"""docs/adding-a-system.md works as it is written: its files, its line in the table, every command."""

import re
import shlex
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import calojax
from calojax import cli, data, geometry, system, systems
from calojax.files import calochallenge

PAGE = (Path(__file__).parents[1] / "docs" / "adding-a-system.md").read_text()
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.S))
TABLE = re.findall(r"<!-- table -->\n```python\n(.*?)```", PAGE, re.S)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the page's files, importable as if they lay in the package, the table as the page has it."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    table: dict = {}
    exec(TABLE[0], table)
    monkeypatch.setattr(system, "TABLE", table["TABLE"])
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(tmp_path / "calojax" / "systems")])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("calojax.systems.layers")]:
        del sys.modules[name]
    vars(systems).pop("layers", None)


def test_the_table_keeps_the_systems_that_are_there():
    table: dict = {}
    exec(TABLE[0], table)
    assert table["TABLE"].items() > system.TABLE.items()


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


def test_shards_hold_the_energies_of_the_layers(place):
    manifest = calojax.prepare("layers", data.sample("pyramid"), place / "shards", data={"rows": 3})
    cells = geometry.load("ds2")
    showers = calochallenge.read(data.sample("pyramid"), cells, slice(0, 3)).showers
    found = np.load(place / "shards" / "00000.energy.npy")
    np.testing.assert_allclose(found, showers.reshape(3, 45, 144).sum(axis=2), rtol=1e-5)
    assert geometry.from_json(manifest.geometry).n_cells == cells.n_layers


def test_the_commands_of_the_page_parse(place):
    lines = [line for line in PAGE.splitlines() if line.startswith("calojax ")]
    assert [cli._parser().parse_args(shlex.split(line)[1:]).run.__name__ for line in lines] == [
        "_prepare",
        "_train",
        "_generate",
    ]


def test_the_help_lists_its_fields(place, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    assert "couplings of the flow" in capsys.readouterr().out
