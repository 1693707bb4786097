"""A batch system ends a command while it starts, or all of a group's processes: 130, and nothing half under a name."""

import os
import signal
import subprocess
import sys
import time

import pytest


def start(*arguments):
    command = [sys.executable, "-m", "calojax", *map(str, arguments)]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_group(process) -> tuple[int, str]:
    """SIGTERM to all processes of the group; exit code and stderr of the first, once none is left."""
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    with pytest.raises(ProcessLookupError):
        while True:  # until the test's own time is over
            os.killpg(process.pid, 0)
            time.sleep(0.05)
    return process.returncode, err


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_a_training_that_is_ended_while_it_starts_leaves_nothing(run, tmp_path):
    """It can be importing or compiling then; what it does not do is train."""
    place = tmp_path / "runs"
    place.mkdir()
    steps = ("--set", "training.steps=100000", "--set", "model.hidden=6")  # compiled nowhere before
    process = start("train", run.parent / "tiny.toml", "--data", run.parent / "shards", "--out", place / "run", *steps)
    time.sleep(2)
    code, err = end_group(process)
    assert code in (130, -signal.SIGTERM), err  # the latter before Python has begun
    assert "Traceback" not in err
    assert names(place) == [] or (place / "run" / "checkpoints").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
@pytest.mark.parametrize("name", ["prepare", "generate"])
def test_a_group_that_is_ended_leaves_no_process_and_no_file(run, tmp_path, name):
    out = tmp_path / "out"
    arguments = {
        "prepare": ("prepare", "pyramid", *[run.parent / "slice.hdf5"] * 2000, "--out", out),
        "generate": ("generate", run, "--n", 1_000_000, "--energy", 3000, "--out", out),
    }[name]
    process = start(*arguments)
    while process.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.05)
    code, err = end_group(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert not out.exists()
