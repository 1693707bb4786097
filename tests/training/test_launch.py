"""Two processes that a (pretended) Slurm has started: the commands of the launcher train and generate what one does."""

import os
import random
import subprocess
import sys

import h5py
import numpy as np
import pytest

from calojax import data, training
from calojax.training import metrics

CONFIG = """
system = "pyramid"
[model]
hidden = 4
cell_hidden = 4
couplings = 2
bins = 2
pooled = 2
components = 2
[training]
steps = 4
batch = 16
tile = 4
warmup_steps = 2
validation_rows = 8
log_every = 2
[generation]
tile = 8
window = 64
"""
PROGRAM = "import sys; from calojax import cli; sys.exit(cli.main(sys.argv[1:]))"


def as_slurm(index: int, job: int) -> dict[str, str]:
    """What srun tells the task `index` of two on this machine."""
    told = {"JOB_ID": job, "STEP_NODELIST": "localhost", "NTASKS": 2, "PROCID": index, "LOCALID": index}
    told |= {"STEP_NUM_NODES": 1}
    return os.environ | {f"SLURM_{name}": str(value) for name, value in told.items()}


def launch(*arguments) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of the two processes."""
    job, command = random.randrange(1 << 30), [sys.executable, "-c", PROGRAM, *map(str, arguments), "--distributed"]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, env=as_slurm(index, job), stdout=pipe, stderr=pipe, text=True) for index in (0, 1)
    ]
    outputs = [process.communicate(timeout=200) for process in running]
    return [(process.returncode, *output) for process, output in zip(running, outputs, strict=True)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch")
    with h5py.File(data.sample("pyramid")) as source, h5py.File(folder / "slice.hdf5", "w") as out:
        energies = source["incident_energies"][:, 0]
        rows = np.flatnonzero((energies > 2500) & (energies < 4000))[:40]
        out["incident_energies"], out["showers"] = source["incident_energies"][rows], source["showers"][rows]
    (folder / "tiny.toml").write_text(CONFIG)
    return folder


@pytest.mark.timeout(400)
def test_two_processes_train_and_generate_what_one_does(place, tmp_path):
    trained = ("train", place / "tiny.toml", "--data", place / "slice.hdf5", "--out")
    results = launch(*trained, tmp_path / "two")
    assert [code for code, *_ in results] == [0, 0], results
    assert ["4 steps in" in out for _, out, _ in results] == [True, False]
    run = [sys.executable, "-c", PROGRAM]
    subprocess.run([*run, *map(str, trained), str(tmp_path / "one")], check=True, capture_output=True)
    for one, two in zip(*(metrics.read(tmp_path / name) for name in ("one", "two")), strict=True):
        assert one["step"] == two["step"]
        assert one["values"].get("loss", 0) == pytest.approx(two["values"].get("loss", 0), rel=1e-5)
    assert training.load(tmp_path / "two").step == 4

    asked = ("generate", tmp_path / "two", "--conditions", place / "slice.hdf5", "--chunk", 1, "--set")
    asked += ("generation.window=16", "--out")
    results = launch(*asked, tmp_path / "two.hdf5")
    assert [code for code, *_ in results] == [0, 0], results
    subprocess.run([*run, *map(str, asked), str(tmp_path / "one.hdf5")], check=True, capture_output=True)
    assert (tmp_path / "one.hdf5").read_bytes() == (tmp_path / "two.hdf5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "one.hdf5", "two", "two.hdf5"]


def test_without_a_launcher_there_is_nothing_to_join(place, tmp_path):
    command = ["train", place / "tiny.toml", "--data", place / "slice.hdf5", "--out", tmp_path / "run", "--distributed"]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("calojax: --distributed: finds no other processes")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
