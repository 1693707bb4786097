"""Two processes on the loopback train the same run as one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_system as tiny

from calojax import training
from calojax.errors import InputError
from calojax.training import Training, metrics, step

CONFIG = tiny.Config(
    training=Training(steps=12, batch=16, tile=4, validation_rows=20, log_every=4, checkpoint_every=6, warmup_steps=0)
)

PROGRAM = """
import sys
import jax
sys.path.insert(0, {here!r})
jax.distributed.initialize("127.0.0.1:{port}", num_processes=2, process_id={index})
import tiny_system as tiny
from calojax import system, training
from test_processes import CONFIG
system.TABLE["tiny"] = "tiny_system"
training.run(tiny, CONFIG, {shards!r}, {out!r}, progress=False)
jax.distributed.shutdown()
"""


@pytest.mark.timeout(120)
def test_two_processes_train_what_one_trains(tmp_path):
    shards = tiny.write_shards(tmp_path / "shards")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"here": str(Path(__file__).parent), "port": port, "shards": str(shards.folder)}
    texts = [PROGRAM.format(index=i, out=str(tmp_path / "two"), **common) for i in (0, 1)]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    running = [
        subprocess.Popen([sys.executable, "-c", text], env=environment, stderr=subprocess.PIPE, text=True)
        for text in texts
    ]
    errors = [process.communicate(timeout=110)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    training.run(tiny, CONFIG, shards, tmp_path / "one", progress=False)
    one, two = (metrics.read(tmp_path / run) for run in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert a["step"] == b["step"]
        for name in {"loss", "validation/loss", "gradient_norm"} & set(a["values"]):
            assert a["values"][name] == pytest.approx(b["values"][name], rel=1e-5)
    a, b = (training.load(tmp_path / run).model.params["cells"]["w"] for run in ("one", "two"))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_batch_that_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match=r"has 3 tiles.*2 processes"):
        step.placement(3)
