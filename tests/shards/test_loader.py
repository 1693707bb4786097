"""The loader: each row once an epoch, over all processes; position, buckets, padding; no thread left behind."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from calojax.errors import InputError
from calojax.shards import Batches, Field, Loader, Position, Shards, Writer, capacities

ROWS = 53


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "s", rows_per_shard=10)


def write(folder, rows_per_shard):
    """Row i holds its number, and i % 7 hits that are all i."""
    number = np.arange(ROWS)
    counts = number % 7
    fields, groups = {"number": Field("int64")}, {"hits": {"of": Field("int32")}}
    with Writer(folder, fields=fields, groups=groups, rows_per_shard=rows_per_shard) as writer:
        writer.append({"number": number}, {"hits": (counts, {"of": np.repeat(number, counts)})})
        writer.finish(system="tiny")
    return Shards(folder)


def epoch(shards, **options):
    with Loader(shards, batch=12, tile=3, epochs=1, **options) as loader:
        return list(loader)


def used(batches):
    return np.concatenate([b["number"][b["weight"] > 0] for b in batches])


def test_an_epoch_holds_every_row_once(shards):
    assert sorted(used(epoch(shards))) == list(range(ROWS))


def test_two_epochs_differ_and_a_seed_repeats_them(shards):
    first, second = (used(epoch(shards, position=(e, 0))) for e in (0, 1))
    assert (first != second).any()
    np.testing.assert_array_equal(first, used(epoch(shards, seed=0)))
    assert (first != used(epoch(shards, seed=1))).any()


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_see_disjoint_parts_of_the_same_batches(shards, processes):
    one = epoch(shards)
    parts = [epoch(shards, process_index=i, process_count=processes) for i in range(processes)]
    for number, whole in enumerate(one):
        for name, array in whole.items():  # capacities included: the bucket is common
            np.testing.assert_array_equal(np.concatenate([p[number][name] for p in parts]), array)


def test_a_position_is_gone_on_from(shards):
    whole = epoch(shards)
    with Loader(shards, batch=12, tile=3) as loader:
        for _ in range(3):
            next(loader)
        position = loader.position
    assert position == Position(0, 3)
    for batch, expected in zip(epoch(shards, position=position), whole[3:], strict=True):
        np.testing.assert_array_equal(batch["number"], expected["number"])


def test_rows_split_training_from_validation(shards):
    assert sorted(used(epoch(shards, rows=(0, 40)))) == list(range(40))
    assert list(used(epoch(shards, rows=(40, ROWS), shuffle=False))) == list(range(40, ROWS))


def test_hits_lie_in_the_row_they_belong_to(shards):
    for batch in epoch(shards, buckets={"hits": (16, 18)}):
        numbers = np.pad(batch["number"], ((0, 0), (0, 1)), constant_values=-1)
        row = batch["hits.row"]
        real = row < 3
        np.testing.assert_array_equal(np.take_along_axis(numbers, row, 1)[real], batch["hits.of"][real])
        assert (batch["hits.of"][~real] == 0).all()
        np.testing.assert_array_equal(real.sum(1), (batch["number"] % 7).sum(1))


def test_the_smallest_bucket_that_holds_the_batch_is_taken(shards):
    for batch in epoch(shards, buckets={"hits": (6, 9, 12, 18)}):
        needed = (batch["number"] % 7).sum(1).max()
        assert batch["hits.of"].shape[1] == min(c for c in (6, 9, 12, 18) if c >= needed)


def test_the_last_batch_is_padded_with_weight_zero(shards):
    last = epoch(shards)[-1]
    assert last["weight"].shape == (4, 3) and last["weight"].dtype == np.float32
    assert last["weight"].sum() == ROWS % 12
    assert set(last["number"].ravel()) == set(last["number"][last["weight"] > 0])


def test_a_bucket_that_is_too_small_is_refused(shards):
    with pytest.raises(InputError, match="largest capacity is 2"):
        Batches(shards, 12, 3, buckets={"hits": (2,)}).at(Position(0, 0))


@pytest.mark.parametrize("options", [{"batch": 10}, {"batch": 12, "process_count": 3}, {"batch": 12, "rows": (5, 99)}])
def test_what_cannot_be_cut_is_refused(shards, options):
    with pytest.raises(InputError):
        Batches(shards, tile=3, **options)


def test_capacities_hold_the_largest_tile():
    counts = np.random.default_rng(0).integers(0, 100, 500)
    usual, most = capacities(counts, 32)
    assert counts.mean() * 32 < usual < most
    assert np.sort(counts)[-32:].sum() <= most < np.sort(counts)[-32:].sum() + 64


def threads():
    return [t for t in threading.enumerate() if t.name == "calojax-loader"]


def test_an_error_of_the_thread_is_raised_and_the_thread_gone(shards):
    def place(batch):
        raise OSError("disk gone")

    loader = Loader(shards, batch=12, tile=3, place=place)
    with pytest.raises(OSError, match="disk gone"):
        next(loader)
    assert threads() == []
    with pytest.raises(StopIteration):
        next(loader)


def test_a_file_that_is_gone_is_named_and_the_thread_gone(tmp_path):
    shards = write(tmp_path / "s", rows_per_shard=10)
    (tmp_path / "s" / "00003.hits.of.npy").unlink()
    with Loader(shards, batch=12, tile=3) as loader, pytest.raises(InputError, match=r"00003.hits.of.npy"):
        next(loader)
    assert threads() == []


def test_an_error_of_whoever_uses_it_ends_the_thread(shards):
    with pytest.raises(RuntimeError), Loader(shards, batch=12, tile=3):
        raise RuntimeError
    assert threads() == []


def test_leaving_early_ends_the_thread(shards):
    with Loader(shards, batch=12, tile=3, ahead=1) as loader:
        next(loader)
        assert len(threads()) == 1
    assert threads() == []


def test_batches_are_placed_in_the_thread(shards):
    with Loader(shards, batch=12, tile=3, place=lambda b: threading.current_thread().name) as loader:
        assert next(loader) == "calojax-loader"


def test_more_shards_than_open_files(tmp_path):
    """53 rows in 53 shards of 3 files, with 64 open files allowed."""
    write(tmp_path / "s", rows_per_shard=1)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from calojax.shards import Loader, Shards\n"
        f"with Loader(Shards({str(tmp_path / 's')!r}), batch=12, tile=3, epochs=2) as loader:\n"
        "    print(sum(b['weight'].sum() for b in loader))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == 2 * ROWS


def test_memory_does_not_grow_with_the_number_of_shards(tmp_path):
    """200 files of 1 MiB, every row of every file."""
    pytest.importorskip("resource")
    code = (
        "import resource, numpy as np\n"
        "from calojax.shards import Field, Loader, Shards, Writer\n"
        f"folder, rows = {str(tmp_path / 's')!r}, np.arange(64)\n"
        "with Writer(folder, fields={'x': Field('float32', (4096,))}, rows_per_shard=64) as writer:\n"
        "    for number in range(200):\n"
        "        writer.append({'x': np.full((64, 4096), number)})\n"
        "    writer.finish(system='tiny')\n"
        "shards = Shards(folder)\n"
        "for files in (20, 200):\n"
        "    with Loader(shards, batch=64, tile=64, rows=(0, 64 * files), epochs=1) as loader:\n"
        "        total = sum(float(batch['x'].sum()) for batch in loader)\n"
        "    print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (few, least), (many, most) = (map(float, line.split()) for line in done.stdout.splitlines())
    assert (few, many) == tuple(64 * 4096 * sum(range(files)) for files in (20, 200))
    assert (most - least) * (1 if sys.platform == "darwin" else 1024) < 20 << 20
