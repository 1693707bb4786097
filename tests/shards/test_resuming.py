"""A writer that was stopped is gone on with to the same shards; two never write the same; a full disk is named."""

import subprocess
import sys

import numpy as np
import pytest

from calojax import writing
from calojax.errors import InputError
from calojax.shards import Field, Manifest, Shards, Writer

FIELDS = {"energy": Field("float32"), "vector": Field("float32", (3,))}
GROUPS = {"hits": {"index": Field("int32")}}
ROWS, BLOCK = 50, 7


def writer(folder, key: str | None = "k", rows_per_shard=8):
    return Writer(folder, fields=FIELDS, groups=GROUPS, rows_per_shard=rows_per_shard, resume_key=key)


def append(out, first, last):
    """Rows first to last; row i has i % 4 hits that are all i, and counts i % 3."""
    number = np.arange(first, last)
    fields = {"energy": number, "vector": np.outer(number, [1, 2, 3])}
    hits = (number % 4, {"index": np.repeat(number, number % 4)})
    out.append(fields, {"hits": hits}, {"dropped": number % 3})


def fill(out, stop=ROWS):
    for first in range(out.rows, stop, BLOCK):
        append(out, first, min(first + BLOCK, stop))


def finish(out) -> Manifest:
    return out.finish(system="tiny", tables={"sum": np.array([Shards.read(out.shards())["energy"].sum()])})


def stop(folder, rows, key: str | None = "k", **options):
    """A writer that the user interrupts after some rows."""
    with pytest.raises(KeyboardInterrupt), writer(folder, key, **options) as out:
        fill(out, rows)
        raise KeyboardInterrupt


@pytest.fixture
def undisturbed(tmp_path) -> Manifest:
    with writer(tmp_path / "undisturbed", None) as out:
        fill(out)
        return finish(out)


def resumed(folder, expected_start, key: str | None = "k"):
    with writer(folder, key) as out:
        assert out.rows == expected_start
        fill(out)
        return finish(out)


def test_it_goes_on_after_the_last_whole_shard(tmp_path, undisturbed):
    stop(tmp_path / "s", 13)
    stop(tmp_path / "s", 30)
    assert resumed(tmp_path / "s", 24).digest == undisturbed.digest
    assert undisturbed.selections == {"dropped": sum(i % 3 for i in range(ROWS))}
    names = {path.name for path in (tmp_path / "s").iterdir()}
    assert names == {*undisturbed.files(), "manifest.json"}
    assert not writing.partial(tmp_path / "s").exists()
    np.testing.assert_array_equal(Shards(tmp_path / "s").read()["energy"], np.arange(ROWS))


def test_it_goes_on_when_all_rows_are_written(tmp_path, undisturbed):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "s") as out:
        fill(out)
        out.shards()
        raise KeyboardInterrupt
    assert resumed(tmp_path / "s", ROWS).digest == undisturbed.digest


@pytest.mark.parametrize("step", ["rename", "unlink"])
def test_a_stop_around_the_renaming_loses_no_shard(tmp_path, undisturbed, monkeypatch, step):
    """Before it the shards can be gone on with, after it they are whole under their name."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), writer(tmp_path / "s") as out:
        fill(out)
        summed = Shards.read(out.shards())["energy"].sum()

        def stopped(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(type(tmp_path), step, stopped)
        out.finish(system="tiny", tables={"sum": np.array([summed])})
    if step == "rename":
        assert resumed(tmp_path / "s", ROWS).digest == undisturbed.digest
    assert Shards(tmp_path / "s").manifest.digest == undisturbed.digest
    assert not writing.partial(tmp_path / "s").exists()


@pytest.mark.parametrize("key", ["another", None])
def test_other_work_starts_afresh(tmp_path, undisturbed, key):
    stop(tmp_path / "s", 30)
    assert resumed(tmp_path / "s", 0, key).digest == undisturbed.digest


def test_other_shard_sizes_start_afresh(tmp_path, undisturbed):
    stop(tmp_path / "s", 30, rows_per_shard=5)
    assert resumed(tmp_path / "s", 0).digest == undisturbed.digest


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"?"], ids=["truncated", "flipped"])
def test_what_was_damaged_meanwhile_is_written_again(tmp_path, undisturbed, damage):
    stop(tmp_path / "s", 30)
    victim = writing.partial(tmp_path / "s") / "00001.energy.npy"
    victim.write_bytes(damage(victim.read_bytes()))
    assert resumed(tmp_path / "s", 8).digest == undisturbed.digest


@pytest.mark.parametrize(
    "content", ["", "[]", '{"key": "k"}', '{"key": "k", "version": 1, "rows_per_shard": 8, "whole": 3}']
)
def test_a_damaged_note_starts_afresh(tmp_path, undisturbed, content):
    stop(tmp_path / "s", 30)
    (writing.partial(tmp_path / "s") / "progress.json").write_text(content)
    assert resumed(tmp_path / "s", 0).digest == undisturbed.digest


def test_nothing_is_kept_without_a_key(tmp_path):
    stop(tmp_path / "s", 30, None)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_nothing_although_it_could_be_resumed(tmp_path):
    with pytest.raises(InputError), writer(tmp_path / "s") as out:
        fill(out, 30)
        raise InputError(where="row 30", found="is bad", rule="rows are good", remedy="mend it")
    assert list(tmp_path.iterdir()) == []


def test_two_never_write_the_same_folder(tmp_path, undisturbed):
    with writer(tmp_path / "s") as first:
        fill(first, 30)
        with pytest.raises(InputError, match="another process"), writer(tmp_path / "s"):
            pass
        fill(first)
        assert finish(first).digest == undisturbed.digest


def test_a_full_disk_is_named_and_nothing_left(tmp_path, monkeypatch):
    usage = writing.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InputError, match="left on its disk"), writer(tmp_path / "s") as out:
        fill(out)
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_named_and_nothing_left(tmp_path):
    """Files of at most 4,000 bytes: numpy says how many items were written, and gives no number of an error."""
    pytest.importorskip("resource")
    code = (
        "import numpy as np, resource, sys\n"
        "from calojax.errors import InputError\n"
        "from calojax.shards import Field, Writer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "try:\n"
        f"    with Writer({str(tmp_path / 's')!r}, fields={{'x': Field('float64')}}) as writer:\n"
        "        writer.append({'x': np.zeros(10_000)})\n"
        "        writer.finish(system='tiny')\n"
        "except InputError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "/s: cannot be written" in done.stdout
    assert list(tmp_path.iterdir()) == []
