"""Preparing: the same shards however files and blocks are cut and however often it is killed, in constant memory."""

import functools
import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from calojax import data as shipped
from calojax import geometry, writing
from calojax.errors import InputError
from calojax.files import calochallenge
from calojax.shards import Manifest, Shards
from calojax.systems.pyramid import preparation, statistics
from calojax.systems.pyramid.config import Data

ROWS, PER_SHARD = 3000, 50
BINNING = """<Bins><Bin pid="11" name="electron">
<Layer id="0" r_edges="0,5,10" n_bin_alpha="4"/><Layer id="1" r_edges="0,5,10,20" n_bin_alpha="8"/>
</Bin></Bins>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """binning.xml, and the same showers in whole.hdf5 and in a.hdf5, b.hdf5; one in ten is below threshold."""
    place = tmp_path_factory.mktemp("showers")
    (place / "binning.xml").write_text(BINNING)
    cylinder = geometry.load(place / "binning.xml")
    draw = np.random.default_rng(0)
    energy = np.exp(draw.uniform(np.log(1e3), np.log(1e5), ROWS))
    cells = draw.exponential(1.0, (ROWS, cylinder.n_cells)) * (draw.random((ROWS, cylinder.n_cells)) < 0.4)
    cells[draw.random(ROWS) < 0.1] *= 1e-4
    for name, rows in {"whole": slice(None), "a": slice(0, 1111), "b": slice(1111, None)}.items():
        with calochallenge.Writer(place / f"{name}.hdf5", cylinder) as out:
            out.append(energy[rows], cells[rows].astype(np.float32))
    return place


def data(folder, **options) -> Data:
    return Data(geometry=str(folder / "binning.xml"), rows_per_shard=PER_SHARD, **options)


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory) -> Manifest:
    return preparation.prepare([folder / "whole.hdf5"], tmp_path_factory.mktemp("shards") / "s", data(folder))


def in_another_process(folder, out) -> subprocess.Popen:
    code = (
        "import sys; from pathlib import Path\n"
        "from calojax.errors import InputError\n"
        "from calojax.systems.pyramid import preparation\n"
        "from calojax.systems.pyramid.config import Data\n"
        f"data = Data(geometry={str(folder / 'binning.xml')!r}, rows_per_shard={PER_SHARD})\n"
        "try:\n"
        f"    preparation.prepare([Path({str(folder / 'whole.hdf5')!r})], Path({str(out)!r}), data)\n"
        "except InputError as error:\n"
        "    sys.exit(str(error))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def bits(made: Manifest) -> tuple:
    """Rows, checksums of all files and tables, what was counted."""
    return made.parts, made.tables_file, made.selections, made.ranges


@pytest.mark.parametrize("rows", [7, 64, 2048])
@pytest.mark.parametrize("names", [["whole"], ["a", "b"]], ids=["one file", "two files"])
def test_shards_and_statistics_do_not_depend_on_how_showers_are_cut(
    folder, undisturbed, tmp_path, monkeypatch, rows, names
):
    monkeypatch.setattr(calochallenge, "stream", functools.partial(calochallenge.stream, rows=rows))
    found = preparation.prepare([folder / f"{name}.hdf5" for name in names], tmp_path / "s", data(folder))
    assert bits(found) == bits(undisturbed)


def test_statistics_do_not_depend_on_the_size_of_the_shards(folder, undisturbed, tmp_path):
    other = Data(geometry=str(folder / "binning.xml"), rows_per_shard=4096)
    found = preparation.prepare([folder / "whole.hdf5"], tmp_path / "s", other)
    assert found.tables_file == undisturbed.tables_file


def test_cells_below_threshold_are_counted(folder, undisturbed):
    _, showers = calochallenge.read(folder / "whole.hdf5", geometry.load(folder / "binning.xml"))
    below = np.count_nonzero((showers > 0) & (showers < undisturbed.statistics["threshold"]))
    assert 0 < below == undisturbed.selections["cells dropped below threshold"]


@pytest.mark.parametrize("seed", range(3))
def test_after_any_kill_it_goes_on_to_the_same_shards(folder, undisturbed, tmp_path, seed):
    """Killed three times, each time when some more shards are there, and then some random moments later."""
    draw, out = random.Random(seed), tmp_path / "s"
    partial, kills = writing.partial(out), 0
    for shard in sorted(draw.sample(range(ROWS // PER_SHARD), 3)):
        process = in_another_process(folder, out)
        while process.poll() is None and not list(partial.glob(f"{shard:05d}.*")):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.01))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills > 0
    assert preparation.prepare([folder / "whole.hdf5"], out, data(folder)) == undisturbed
    assert Manifest.read(out).digest == undisturbed.digest
    assert Shards(out, verify=True).rows == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert {path.name for path in out.iterdir()} == {*undisturbed.files(), "manifest.json", "verified"}


def interrupted(blocks, after: int):
    """The same blocks, until the user interrupts after some of them."""

    def stopped(*args, **options):
        yield from itertools.islice(blocks(*args, **options), after)
        raise KeyboardInterrupt

    return stopped


@pytest.mark.parametrize("rows", [1220, None])
def test_an_interrupted_one_skips_what_is_there(folder, tmp_path, monkeypatch, rows):
    """Interrupted after 1,239 rows: 18 blocks of the first file, which has 1,111, and 2 of the second."""
    sources, wanted = [folder / "a.hdf5", folder / "b.hdf5"], data(folder, rows=rows)
    expected = preparation.prepare(sources, tmp_path / "undisturbed", wanted)
    starts, stream = [], functools.partial(calochallenge.stream, rows=64)

    def noted(*args, start, **options):
        starts.append(start)
        return stream(*args, start=start, **options)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(calochallenge, "stream", interrupted(stream, 20))
        patch.setattr(statistics, "gather", stop)  # where 1,220 rows are wanted, all are there by then
        preparation.prepare(sources, tmp_path / "s", wanted)
    monkeypatch.setattr(calochallenge, "stream", noted)
    assert preparation.prepare(sources, tmp_path / "s", wanted).digest == expected.digest
    assert starts == ([] if rows else [1200])


def test_what_changed_meanwhile_starts_afresh(folder, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(calochallenge, "stream", interrupted(calochallenge.stream, 1))
        preparation.prepare([folder / "whole.hdf5"], tmp_path / "s", data(folder, threshold=0.5))
    assert preparation.prepare([folder / "whole.hdf5"], tmp_path / "s", data(folder)) == undisturbed


def test_of_two_processes_one_prepares(folder, undisturbed, tmp_path):
    both = [in_another_process(folder, tmp_path / "s") for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 1], said
    assert any("another process" in text or "exists already" in text for text in said)
    assert Manifest.read(tmp_path / "s").digest == undisturbed.digest
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_bad_shower_leaves_nothing(folder, tmp_path):
    cylinder = geometry.load(folder / "binning.xml")
    showers = np.ones((200, cylinder.n_cells), np.float32)
    showers[150, 3] = -1
    with calochallenge.Writer(tmp_path / "bad.hdf5", cylinder) as out:
        out.append(np.full(200, 1e3), showers)
    with pytest.raises(InputError, match="row 150, column 3"):
        preparation.prepare([tmp_path / "bad.hdf5"], tmp_path / "s", data(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.hdf5"]


def test_memory_does_not_grow_with_the_input(tmp_path):
    """The shipped sample once and then six times; in full its showers take 26 kB each."""
    pytest.importorskip("resource")
    code = (
        "import resource; from pathlib import Path\n"
        "from calojax.systems.pyramid import preparation\n"
        "from calojax.systems.pyramid.config import Data\n"
        "for times in (1, 6):\n"
        f"    sources, out = [Path({str(shipped.sample('pyramid'))!r})] * times, Path({str(tmp_path)!r}, str(times))\n"
        "    rows = preparation.prepare(sources, out, Data(rows_per_shard=256)).rows\n"
        "    print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (rows, once), (more_rows, six_times) = (map(int, line.split()) for line in done.stdout.splitlines())
    unit = 1 if sys.platform == "darwin" else 1024
    whole = (more_rows - rows) * 4 * geometry.load("ds2").n_cells
    assert (six_times - once) * unit < whole / 3
