"""The report on a tree of voxel files: its files, its numbers, and drawings that show every cell in its place."""

import json

import h5py
import numpy as np
import pytest

from calojax import cli
from calojax.geometry import Layered, layered
from calojax.report import voxel_trees, voxels
from calojax.report.drawing import style


def bins(sectors):
    """The four arrays of a layer with rings of 10 mm."""
    ring, n = np.repeat(np.arange(len(sectors)), sectors), np.repeat(sectors, sectors)
    alpha = np.concatenate([np.arange(each) for each in sectors]) * 2 * np.pi / n
    return [10.0 * ring, np.full(len(ring), 10.0), alpha, 2 * np.pi / n]


def write(path, rows, seed, sign=1):
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["incident_energy"] = np.exp(np.linspace(6, 9, rows))
        for layer, sectors in {0: [1, 4, 4], 12: [2, 2]}.items():
            energy = random.exponential(size=(rows, sum(sectors)))
            energy[:, 0] *= sign * 0.01
            file[f"energy_layer_{layer}"] = 0.1 * energy
            names = ("binstart_radius", "binsize_radius", "binstart_alpha", "binsize_alpha")
            for name, values in zip(names, bins(sectors), strict=True):
                file[f"{name}_layer_{layer}"] = values
            if path.parent.name.isdigit():
                file[f"probabilities_layer_{layer}"] = np.tile([0.25, 0.5, 0.75], (sum(sectors), 1))


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "tree" / "eta_020" / "eta_020_default_binning"
    write(top / "dataset_combined.hdf5", 30, 1, sign=-1)
    write(top / "dataset_combined_positive.hdf5", 30, 1)
    for job in range(2):
        write(top / str(job) / "dataset_combined.hdf5", 9, 2 + job)
    return tmp_path / "tree"


def test_a_report_is_a_page_figures_and_numbers(root, tmp_path, capsys):
    out = tmp_path / "report"
    assert cli.main(["atlas", "report", str(root), "--out", str(out)]) == 0
    names = {path.stem for path in out.iterdir()}
    name = "eta_020_default_binning"
    figures = ("discs", "slices_combined", "slices_positive", "event", "sums_complete", "sums_rebuilt")
    assert names == {
        *("index", "report", "probabilities", "active_layers", "incident_energy", f"{name}_probabilities_combined"),
        *(f"{name}_{figure}" for figure in (*figures, "negatives_complete", "negatives_rebuilt")),
    }
    found = json.loads((out / "report.json").read_text())
    complete = found["folders"][name]["complete"]["combined"]
    assert complete["binning"] == {"0": "1 x 1 + 2 x 4", "12": "2 x 2"} and complete["active layers"] == [0, 12]
    assert complete["negative voxels per event"] == {"mean": 2, "median": 2, "largest": 2}
    compared = found["comparison"][name]
    assert compared["events with equal incident energies"] == 30
    assert compared["probabilities"]["combined"]["0"]["mean shares"] == pytest.approx([0.25] * 4)
    assert np.load(out / "probabilities.npz")[f"{name}.combined.layer_0"].shape == (2, 9, 4)
    page = (out / "index.html").read_text()
    assert page.count("<figure") == len(names) - 3 and "1 x 1 + 2 x 4 voxels in layer 0" in page
    assert cli.main(["atlas", "report", str(root), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_report_that_fails_leaves_nothing(root, tmp_path, monkeypatch):
    monkeypatch.setattr(voxel_trees, "figures", lambda found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        voxel_trees.write(root, tmp_path / "report", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_wedges_cover_every_cell_once_and_lie_where_the_geometry_says():
    cells = Layered("one", tuple(layered.from_bins(i, *bins(s)).layer for i, s in enumerate([[1, 4, 8], [2, 2]])))
    drawn = voxels._cells(cells, np.array([[0.0, 0.4], [0.5, 0.9]]))
    span = np.bincount(drawn.index, np.diff(drawn.alpha, axis=1)[:, 0])
    assert np.allclose(span, np.diff(cells.alpha_edges, axis=1)[:, 0])
    assert np.allclose(drawn.r, (cells.r_edges / 30)[drawn.index])
    assert np.array_equal(drawn.x[:, 0], np.where(cells.layer[drawn.index] == 0, 0.0, 0.5))
    ends = np.bincount(drawn.index, drawn.ends.sum(1), cells.n_cells)
    assert np.array_equal(ends, np.where(cells.n_alpha == 1, 0, 2))


def test_events_without_energy_can_be_drawn():
    cells = Layered("one", (layered.from_bins(0, *bins([1, 4])).layer,))
    with style():
        drawn = voxels.slices(cells, np.zeros(5), "mean energy", "combined")
    assert drawn.image.startswith("data:image/png")
