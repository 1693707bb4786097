"""Lists of hits: every cell comes back at its centre, in plain HDF5 and through the package whose layout it is."""

import h5py
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.files import showerdata
from calojax.geometry import Cylinder, Layer

SMALL = Cylinder("small", (Layer(0, (0.0, 1.0, 2.0), 3, 0.0, 1.0), Layer(1, (0.0, 1.0), 4, 1.0, 2.0)), 0.1)
COUNTS = [3, 3, 0, 1, 5, 2, 2, 0]  # equal numbers beside each other, and none
ENERGIES = np.geomspace(1e3, 1e5, len(COUNTS))


@pytest.fixture
def hits():
    """(index, energy) of all hits."""
    random = np.random.default_rng(2)
    index = np.concatenate([random.choice(SMALL.n_cells, count, replace=False) for count in COUNTS])
    return index.astype(np.int32), random.exponential(size=len(index)).astype(np.float32) + 0.1


def write(path, hits, rows: int, showers: int = len(COUNTS)):
    offsets = np.concatenate([[0], np.cumsum(COUNTS)])
    with showerdata.Writer(path, SMALL, {"seed": 3}, showers=showers) as writer:
        for first in range(0, len(COUNTS), rows):
            part = slice(offsets[first], offsets[min(first + rows, len(COUNTS))])
            block = slice(first, first + rows)
            writer.append(ENERGIES[block], np.array(COUNTS[block]), hits[0][part], hits[1][part])
    return path


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_every_hit_is_in_the_file_at_the_centre_of_its_cell(tmp_path, hits, rows):
    path = write(tmp_path / "a" / "points.hdf5", hits, rows)
    assert [each.name for each in path.parent.iterdir()] == ["points.hdf5"]
    expected = np.concatenate([SMALL.centres[hits[0]], hits[1][:, None]], axis=1).astype(np.float32)
    with h5py.File(path) as file:
        assert set(file) == set(showerdata.KEYS)
        assert np.array_equal(np.concatenate(file["showers"][:]), expected.ravel())
        assert [len(row) for row in file["showers"][:]] == [4 * count for count in COUNTS]
        assert np.array_equal(file["energies"][:], ENERGIES.astype("f4")[:, None])
        assert np.array_equal(file["directions"][:], [[0, 0, 1]] * 8) and not file["pdg"][:].any()
        assert file["num_points"][:].tolist() == COUNTS and file["shower_ids"][:].tolist() == list(range(8))
        assert file["shape"][:].tolist() == [8, 5, 4]
        kinds = {key: file[key].dtype.str for key in ("energies", "directions", "pdg", "num_points", "shower_ids")}
        assert set(kinds.values()) == {"<f4", "<i4"} and h5py.check_vlen_dtype(file["showers"].dtype) == "f4"
        assert (file.attrs["units"], file.attrs["length_units"], file.attrs["seed"]) == ("MeV", "mm", 3)
        layer = np.searchsorted(file.attrs["layer_begins"], expected[:, 2], side="right") - 1
        assert np.array_equal(layer, SMALL.layer[hits[0]])


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_what_is_written_is_read_in_blocks_of_any_size(tmp_path, hits, rows):
    blocks = list(showerdata.stream(write(tmp_path / "points.hdf5", hits, 3), rows))
    found = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    assert max(len(block.counts) for block in blocks) == min(rows, 8)
    expected = (ENERGIES.astype("f4"), COUNTS, SMALL.centres[hits[0]].astype("f4"), hits[1])
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_the_package_itself_reads_the_file(tmp_path, hits):
    package = pytest.importorskip("showerdata")
    path = write(tmp_path / "points.hdf5", hits, 3)
    loaded, offsets = package.load(path), np.concatenate([[0], np.cumsum(COUNTS)])
    for row, count in enumerate(COUNTS):
        part = slice(offsets[row], offsets[row + 1])
        assert np.array_equal(loaded.points[row, :count, :3], SMALL.centres[hits[0][part]].astype("f4"))
        assert np.array_equal(loaded.points[row, :count, 3], hits[1][part])
        assert not loaded.points[row, count:].any()
    assert np.array_equal(loaded.energies[:, 0], ENERGIES.astype("f4"))
    assert len(package.ShowerDataFile(path)[3:5]) == 2


def test_a_file_of_the_package_is_read_without_its_times(tmp_path):
    with h5py.File(tmp_path / "times.hdf5", "w") as file:
        file.create_dataset("showers", (2,), h5py.vlen_dtype("f4"))
        file["showers"][0], file["showers"][1] = np.arange(10, dtype="f4"), np.arange(5, dtype="f4")
        file["energies"], file["shape"] = [[1.0], [2.0]], [2, 2, 5]
    (block,) = showerdata.stream(tmp_path / "times.hdf5")
    assert block.counts.tolist() == [2, 1] and block.energy.tolist() == [3, 8, 3]
    assert block.position.tolist() == [[0, 1, 2], [5, 6, 7], [0, 1, 2]]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f["showers"].__setitem__(4, np.ones(7, "f4")), "showers, row 4: is no list of hits"),
        (lambda f: f["showers"].__setitem__(5, np.array([0, 0, 0, -1], "f4")), "showers, row 5: is no list of hits"),
        (lambda f: f["showers"].__setitem__(0, np.array([0, np.nan, 0, 1], "f4")), "showers, row 0: is no list"),
        (lambda f: f.__delitem__("shape"), "shape: is missing"),
        (lambda f: f["shape"].__setitem__(2, 7), "shape: is "),
        (lambda f: f.__delitem__("showers"), "showers: are no lists"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, hits, spoil, words):
    path = write(tmp_path / "points.hdf5", hits, 3)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(InputError, match=words) as caught:
        list(showerdata.stream(path, 3))
    assert str(caught.value).startswith(str(path))


def test_nothing_is_left_of_a_file_that_is_not_whole(tmp_path, hits):
    with pytest.raises(ValueError, match="8 showers in a file for 9"):
        write(tmp_path / "points.hdf5", hits, 3, showers=9)
    with pytest.raises(ValueError, match="8 showers in a file for 7"):
        write(tmp_path / "points.hdf5", hits, 8, showers=7)
    with pytest.raises(RuntimeError), showerdata.Writer(tmp_path / "points.hdf5", SMALL, {}, showers=1):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_kept(tmp_path, hits):
    path = write(tmp_path / "points.hdf5", hits, 3)
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        write(path, hits, 3)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["points.hdf5"]
