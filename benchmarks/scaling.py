"""Whether several devices, and several processes, train and generate what one does.

Devices here are virtual ones of the CPU. Where there are fewer cores than devices, steps per second say nothing of
scaling, so that every row carries the numbers of both: what counts is the agreement, without which nothing is reported.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import measuring, stepping, subject
from benchmarks.running import Options
from calojax import data, experiments, generation, geometry, verbs
from calojax import system as systems
from calojax.shards import Shards

DEVICES = (1, 2, 4, 8)
PROCESSES = 2
ROUNDING = 1e-3  # of the change of an array, for sums of tiles in another order
_SETTINGS = (
    "training.learning_rate=1e-3",  # at that of the experiment rounding grew to .02 of the change in eight steps
    "training.warmup_steps=0",
    "generation.tile=4",
    "generation.window=4",
)
_SIZES = {False: (64, 8, 8, 128), True: (8, 4, 2, 8)}  # short or not: batch and tile, steps, showers generated
_ROOT = Path(__file__).parents[1]


def run(options: Options) -> dict[str, Any]:
    """Rows devices=N and processes=N in steps/s; raises where they come to something else than one device does."""
    sizes, settings = _SIZES[options.short], [(f"devices={n}", 1, n) for n in DEVICES]
    settings += [(f"processes={PROCESSES}", PROCESSES, 1)]
    results, left_out = {}, {key: "not in a short run" for key, *_ in settings[2:] if options.short}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        verbs.prepare("pyramid", data.sample("pyramid"), folder / "shards")
        for key, processes, each in settings:
            if key in left_out:
                continue
            (folder / key).mkdir()
            rates = together(folder, key, processes, each, sizes)
            size = dict(zip(("batch", "tile", "steps", "showers"), sizes, strict=True))
            size |= {"devices": processes * each, "cores": os.cpu_count()}
            checked = agreement(folder / settings[0][0], folder / key)
            results[key] = measuring.row(measuring.spread(rates), "steps/s", "more", size=size, checked=checked)
    return {"results": results, "left_out": left_out}


def together(folder: Path, key: str, processes: int, devices: int, sizes: tuple[int, ...]) -> list[float]:
    """Start the processes, with so many devices each, and wait for them; steps per second of every step."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flag = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}"}
    words = (str(folder), key, json.dumps(sizes), str(port), str(processes))
    command = [sys.executable, "-m", "benchmarks.scaling", *words]
    started = [
        subprocess.Popen([*command, str(index)], cwd=_ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for index in range(processes)
    ]
    said = []
    try:
        said = [process.communicate()[1] for process in started]
    finally:
        for process in started:
            process.kill()
    for process, errors in zip(started, said, strict=True):
        if process.returncode:
            raise RuntimeError(f"{key}: {(errors.strip().splitlines() or ['no word'])[-1]}")
    return json.loads((folder / key / "rates.json").read_text())


def agreement(one: Path, other: Path) -> dict[str, Any]:
    """How two folders of `main` agree; raises if parameters differ by more than rounding, or showers at all.

    parameters: the largest norm of the difference of an array in units of the norm of its change in training.
    """
    before, a, b = (np.load(path) for path in (one / "begun.npz", one / "done.npz", other / "done.npz"))
    moved = lambda name: np.linalg.norm(a[name] - before[name])
    apart = {name: np.linalg.norm(a[name] - b[name]) / moved(name) for name in a.files if moved(name)}
    worst = max(apart, key=lambda name: np.nan_to_num(apart[name], nan=np.inf))
    if not apart[worst] < ROUNDING:
        raise ValueError(f"{other.name} trains {worst} to something else, {apart[worst]:.1g} of its change")
    if (one / "showers.hdf5").read_bytes() != (other / "showers.hdf5").read_bytes():
        raise ValueError(f"{other.name} generates other showers")
    return {"parameters": float(apart[worst]), "showers": "same bits"}


def main(folder: str, key: str, sizes: str, port: str, processes: str, index: str) -> None:
    """One process: trains, then generates, and leaves begun.npz, done.npz, rates.json, showers.hdf5 in FOLDER/KEY."""
    if int(processes) > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=int(processes), process_id=int(index))
    out, shards = Path(folder, key), Shards(Path(folder, "shards"))
    batch, tile, steps, showers = json.loads(sizes)
    asked = experiments.read(subject.EXPERIMENT, [*_SETTINGS, f"training.batch={batch}", f"training.tile={tile}"])
    system = systems.load(asked.system)
    rates, losses = [], []
    with stepping.Trainer(system, asked.config, shards) as trainer:
        begun = named(trainer.state.params)
        for _ in range(steps):
            began = time.perf_counter()
            losses.append(trainer.advance()["loss"].block_until_ready())
            rates.append(1 / (time.perf_counter() - began))
        stepping.checked(losses)
        if trainer.devices != jax.device_count():
            raise RuntimeError(f"{trainer.devices} of {jax.device_count()} devices trained")
    seed = jax.random.key(0, impl="unsafe_rbg")  # compiles in a third of the time, and nobody trains from here
    model = jax.device_get(jax.jit(lambda seed: system.init(seed, asked.config, shards.manifest))(seed))
    layout = generation.Points(geometry.from_json(shards.manifest.geometry), {}, showers)
    sink = generation.Files(out / "showers.hdf5", layout, {"seed": 0})
    energies = {"incident_energy": np.geomspace(1e3, 2e3, showers)}
    generation.run(system, model, asked.config, energies, 0, sink, chunk=showers // 2, progress=False)
    if jax.process_index() == 0:
        for name, arrays in (("begun", begun), ("done", named(trainer.state.params))):
            np.savez(out / f"{name}.npz", **arrays)
        (out / "rates.json").write_text(json.dumps(rates))
    if int(processes) > 1:
        jax.distributed.shutdown()


def named(params: Any) -> dict[str, Any]:
    """The arrays of a tree by their paths."""
    return {jax.tree_util.keystr(path): np.array(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


if __name__ == "__main__":
    main(*sys.argv[1:])
