"""A few rounds of the campaign of kills: whatever is killed goes on to what it would have made undisturbed."""

import importlib.util
import random
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def kills():
    """The module tests/kills.py."""
    spec = importlib.util.spec_from_file_location("kills", Path(__file__).parents[1] / "kills.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def jobs(kills, tmp_path_factory):
    """The jobs of the tiny system and of the sample, which start fast."""
    top = tmp_path_factory.mktemp("kills")
    (top / "tiny.toml").write_text(kills.TINY)
    kills.tiny_system.install()
    kills.tiny_system.write_shards(top / "tiny-shards")
    return {
        "train": kills.train(top / "tiny.toml", top / "tiny-shards"),
        "prepare": kills.prepare(kills.data.sample("pyramid"), 64),
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("job", "gently"), [("train", False), ("train", True), ("prepare", False)])
def test_what_is_killed_goes_on_to_the_same(kills, jobs, tmp_path, job, gently):
    hits, differences = kills.campaign(jobs[job], tmp_path, 2, random.Random(job), gently=gently)
    assert differences == []
    assert hits
