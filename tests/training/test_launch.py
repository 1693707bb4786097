"""Two processes that a (pretended) Slurm has started: the commands of the launcher train and generate what one does.

The system is the small one of docs/adding-a-system.md, which is compiled in a moment: what several processes need to
agree on is the same for all, but for ragged data, which are those of test_processes.py.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from calojax import cli, data, training
from calojax.training import metrics
from tests import layers

CONFIG = """
system = "layers"
couplings = 2
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
pytestmark = pytest.mark.slow
KNOWING = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from calojax import cli
from tests import layers
layers.add(sys.argv.pop(1))
"""
PROGRAM = KNOWING + "sys.exit(cli.main(sys.argv[1:]))"
# Commands one after another in processes that are joined once; prints the exit code of each.
SEVERAL = f"""{KNOWING}
import json
from calojax.training import processes
processes.join()
processes.join = lambda: None
for command in json.loads(sys.argv[1]):
    print("exit", cli.main(command + ["--distributed"]), flush=True)
for error in (OSError(13, "Permission denied", "file"), KeyError("defect")):
    try:
        with processes.together():
            if not processes.is_first():
                raise error
    except Exception as told:
        print("told", told, flush=True)
"""


def as_slurm(index: int, job: int) -> dict[str, str]:
    """What srun tells the task `index` of two on this machine; one device each is compiled for in half the time."""
    told = {"JOB_ID": job, "STEP_NODELIST": "localhost", "NTASKS": 2, "PROCID": index, "LOCALID": index}
    told |= {"STEP_NUM_NODES": 1}
    return os.environ | {"XLA_FLAGS": ""} | {f"SLURM_{name}": str(value) for name, value in told.items()}


def launch(place, *arguments) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of the two processes."""
    job, pipe = random.randrange(1 << 30), subprocess.PIPE
    command = [sys.executable, "-c", PROGRAM, *map(str, (place, *arguments)), "--distributed"]
    running = [
        subprocess.Popen(command, env=as_slurm(index, job), stdout=pipe, stderr=pipe, text=True) for index in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=200) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(running, outputs, strict=True)]


def alone(*arguments) -> None:
    """The same in this process."""
    assert cli.main([str(argument) for argument in arguments]) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch")
    with h5py.File(data.sample("pyramid")) as source, h5py.File(folder / "slice.hdf5", "w") as out:
        energies = source["incident_energies"][:, 0]
        rows = np.flatnonzero((energies > 2500) & (energies < 4000))[:40]
        out["incident_energies"], out["showers"] = source["incident_energies"][rows], source["showers"][rows]
    (folder / "tiny.toml").write_text(CONFIG)
    layers.write(folder)
    return folder


@pytest.fixture(autouse=True)
def layers_is_a_system(place, tiny_is_a_system):
    """In this process, which then does not know the tiny one: it has no module for the parser to look at."""
    with layers.known(place):
        yield


@pytest.mark.timeout(400)
def test_two_processes_train_and_generate_what_one_does(place, tmp_path):
    trained = ("train", place / "tiny.toml", "--data", place / "slice.hdf5", "--out")
    results = launch(place, *trained, tmp_path / "two")
    assert [code for code, *_ in results] == [0, 0], results
    assert ["4 steps in" in out for _, out, _ in results] == [True, False]
    alone(*trained, tmp_path / "one")
    for one, two in zip(*(metrics.read(tmp_path / name) for name in ("one", "two")), strict=True):
        assert one["step"] == two["step"]
        assert one["values"].get("loss", 0) == pytest.approx(two["values"].get("loss", 0), rel=1e-5)
    assert training.load(tmp_path / "two").step == 4

    asked = ("generate", tmp_path / "two", "--conditions", place / "slice.hdf5", "--chunk", 1, "--set")
    asked += ("generation.window=16", "--out")
    results = launch(place, *asked, tmp_path / "two.hdf5")
    assert [code for code, *_ in results] == [0, 0], results
    alone(*asked, tmp_path / "one.hdf5")
    assert (tmp_path / "one.hdf5").read_bytes() == (tmp_path / "two.hdf5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "one.hdf5", "two", "two.hdf5"]


@pytest.mark.timeout(300)
def test_what_ends_one_process_ends_both(place, tmp_path):
    """Refusals that only one of them sees, as each has a folder of its own, and SIGTERM to the second one."""
    for index in (0, 1):
        (tmp_path / str(index)).mkdir()
    for name in ("taken", "taken.hdf5"):
        (tmp_path / "0" / name).touch()
    (tmp_path / "0" / "here.hdf5").symlink_to(place / "slice.hdf5")
    run, showers = tmp_path / "run", tmp_path / "showers.hdf5"
    train = ("train", place / "tiny.toml", "--set", "training.steps=1000000", "--data")
    generate = ("generate", run, "--n", 1_000_000, "--energy", 3000, "--chunk", 1, "--out")
    commands = [
        (*train, place / "slice.hdf5", "--out", "taken"),
        (*train, "here.hdf5", "--out", run),
        (*train, place / "slice.hdf5", "--out", run, "--set", "training.batch=12"),
        (*train, place / "slice.hdf5", "--out", run),
        (*generate, "taken.hdf5"),
        (*generate, showers),
    ]
    job, pipe = random.randrange(1 << 30), subprocess.PIPE
    command = [sys.executable, "-c", SEVERAL, place, json.dumps([[str(word) for word in words] for words in commands])]
    both = [
        subprocess.Popen(command, cwd=tmp_path / str(i), env=as_slurm(i, job), stdout=pipe, stderr=pipe, text=True)
        for i in (0, 1)
    ]
    try:
        for written in (run / "metrics.jsonl", tmp_path / ".showers.hdf5.partial" / "000001.npz"):
            wait_for(lambda written=written: written.is_file() and written.stat().st_size, both)
            both[1].send_signal(signal.SIGTERM)
        outputs = [process.communicate(timeout=100) for process in both]
    finally:
        for process in both:
            process.kill()
    codes = [re.findall(r"^exit (\d+)$", out, re.MULTILINE) for out, _ in outputs]
    assert codes == [["2", "2", "2", "130", "2", "130"]] * 2, outputs
    told = [re.findall(r"^told (.*)$", out, re.MULTILINE) for out, _ in outputs]
    assert told == [["[Errno 13] Permission denied: 'process 1, file'", "process 1: KeyError('defect')"]] * 2
    said = [[line for line in err.splitlines() if line.startswith("calojax: ")] for _, err in outputs]
    assert not any("Traceback" in err for _, err in outputs), outputs
    assert [len(lines) for lines in said] == [6, 6]
    for lines in said:
        assert lines[0].startswith("calojax: taken: exists already")
        assert lines[1].startswith("calojax: process 1, here.hdf5: does not exist")
        assert lines[2].startswith("calojax: [training] batch: has 3 tiles")
        assert lines[4].startswith("calojax: taken.hdf5: exists already")
    assert "pieces of" in said[0][5]
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert training.load(run).step == int(checkpoint.name) == metrics.read(run)[-1]["step"]
    assert not showers.exists()


def wait_for(there, running) -> None:
    """Until it is so, or one of the processes has ended."""
    until = time.monotonic() + 100
    while not there() and time.monotonic() < until and all(process.poll() is None for process in running):
        time.sleep(0.05)


def test_without_a_launcher_there_is_nothing_to_join(place, tmp_path):
    command = ["train", place / "tiny.toml", "--data", place / "slice.hdf5", "--out", tmp_path / "run", "--distributed"]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, (place, *command))], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("calojax: --distributed: finds no other processes")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
