"""Whatever numbers a file holds, its rows come back as they are, or the first bad one is named, or its shape is."""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calojax.errors import InputError
from calojax.files import calochallenge
from calojax.geometry import Cylinder, Layer

SMALL = Cylinder("small", (Layer(0, (0.0, 1.0, 2.0), 2, 0.0, 1.0), Layer(1, (0.0, 1.0), 1, 1.0, 2.0)), 0.1)
TYPES = [order + kind for kind in ("f2", "f4", "f8", "i2", "i4", "i8", "u1", "u2", "u4") for order in "<>"]

pytestmark = pytest.mark.filterwarnings("ignore:.*looks like GeV")


@st.composite
def files(draw):
    """(energies, showers) of good numbers, in any type; energies (N,) or (N, 1)."""
    rows = draw(st.integers(1, 7))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    energies = seed.integers(1, 120, rows).astype(draw(st.sampled_from(TYPES)))
    showers = (seed.integers(0, 120, (rows, SMALL.n_cells)) / draw(st.sampled_from([1, 7]))).astype(
        draw(st.sampled_from(TYPES))
    )
    return energies.reshape(draw(st.sampled_from([(rows,), (rows, 1)]))), showers


@st.composite
def bad_values(draw, dtype: np.dtype, least: float):
    """A value of a type that is no energy; `least`: what an energy must exceed."""
    values = [np.nan, np.inf, -np.inf, -1.0, -0.5] if dtype.kind == "f" else [-1] if dtype.kind == "i" else []
    values += [0] if least == 0 else []
    values += [1e39] if dtype.itemsize == 8 and dtype.kind == "f" and least < 0 else []  # more than float32 holds
    return draw(st.sampled_from(values)) if values else None


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def saved(folder: Path, energies, showers, chunks: bool = False) -> Path:
    path = folder / "showers.hdf5"
    with h5py.File(path, "w") as file:
        file["incident_energies"] = energies
        file.create_dataset("showers", data=showers, chunks=(1, showers.shape[1]) if chunks else None)
    return path


def read(path: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows of a file, which stays as it is."""
    before = path.read_bytes()
    try:
        blocks = list(calochallenge.stream(path, SMALL, rows=rows))
    finally:
        assert path.read_bytes() == before
    assert all(0 < len(block.showers) <= rows for block in blocks)
    return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))  # type: ignore[return-value]


@settings(max_examples=150, deadline=None)
@given(data=files(), rows=st.integers(1, 9), chunks=st.booleans())
def test_good_numbers_come_back_in_blocks_of_any_size(folder, data, rows, chunks):
    energies, showers = data
    found = read(saved(folder, energies, showers, chunks), rows)
    assert found[0].dtype == np.float64 and np.array_equal(found[0], energies.reshape(-1).astype(np.float64))
    assert found[1].dtype == np.float32 and np.array_equal(found[1], showers.astype(np.float32))


@settings(max_examples=150, deadline=None)
@given(data=files(), rows=st.integers(1, 9), where=st.data())
def test_the_first_bad_number_is_named_by_its_row(folder, data, rows, where):
    key, least = where.draw(st.sampled_from([("incident_energies", 0.0), ("showers", -1.0)]))
    array = data[key == "showers"]
    bad = where.draw(bad_values(array.dtype, least))
    if bad is None:
        return
    planted = where.draw(st.lists(st.integers(0, len(array) - 1), min_size=1, max_size=3))
    for row in planted:
        array[row, ...].reshape(-1)[where.draw(st.integers(0, array[row].size - 1))] = bad
    with pytest.raises(InputError, match=rf"showers\.hdf5, {key}, row {min(planted)}\b"):
        read(saved(folder, *data), rows)


@settings(max_examples=60, deadline=None)
@given(data=files(), rows=st.integers(1, 9), change=st.sampled_from(["narrow", "wide", "fewer", "flat", "deep", "two"]))
def test_a_wrong_shape_is_refused_before_anything_is_read(folder, data, rows, change):
    energies, showers = data
    if change == "narrow":
        showers = showers[:, 1:]
    elif change == "wide":
        showers = np.concatenate([showers, showers], axis=1)
    elif change == "fewer":
        energies = np.concatenate([energies, energies])
    elif change == "flat":
        showers = showers[:, :1]
    elif change == "deep":
        showers = showers[:, :, None]
    else:
        energies = np.stack([energies, energies], axis=1)
    with pytest.raises(InputError, match=r"showers\.hdf5, (incident_energies|showers): has "):
        read(saved(folder, energies, showers), rows)
