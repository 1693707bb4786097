"""Two processes on the loopback train the same run as one, on ragged data that alone they would shape unlike."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_system as tiny
import watched_run
from test_run import assert_same

from calojax import training
from calojax.errors import InputError
from calojax.shards import Batches, Position
from calojax.training import Training, metrics, step

ROWS, EPOCHS = 101, 3
CONFIG = tiny.Config(
    training=Training(
        steps=7 * EPOCHS, batch=16, tile=4, validation_rows=20, log_every=4, checkpoint_every=6, warmup_steps=0
    )
)

PROGRAM = """
import json, sys
from pathlib import Path
import jax
sys.path.insert(0, {here!r})
jax.distributed.initialize("127.0.0.1:{port}", num_processes=2, process_id={index})
import watched_run
from test_processes import CONFIG
seen = watched_run.train(CONFIG, {shards!r}, Path({out!r}), jax.device_count(), resume={resume})
print(json.dumps([seen.devices, sorted(seen.misplaced), seen.rows]))
jax.distributed.shutdown()
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return tiny.write_shards(tmp_path_factory.mktemp("data") / "shards", rows=ROWS + 20, rows_per_shard=10)


@pytest.fixture(scope="module")
def two(shards, tmp_path_factory):
    """The run folder of two processes, and what each of them printed."""
    out = tmp_path_factory.mktemp("two") / "run"
    return out, launch(shards, out)


def launch(shards, out, *, resume=False):
    """Train in two processes; what each of them printed last."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"here": str(Path(__file__).parent), "port": port, "shards": str(shards.folder), "out": str(out)}
    common["resume"] = resume
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM.format(index=i, **common)], env=environment, **pipes)
        for i in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=110) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], said
    return [json.loads(output.splitlines()[-1]) for output, _ in said]


@pytest.mark.timeout(120)
def test_two_processes_train_what_one_trains(shards, two, tmp_path):
    training.run(tiny, CONFIG, shards, tmp_path / "one", progress=False)
    runs = (tmp_path / "one", two[0])
    for a, b in zip(*map(metrics.read, runs), strict=True):
        assert a["step"] == b["step"]
        for name in {"loss", "validation/loss", "gradient_norm"} & set(a["values"]):
            assert a["values"][name] == pytest.approx(b["values"][name], rel=1e-5)
    a, b = (training.load(run).model.params["cells"]["w"] for run in runs)
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.timeout(120)
def test_two_processes_take_the_same_steps_and_share_the_rows_of_every_epoch(two):
    (devices, misplaced, first), (devices_too, misplaced_too, second) = two[1]
    assert (devices, misplaced) == (devices_too, misplaced_too) == (4, [])
    assert len(first) == len(second) == CONFIG.training.steps
    together = [a + b for a, b in zip(first, second, strict=True)]
    assert watched_run.epochs(together, 7) == [list(range(ROWS))] * EPOCHS
    assert [len(rows) for rows in second[:7]] == [8] * 6 + [0]  # the last batch has five rows, all of the first's


@pytest.mark.timeout(120)
def test_two_processes_go_on_to_the_same_bits(shards, two, tmp_path):
    shutil.copytree(two[0], tmp_path / "run")
    for later in (18, 21):
        shutil.rmtree(tmp_path / "run" / "checkpoints" / str(later))
    (_, _, first), _ = launch(shards, tmp_path / "run", resume=True)
    assert first == two[1][0][2][12:]
    assert_same(tmp_path / "run", two[0])


def test_these_data_would_put_two_processes_into_different_buckets(shards):
    """If each chose by its own rows, they would meet in programs of different shapes and wait for ever."""
    buckets = tiny.buckets(CONFIG, shards.manifest)
    both = [Batches(shards, 16, 4, (0, ROWS), buckets, process_index=i, process_count=2) for i in (0, 1)]
    sizes, alone = [], []
    for place in range(7 * EPOCHS):
        mine = [batches.at(Position(*divmod(place, 7))) for batches in both]
        sizes.append([batch["cells.row"].shape[1] for batch in mine])
        needed = [(batch["cells.row"] < 4).sum(axis=1).max() for batch in mine]
        alone.append([next(size for size in buckets["cells"] if size >= least) for least in needed])
    assert all(a == b == max(chosen) for (a, b), chosen in zip(sizes, alone, strict=True))
    assert {tuple(chosen) for chosen in alone} >= {(12, 20), (20, 12)}


def test_a_batch_that_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match=r"has 3 tiles.*2 processes"):
        step.placement(3)
