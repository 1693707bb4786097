"""How long a user waits after starting a process: for help, for what is in a run, for the first shower."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import h5py

import calojax
from benchmarks import measuring, subject
from benchmarks.running import Options

_EMPTY = 2  # starts with an empty cache, most of which compile


def run(options: Options) -> dict[str, Any]:
    """Rows in seconds: help, info, first-shower/cold with an empty cache and /warm with what that left."""
    with tempfile.TemporaryDirectory() as name:
        folder, number = Path(name), count()
        commands = {"help": ["--help"]}
        if not options.short:
            trained = options.run or _barely_trained(folder / "run")
            commands["info"] = ["info", trained]
            commands["first-shower/warm"] = ["generate", trained, "--n", "1", "--energy", "10000", "--seed", "1"]
        turns: dict[str, list[tuple[float, float]]] = {key: [] for key in commands}
        if first := commands.get("first-shower/warm"):
            cold = [_started(first, folder / f"cache-{n}", folder / f"{next(number)}.hdf5") for n in range(_EMPTY)]
            turns["first-shower/cold"] = cold
        for _ in range(options.rounds):
            for key, command in commands.items():
                out = folder / f"{next(number)}.hdf5" if command is first else None
                turns[key].append(_started(command, folder / "cache-0", out))
    timings = {key: measuring.Timing(*map(measuring.spread, zip(*of, strict=True))) for key, of in turns.items()}
    rows = {key: measuring.timed(timing, options.place, "s", 1.0) for key, timing in timings.items()}
    return {"results": rows, "left_out": {}}


def _started(command: list[str], cache: Path, out: Path | None) -> tuple[float, float]:
    """Wall and CPU time of `calojax ...` in a new process; raises if it fails or its file holds no shower."""
    arguments = [sys.executable, "-m", "calojax", *command, *(["--out", str(out)] if out else [])]
    cpu = lambda used: used.ru_utime + used.ru_stime
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    subprocess.run(arguments, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - began, cpu(resource.getrusage(resource.RUSAGE_CHILDREN)) - cpu(before)
    if out:
        with h5py.File(out) as file:
            if not file["showers"][:].any():
                raise ValueError("the first shower is empty")
    return seconds


def _barely_trained(folder: Path) -> str:
    """A run of the experiment after one step on the sample."""
    settings = ("training.steps=1", "training.warmup_steps=0", "training.validation_rows=0")
    calojax.train(subject.EXPERIMENT, "sample", folder, settings=settings, progress=False)
    return str(folder)
