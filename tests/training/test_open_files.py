"""Many shards and few files that may be open: the same run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_system as tiny

from calojax import training
from calojax.training import Training, metrics

CONFIG = tiny.Config(training=Training(steps=20, batch=16, tile=8, validation_rows=20, log_every=5, warmup_steps=0))

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
sys.path.insert(0, {here!r})
import tiny_system as tiny
from calojax import system, training
from test_open_files import CONFIG
system.TABLE["tiny"] = "tiny_system"
training.run(tiny, CONFIG, {shards!r}, {out!r}, progress=False)
"""


def losses(run):
    return [(line["step"], {k: v for k, v in line["values"].items() if "loss" in k}) for line in metrics.read(run)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_two_hundred_shards_are_trained_on_with_64_open_files(tmp_path):
    shards = tiny.write_shards(tmp_path / "shards", rows=200, rows_per_shard=1)
    assert len(shards.manifest.parts) == 200
    text = PROGRAM.format(here=str(Path(__file__).parent), shards=str(shards.folder), out=str(tmp_path / "few"))
    done = subprocess.run([sys.executable, "-c", text], env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    training.run(tiny, CONFIG, shards, tmp_path / "many", progress=False)
    assert losses(tmp_path / "few") == losses(tmp_path / "many")
    assert len(losses(tmp_path / "few")) == 5
