"""A disk that is full or fills: one sentence, nothing under the final name, and what was whole stays usable."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from calojax import data, evaluation, writing
from calojax.evaluation import judging
from calojax.training import checkpoints

SENTENCE = "calojax: "


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a disk of so many kilobytes and gives its folder; skips where that is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def mount(kilobytes: int):
        if sys.platform != "linux" or shutil.which("mount") is None:
            pytest.skip("no tmpfs")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for each in mounted:
        subprocess.run(["umount", each], check=True)


@pytest.fixture
def failed(command, capsys):
    """Run a command that fails for want of room; its sentence."""

    def run(*arguments) -> str:
        capsys.readouterr()
        assert command(*arguments) == 2
        out, err = capsys.readouterr()
        said = [line for line in err.splitlines() if line.startswith(SENTENCE)]
        assert out == ""
        assert len(said) == 1, err
        assert err.splitlines()[-1] == said[0]
        return said[0]

    return run


def commands(run, generated, disk):
    return {
        "prepare": ("prepare", "pyramid", data.sample("pyramid"), "--out", disk / "shards"),
        "train": ("train", run.parent / "tiny.toml", "--data", run.parent / "shards", "--out", disk / "run"),
        "generate": ("generate", run, "--n", 64, "--energy-range", "2600:3900", "--out", disk / "g.hdf5"),
        "points": ("generate", run, "--n", 64, "--energy", 3000, "--format", "points", "--out", disk / "g.hdf5"),
        "evaluate": ("evaluate", run.parent / "slice.hdf5", generated, "--geometry", "ds2", "--out", disk / "report"),
    }


@pytest.mark.parametrize("name", ["prepare", "train", "generate", "points", "evaluate"])
def test_a_disk_without_room_is_named(run, generated, disk, failed, name):
    """The room that has to stay free is more than this disk has."""
    folder = disk(2000)
    said = failed(*commands(run, generated, folder)[name])
    assert str(folder) in said
    assert "2 MB left on its disk" in said
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["prepare", "train", "generate", "points"])
def test_a_disk_that_is_full_after_the_check(run, generated, disk, failed, name, monkeypatch):
    """As when another process fills it: the system itself says no."""
    monkeypatch.setattr(writing, "need_room", lambda *_: None)
    folder = disk(60)
    said = failed(*commands(run, generated, folder)[name])
    assert str(folder) in said
    assert "cannot be written (" in said
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".partial")] == []


def test_numbers_of_the_judge_that_do_not_fit_leave_nothing(run, generated, disk, failed, monkeypatch):
    noise = np.random.default_rng(0).random(100_000)
    monkeypatch.setattr(writing, "need_room", lambda *_: None)
    monkeypatch.setattr(judging, "judge_read", lambda *_, **__: evaluation.Metrics({}, {}, (), {"noise": noise}))
    folder = disk(100)
    assert "report: cannot be written (" in failed(*commands(run, generated, folder)["evaluate"])
    assert list(folder.iterdir()) == []


def test_a_disk_that_fills_during_a_training_keeps_the_last_whole_checkpoint(run, disk, failed, command):
    """Once there is room again, the run goes on from it."""
    folder = disk(14_000)
    filler, out = folder / "filler", folder / "run"
    filler.write_bytes(bytes(shutil.disk_usage(folder).free - 9_000_000))  # room for two or three checkpoints
    arguments = [*commands(run, None, folder)["train"], "--set", "training.checkpoint_every=4"]
    arguments += ["--set", "training.keep=9"]
    assert "8 MB left on its disk" in failed(*arguments)
    kept = checkpoints.listed(out)
    assert 0 < len(kept) < 5
    filler.unlink()
    assert command(*arguments, "--resume") == 0
    assert set(checkpoints.listed(out)) == {4, 8, 12, 16, 20}
