"""A few rounds of tests/kills.py: what is killed at any moment and gone on with comes to the same."""

import os
import random
from pathlib import Path

import kills
import pytest
import tiny_system

from calojax import system

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def differences(job, top, rounds, **how):
    """In words; whether and where a process was hit is left to chance."""
    cache = Path(os.environ["XDG_CACHE_HOME"])
    _, found = kills.campaign(job, top, rounds, random.Random(0), cache, **how)
    return found


@pytest.mark.parametrize("gently", [False, True], ids=["SIGKILL", "SIGTERM"])
def test_training(tmp_path, monkeypatch, gently):
    monkeypatch.setitem(system.TABLE, "tiny", "tiny_system")
    (tmp_path / "tiny.toml").write_text(kills.TINY)
    tiny_system.write_shards(tmp_path / "shards")
    job = kills.train(tmp_path / "tiny.toml", tmp_path / "shards")
    assert not differences(job, tmp_path / "made", 2, gently=gently)


def test_preparing(place, tmp_path):
    assert not differences(kills.prepare(place / "slice.hdf5", 2), tmp_path, 3)


def test_generating(run, generated, tmp_path):  # generated: what it needs is compiled
    assert not differences(kills.generate(run, 200), tmp_path, 2)
