"""Files that survive an interruption: the same bytes, whatever was made before it; other requests are refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny_system as tiny

from calojax import generation, writing
from calojax.errors import InputError
from calojax.files import atlas
from calojax.generation import Generation, layouts, sinks
from calojax.geometry import Cylinder, Layer
from calojax.system import Model

GEOMETRY = Cylinder("tiny", (Layer(0, (0.0, 1.0, 2.0), 3, 0.0, 1.0), Layer(1, (0.0, 1.0, 2.0), 3, 1.0, 2.0)), 0.1)
CONFIG = tiny.Config(generation=Generation(tile=4, window=16))
MODEL = Model({"total": {"bias": np.zeros(2, np.float32)}}, {}, {})
ENERGY = np.random.default_rng(0).uniform(1, 20, 300)  # five pieces of 64, the last one short
REQUEST = {"seed": 0, "chunk": 64, "code": "a"}


def sink(path, resume=False, compression=1, request=REQUEST):
    layout = generation.Voxels(GEOMETRY, {"request": json.dumps(request)}, compression)
    return generation.Files(path, layout, request, resume=resume)


def run(sink, energy=ENERGY, chunk=64):
    return generation.run(tiny, MODEL, CONFIG, {"incident_energy": energy}, 0, sink, chunk=chunk, progress=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of the file of a request that was never interrupted."""
    return run(sink(tmp_path_factory.mktemp("whole") / "out.hdf5")).read_bytes()


def interrupt(monkeypatch, after, error):
    """Raise when so many pieces are written."""
    append = generation.Files.append

    def interrupted(self, piece, block):
        if piece == after:
            raise error
        append(self, piece, block)

    monkeypatch.setattr(generation.Files, "append", interrupted)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("compression", [0, 1, 9])
def test_a_file_holds_what_arrays_hold(tmp_path, compression):
    path = run(sink(tmp_path / "out.hdf5", compression=compression))
    expected = run(generation.Arrays(tiny.N_CELLS))
    assert names(tmp_path) == ["out.hdf5"]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["showers"][:], expected.showers)
        np.testing.assert_array_equal(file["incident_energies"][:, 0], ENERGY)
        assert file["showers"].dtype == np.float32 and file["showers"].compression == ("gzip" if compression else None)


def test_a_file_of_atlas_voxels_holds_what_arrays_hold(tmp_path):
    layout = generation.AtlasVoxels(GEOMETRY, {"request": json.dumps(REQUEST)})
    path = run(generation.Files(tmp_path / "out.hdf5", layout, REQUEST))
    expected = run(generation.Arrays(tiny.N_CELLS))
    found = atlas.read(path, GEOMETRY)
    np.testing.assert_allclose(found.showers, expected.showers, rtol=1e-6)
    np.testing.assert_array_equal(found.incident_energy, ENERGY)
    with h5py.File(path) as file:
        assert file["energy_layer_1"].shape == (300, 6) and json.loads(file.attrs["request"]) == REQUEST


@pytest.mark.parametrize("format", ["points", "atlas"])
@pytest.mark.parametrize("n", [2, 12, 45])
def test_requests_of_tiles_of_all_sizes_go_on_to_the_same_bytes(tmp_path, monkeypatch, n, format):
    """Tiles of 1, 5 and 25, each a piece."""
    config = tiny.Config(generation=Generation(tile=25, window=1))
    asked = {"incident_energy": ENERGY[:n]}
    make = lambda sink: generation.run(tiny, MODEL, config, asked, 0, sink, chunk=1, progress=False)
    layout = layouts.named(format, GEOMETRY, {"request": json.dumps(REQUEST)}, 1, n)
    files = lambda name: generation.Files(tmp_path / name, layout, REQUEST, resume=name == "cut")
    whole = make(files("whole")).read_bytes()
    with monkeypatch.context() as patch:
        interrupt(patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt, match="1 pieces"):
            make(files("cut"))
    assert make(files("cut")).read_bytes() == whole


@pytest.mark.parametrize("after", [1, 2, 4])
def test_an_interrupted_request_goes_on_to_the_same_bytes(tmp_path, whole, monkeypatch, after):
    path = tmp_path / "out.hdf5"
    with monkeypatch.context() as patch:
        interrupt(patch, after, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt, match=f"interrupted, {after} pieces of .*out.hdf5 are kept"):
            run(sink(path))
    assert names(tmp_path) == [".out.hdf5.partial"]
    computed = []
    append = generation.Files.append
    monkeypatch.setattr(generation.Files, "append", lambda s, n, b: (computed.append(n), append(s, n, b))[1])
    assert run(sink(path, resume=True)).read_bytes() == whole
    assert computed == list(range(after, 5))
    assert names(tmp_path) == ["out.hdf5"]


def test_an_interruption_before_the_first_piece_leaves_nothing(tmp_path, monkeypatch):
    interrupt(monkeypatch, 0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(sink(tmp_path / "out.hdf5"))
    assert names(tmp_path) == []


LEFT = """
import sys
sys.path[:0] = [{here!r}, {training!r}]
import test_journal
from calojax import stopping
append = test_journal.generation.Files.append
def left(self, piece, block):
    if piece == {after}:
        stopping.leave()
    append(self, piece, block)
test_journal.generation.Files.append = left
test_journal.run(test_journal.sink(test_journal.Path({out!r})))
"""


@pytest.mark.parametrize("after", [0, 2])
def test_a_process_that_leaves_keeps_pieces_and_nothing_else(tmp_path, after):
    """Without the end of any context, as from a main thread that compiles."""
    out, training = tmp_path / "new" / "out.hdf5", str(Path(tiny.__file__).parent)
    text = LEFT.format(here=str(Path(__file__).parent), training=training, out=str(out), after=after)
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 130
    if after:
        assert names(writing.partial(out)) == ["000000.npz", "000001.npz", "request.json"]
    else:
        assert names(tmp_path) == []


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(sink(tmp_path / "out.hdf5"))
    return tmp_path / "out.hdf5"


def test_an_interrupted_request_is_not_thrown_away(interrupted):
    with pytest.raises(InputError, match=r"was begun and interrupted.*go on with --resume, or remove"):
        run(sink(interrupted))
    assert len(names(writing.partial(interrupted))) == 4


def test_another_request_does_not_go_on_with_it(interrupted):
    with pytest.raises(
        InputError, match=r"out\.hdf5: was begun with seed 0 \(now 1\), code a \(now None\), but a file"
    ):
        run(sink(interrupted, resume=True, request={"chunk": 64, "seed": 1}))


def test_a_damaged_piece_is_named_and_made_again(interrupted, whole):
    piece = writing.partial(interrupted) / "000001.npz"
    os.truncate(piece, 100)
    with pytest.raises(InputError, match=r"000001\.npz: is damaged and was removed.*--resume"):
        run(sink(interrupted, resume=True))
    assert run(sink(interrupted, resume=True)).read_bytes() == whole


def test_resuming_what_was_not_begun_or_is_whole(tmp_path, whole):
    path = tmp_path / "out.hdf5"
    for _ in range(2):
        assert run(sink(path, resume=True)).read_bytes() == whole
    with pytest.raises(InputError, match=r"out\.hdf5: was begun with seed 0 \(now 1\), but a file is of one request"):
        run(sink(path, resume=True, request=REQUEST | {"seed": 1}))
    assert names(tmp_path) == ["out.hdf5"]


def test_a_journal_that_outlived_its_file_is_removed(tmp_path, whole, interrupted):
    """A kill between the renaming of the file and the end of the removal of its pieces."""
    interrupted.write_bytes(whole)
    assert run(sink(interrupted, resume=True)).read_bytes() == whole
    assert names(tmp_path) == ["out.hdf5"]


@pytest.mark.parametrize("resume", [False, True])
def test_pieces_without_a_request_are_not_used(tmp_path, whole, interrupted, resume):
    """The removal of a journal was cut short; its pieces may be of any request."""
    left = writing.partial(interrupted)
    (left / "request.json").unlink()
    (left / "000001.npz").write_bytes((left / "000000.npz").read_bytes())
    assert run(sink(interrupted, resume)).read_bytes() == whole
    assert names(tmp_path) == ["out.hdf5"]


def test_a_shower_that_is_not_finite_leaves_no_file(tmp_path):
    energy = ENERGY.copy()
    energy[240] = 7.0
    with pytest.raises(generation.NonFiniteShower, match=r"shower 240 .*nothing was written"):
        run(sink(tmp_path / "out.hdf5"), energy)
    assert names(tmp_path) == []


@pytest.mark.parametrize("resume", [False, True])
def test_an_existing_file_is_refused_and_untouched(tmp_path, resume):
    (tmp_path / "out.hdf5").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        run(sink(tmp_path / "out.hdf5", resume))
    assert (tmp_path / "out.hdf5").read_text() == "mine"


def test_a_full_disk_keeps_what_there_is(tmp_path, whole, monkeypatch):
    path, room = tmp_path / "out.hdf5", writing.need_room
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_SPARE", 1 << 60)
        with pytest.raises(InputError, match=r"MB left on its disk, but the next .* MB need room"):
            run(sink(path))
        assert names(tmp_path) == []
        patch.undo()
        calls = []
        patch.setattr(writing, "need_room", lambda *a: (calls.append(a), room(a[0], (len(calls) > 2) << 60))[1])
        with pytest.raises(InputError, match="need room"):
            run(sink(path))
    assert not path.exists()
    assert run(sink(path, resume=True)).read_bytes() == whole


def test_two_processes_never_write_the_same_file(tmp_path):
    refused = pytest.raises(InputError, match="is being written by another process")
    with writing.claimed(writing.partial(tmp_path / "out.hdf5")), refused:
        (tmp_path / ".out.hdf5.partial" / "request.json").write_text("{}")
        (tmp_path / ".out.hdf5.partial" / "000000.npz").touch()
        run(sink(tmp_path / "out.hdf5"))


KILLED = """
import sys
sys.path[:0] = [{here!r}, {training!r}]
import test_journal
append = test_journal.generation.Files.append
def slow(self, piece, block):
    append(self, piece, block)
    print(piece, flush=True)
test_journal.generation.Files.append = slow
test_journal.run(test_journal.sink(test_journal.Path({out!r}), resume=True))
"""


def test_a_killed_request_goes_on_to_the_same_bytes(tmp_path, whole):
    """SIGKILL after the second piece, wherever the process is then."""
    out = tmp_path / "out.hdf5"
    text = KILLED.format(here=str(Path(__file__).parent), training=str(Path(tiny.__file__).parent), out=str(out))
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as running:
        assert [running.stdout.readline() for _ in range(2)] == ["0\n", "1\n"]
        running.send_signal(signal.SIGKILL)
    assert run(sink(out, resume=True)).read_bytes() == whole
    assert names(tmp_path) == ["out.hdf5"]


def test_packing_does_not_depend_on_threads(monkeypatch):
    block = run(generation.Arrays(tiny.N_CELLS, sparse=True))
    layout = generation.Voxels(GEOMETRY, {})
    piece = layout.pack(block)
    assert piece["sizes"].tolist() == [len(layout._chunk(part)) for part in sinks.cut(block, 64)]
