"""Digests tell apart what differs, and depend on nothing else."""

import hashlib

import numpy as np

from calojax import digests


def test_a_file_is_digested_by_its_bytes(tmp_path):
    content = np.random.default_rng(0).bytes(1_000_000)
    (tmp_path / "x").write_bytes(content)
    assert digests.of_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_the_order_of_keys_does_not_matter():
    assert digests.of_table({"a": 1, "b": [1, 2]}) == digests.of_table({"b": [1, 2], "a": 1})
    assert digests.of_table({"a": [1, 2]}) != digests.of_table({"a": [2, 1]})


def test_arrays_are_told_apart_by_type_shape_and_values():
    zeros = np.zeros((2, 3), np.float32)
    others = [[zeros.T], [zeros.astype(np.int32)], [zeros, zeros], [zeros + 1]]
    assert len({digests.of_arrays(arrays) for arrays in ([zeros], *others)}) == 5
    counted = np.arange(6.0).reshape(2, 3)
    assert digests.of_arrays([counted[:, ::2]]) == digests.of_arrays([counted[:, ::2].copy()])


def test_the_code_is_that_of_the_whole_package(tmp_path, monkeypatch):
    (tmp_path / "room").mkdir()
    for name in ("digests.py", "room/deep.py"):
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(digests, "__file__", str(tmp_path / "digests.py"))
    before = digests.of_code()
    assert digests.of_code() == before
    (tmp_path / "room" / "deep.py").write_text("x = 2\n")
    assert digests.of_code() != before
