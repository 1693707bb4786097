"""HDF5 files that do not open, or not everywhere: filters that are not there, writers that died, locks."""

import fcntl
import os
import shutil
import subprocess
import sys
import types

import h5py
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.files import calochallenge
from calojax.geometry import Cylinder, Layer

SMALL = Cylinder("small", (Layer(0, (0.0, 1.0, 2.0), 5, 0.0, 1.0),), 0.1)
ENERGIES = np.array([1e3, 2e3, 4e3, 8e3])
SHOWERS = np.arange(40, dtype=np.float32).reshape(4, 10)
BLOSC = 32001


def save(path, **options):
    with h5py.File(path, "w", **options) as file:
        file["incident_energies"], file["showers"] = ENERGIES, SHOWERS
    return path


def with_filter(path, *, used: bool):
    """A file whose showers name the filter blosc, as one stored with it would; used: for the stored bytes, too."""
    with h5py.File(path, "w") as file:
        file["incident_energies"] = ENERGIES
        pipeline = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        pipeline.set_chunk(SHOWERS.shape)
        pipeline.set_filter(BLOSC, h5py.h5z.FLAG_OPTIONAL, (2, 2, 4))
        space = h5py.h5s.create_simple(SHOWERS.shape)
        created = h5py.h5d.create(file.id, b"showers", h5py.h5t.NATIVE_FLOAT, space, pipeline)
        created.write_direct_chunk((0, 0), SHOWERS.tobytes(), 0 if used else 1)
    return path


def whole(path):
    energies, showers = calochallenge.read(path, SMALL)
    return np.array_equal(energies, ENERGIES) and np.array_equal(showers, SHOWERS)


@pytest.fixture
def without_plugins(monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)


def test_a_filter_that_is_not_there_is_named_before_anything_is_read(tmp_path, without_plugins):
    path, plain = with_filter(tmp_path / "blosc.hdf5", used=True), save(tmp_path / "plain.hdf5")
    for read in (
        lambda: calochallenge.summary(path),
        lambda: calochallenge.read(path, SMALL),
        lambda: next(calochallenge.stream([plain, path], SMALL)),
    ):
        with pytest.raises(InputError) as caught:
            read()
        text = str(caught.value)
        assert text.startswith(f"{path}, showers: is compressed with ") and f"HDF5 filter {BLOSC}" in text
        assert "pip install hdf5plugin" in text and "\n" not in text


def test_a_filter_that_was_skipped_in_writing_is_not_needed(tmp_path, without_plugins):
    assert whole(with_filter(tmp_path / "skipped.hdf5", used=False))


def test_the_plugins_are_loaded_when_a_filter_needs_them(tmp_path, monkeypatch):
    loaded = types.ModuleType("hdf5plugin")
    monkeypatch.setitem(sys.modules, "hdf5plugin", loaded)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code, asked=[]: bool(asked) or asked.append(code))
    assert calochallenge.summary(with_filter(tmp_path / "blosc.hdf5", used=True)).rows == 4


def test_a_file_whose_writer_died_says_so(tmp_path):
    code = """
import h5py, os, sys
file = h5py.File(sys.argv[1], "w", libver="latest")
file["incident_energies"] = [1e3]
file.create_dataset("showers", (1, 10), "f4", maxshape=(None, 10))
file.swmr_mode = True
file.flush()
os._exit(9)
"""
    path = tmp_path / "stale.hdf5"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    with pytest.raises(InputError, match=r"was not closed by its writer.*h5clear -s .*stale\.hdf5") as caught:
        calochallenge.summary(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_another_process_has_locked_is_read_with_a_warning(tmp_path):
    path = save(tmp_path / "locked.hdf5")
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.warns(UserWarning, match=r"locked\.hdf5 is locked by another process"):
            assert whole(path)
    finally:
        os.close(handle)


@pytest.mark.parametrize("locking", [None, False])
def test_a_file_that_is_open_here_already_is_read(tmp_path, locking):
    path = save(tmp_path / "open.hdf5")
    with h5py.File(path, "r", locking=locking):
        assert whole(path)


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory):
    """Environment of a process whose file system has no locks."""
    if shutil.which("gcc") is None or sys.platform != "linux":
        pytest.skip("needs gcc and Linux")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text("#include <errno.h>\nint flock(int a, int b) { errno = ENOLCK; return -1; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "shim.c", "-o", "shim.so"], cwd=folder, check=True)
    return os.environ | {"LD_PRELOAD": str(folder / "shim.so"), "PYTHONPATH": os.pathsep.join(sys.path)}


READ = """
import sys
from calojax.files import calochallenge
try:
    print(calochallenge.summary(sys.argv[1]).rows)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("wanted", "said"), [(None, "4\n"), ("TRUE", "cannot be locked (No locks available)"), ("FALSE", "4\n")]
)
def test_a_file_system_without_locks_is_read_from_unless_locks_are_asked_for(tmp_path, no_locks, wanted, said):
    environment = {key: value for key, value in no_locks.items() if key != "HDF5_USE_FILE_LOCKING"}
    environment |= {"HDF5_USE_FILE_LOCKING": wanted} if wanted else {}
    command = [sys.executable, "-c", READ]
    path = save(tmp_path / "a.hdf5")
    done = subprocess.run([*command, str(path)], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1 and said in done.stdout and done.stderr == ""
    assert (wanted == "TRUE") == ("HDF5_USE_FILE_LOCKING=FALSE" in done.stdout)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = save(tmp_path / "a.hdf5")
    path.chmod(0)
    with pytest.raises(InputError, match=r"a\.hdf5: cannot be read \(Permission denied\)"):
        calochallenge.summary(path)


def test_a_dataset_without_any_place_for_values_is_named(tmp_path):
    with h5py.File(tmp_path / "null.hdf5", "w") as file:
        file["incident_energies"], file["showers"] = h5py.Empty("f4"), SHOWERS
    with pytest.raises(InputError, match="incident_energies: is empty"):
        calochallenge.summary(tmp_path / "null.hdf5")
