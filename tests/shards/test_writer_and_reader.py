"""Shards: what is written is read, whatever the block size; what is not whole is named."""

import json
import shutil

import numpy as np
import pytest

from calojax.errors import InputError
from calojax.shards import Field, Manifest, Shards, Source, Writer

FIELDS = {"energy": Field("float32", (), "MeV"), "vector": Field("float32", (3,))}
GROUPS = {"hits": {"index": Field("int32"), "pair": Field("int16", (2,))}}


def rows(n=50, seed=0):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 5, n)
    fields = {"energy": random.random(n, np.float32), "vector": random.random((n, 3), np.float32)}
    hits = {"index": random.integers(0, 99, counts.sum()), "pair": random.integers(0, 99, (counts.sum(), 2))}
    return fields, counts, hits


def write(folder, block=50, **finish):
    fields, counts, hits = rows()
    ends = np.concatenate([[0], np.cumsum(counts)])
    with Writer(folder, fields=FIELDS, groups=GROUPS, rows_per_shard=16) as writer:
        for first in range(0, 50, block):
            last = min(first + block, 50)
            part = {name: array[ends[first] : ends[last]] for name, array in hits.items()}
            writer.append({k: v[first:last] for k, v in fields.items()}, {"hits": (counts[first:last], part)})
        return writer.finish(system="tiny", **finish)


def test_what_is_written_is_read(tmp_path):
    write(tmp_path / "s")
    fields, counts, hits = rows()
    found = Shards(tmp_path / "s").read()
    for name, array in (fields | {f"hits.{k}": v for k, v in hits.items()}).items():
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(np.diff(found["hits.offsets"]), counts)


@pytest.mark.parametrize("block", [1, 7, 16, 33])
def test_shards_do_not_depend_on_the_size_of_the_blocks(tmp_path, block):
    assert write(tmp_path / "a") == write(tmp_path / "b", block=block)


def test_rows_come_in_the_order_asked_for(tmp_path):
    write(tmp_path / "s")
    fields, counts, hits = rows()
    asked = np.array([49, 3, 17, 3, 0])
    shards = Shards(tmp_path / "s")
    np.testing.assert_array_equal(shards.dense("vector", asked), fields["vector"][asked])
    starts = np.array([40, 30, 20, 10, 0])
    found = shards.ragged("hits", asked, starts, 50)["pair"]
    ends = np.concatenate([[0], np.cumsum(counts)])
    expected = np.zeros((50, 2), np.int16)
    for row, start in zip(asked, starts, strict=True):
        expected[start : start + counts[row]] = hits["pair"][ends[row] : ends[row + 1]]
    np.testing.assert_array_equal(found, expected)


def test_the_manifest_survives_the_disk(tmp_path):
    tables = {"cdf": np.linspace(0, 1, 5)}
    written = write(
        tmp_path / "s",
        sources=[Source("a.hdf5", "ff", 50)],
        selections={"all": 50},
        statistics={"mean": 1.5},
        tables=tables,
    )
    found = Manifest.read(tmp_path / "s")
    assert found == written and found.digest == written.digest
    np.testing.assert_array_equal(found.tables["cdf"], tables["cdf"])
    energy = rows()[0]["energy"]
    assert found.ranges == {"energy": (energy.min(), energy.max())}


def test_a_flipped_byte_is_named_once_and_again_on_demand(tmp_path):
    write(tmp_path / "s")
    Shards(tmp_path / "s")  # checks and remembers
    victim = tmp_path / "s" / "00001.hits.index.npy"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    with pytest.raises(InputError, match=r"00001.hits.index.npy.*checksum"):
        Shards(tmp_path / "s", verify=True)
    (tmp_path / "s" / "verified").unlink()
    with pytest.raises(InputError, match=r"00001.hits.index.npy.*checksum"):
        Shards(tmp_path / "s")


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_file_is_named(tmp_path, damage):
    write(tmp_path / "s")
    victim = tmp_path / "s" / "00002.energy.npy"
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"00002.energy.npy"):
        Shards(tmp_path / "s", verify=False)


@pytest.mark.parametrize("step", [1, 40])
def test_dense_rows_near_and_far_are_read_alike(tmp_path, step):
    """Rows of 400 bytes: all of them lie within a page of each other, one in forty does not."""
    number = np.arange(1000)
    with Writer(tmp_path / "s", fields={"x": Field("int32", (100,))}, rows_per_shard=400) as writer:
        writer.append({"x": np.repeat(number[:, None], 100, axis=1)})
        writer.finish(system="tiny")
    asked = np.random.default_rng(0).permutation(number[::step])
    np.testing.assert_array_equal(Shards(tmp_path / "s").dense("x", asked), np.repeat(asked[:, None], 100, axis=1))


def test_another_array_of_the_same_size_is_named(tmp_path):
    write(tmp_path / "s")
    shards = Shards(tmp_path / "s")
    np.save(tmp_path / "s" / "00000.energy.npy", np.zeros(16, np.int32))
    with pytest.raises(InputError, match=r"00000.energy.npy.*it holds int32"):
        shards.read()


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_what_is_damaged_while_it_is_used_is_named(tmp_path, damage):
    write(tmp_path / "s")
    for name in ("00001.vector.npy", "00001.hits.pair.npy", "00002.hits.offsets.npy"):
        shards = Shards(tmp_path / "s")
        victim = tmp_path / "s" / name
        whole = victim.read_bytes()
        victim.unlink() if damage == "missing" else victim.write_bytes(whole[:-8])
        with pytest.raises(InputError, match=name):
            shards.read()
        victim.write_bytes(whole)


def change(folder, **values):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "values, said",
    [
        ({"version": 99}, "version.*99.*update calojax"),
        ({"format": "x"}, "format"),
        ({"fields": None}, "incomplete"),
        ({"fields": []}, "incomplete"),
        ({"fields": {"../energy": {"dtype": "float32", "shape": [], "unit": ""}}}, "in the folder itself"),
        ({"fields": {"energy": {"dtype": "O", "shape": [], "unit": ""}}}, "dtypes"),
        ({"groups": {}}, "one file for each array"),
        ({"parts": {}}, "the rows of the parts"),
        ({"parts": [{"rows": 50, "files": {"../x": {"size": 1, "sha256": ""}}}]}, "one file for each array"),
        ({"parts": [{"rows": 50, "files": []}]}, "incomplete"),
        ({"rows": "50"}, "whole numbers"),
        ({"rows": -50}, "not negative"),
        ({"rows": 49}, "the rows of the parts"),
        ({"ranges": [1, 2]}, "incomplete"),
        ({"ranges": {"energy": ["a", "b"]}}, "ranges are numbers"),
        ({"system": ["tiny"]}, "names and digests are text"),
        ({"selections": [1]}, "are tables"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path, values, said):
    write(tmp_path / "s")
    change(tmp_path / "s", **values)
    with pytest.raises(InputError, match=rf"manifest.json.*{said}"):
        Shards(tmp_path / "s")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_none_says_so(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=r"manifest.json"):
        Shards(tmp_path)


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_truncated_tables_are_named(tmp_path, kept):
    write(tmp_path / "s", tables={"cdf": np.linspace(0, 1, 50)})
    victim = tmp_path / "s" / "statistics.npz"
    victim.write_bytes(victim.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"statistics.npz"):
        Manifest.read(tmp_path / "s")


def test_every_flipped_byte_is_named(tmp_path):
    """Wherever it lies: one byte of each file, at places drawn at random."""
    write(tmp_path / "s", tables={"cdf": np.linspace(0, 1, 50)})
    draw = np.random.default_rng(0)
    for name in Manifest.read(tmp_path / "s").files():
        victim = tmp_path / "s" / name
        whole = victim.read_bytes()
        place = int(draw.integers(len(whole)))
        victim.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << int(draw.integers(8)))]) + whole[place + 1 :])
        with pytest.raises(InputError, match=name):
            Shards(tmp_path / "s", verify=True)
        victim.write_bytes(whole)
    assert Shards(tmp_path / "s", verify=True).rows == 50


def test_a_copy_is_checked_again(tmp_path):
    write(tmp_path / "s")
    Shards(tmp_path / "s")
    shutil.copytree(tmp_path / "s", tmp_path / "copy")
    victim = tmp_path / "copy" / "00001.energy.npy"
    victim.write_bytes(victim.read_bytes()[:-1] + b"\xff")
    with pytest.raises(InputError, match=r"copy/00001.energy.npy.*checksum"):
        Shards(tmp_path / "copy")


def test_a_folder_without_manifest_is_no_shards(tmp_path):
    with pytest.raises(InputError, match=r"has no manifest.json"):
        Shards(tmp_path)


def test_an_existing_folder_is_refused_and_untouched(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(InputError, match="exists already"):
        write(tmp_path / "s")
    assert list((tmp_path / "s").iterdir()) == []


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), Writer(tmp_path / "s", fields=FIELDS) as writer:
        writer.append(rows()[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_no_shards(tmp_path):
    with pytest.raises(InputError, match="no rows"), Writer(tmp_path / "s", fields=FIELDS) as writer:
        writer.finish(system="tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_block_unlike_its_declaration_is_a_defect(tmp_path):
    with Writer(tmp_path / "s", fields=FIELDS) as writer:
        with pytest.raises(ValueError, match="declared"):
            writer.append({"energy": np.zeros(3)})
        with pytest.raises(ValueError, match=r"vector.*declared"):
            writer.append({"energy": np.zeros(3), "vector": np.zeros((3, 2))})
        with pytest.raises(ValueError, match="length"):
            writer.append({"energy": np.zeros(3), "vector": np.zeros((2, 3))})
