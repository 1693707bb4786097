"""Whether reading data holds training up: what the loader delivers, beside what the machine copies and reads.

In every round each has its turn, with files in the cache of the system, so that ratios compare like with like. The
loader shuffles; whoever takes its batches does nothing else, so that its thread is what is timed.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measuring, stepping, subject
from benchmarks.running import Options
from calojax import data, experiments, verbs
from calojax import system as systems
from calojax.shards import Loader, Shards
from calojax.shards.batches import Position

COPIED = 256 << 20  # bytes; more than caches hold
BLOCK = 1 << 20
_STEPS = 4  # of training in a round


def run(options: Options) -> dict[str, Any]:
    """Rows of the sample that ships, in the batches of experiments/pyramid/egs_ds2.toml."""
    smaller = ["training.batch=8", "training.tile=8"] if options.short else []
    asked = experiments.read(subject.EXPERIMENT, smaller)
    system = systems.load(asked.system)
    with tempfile.TemporaryDirectory() as folder:
        verbs.prepare(asked.system, data.sample(asked.system), Path(folder) / "shards")
        shards = Shards(Path(folder) / "shards")
        buckets = system.buckets(asked.config, shards.manifest)
        results = rates(shards, asked.config.training, buckets, options)
        with stepping.Trainer(system, asked.config, shards) as trainer:
            results["waiting"] = waiting(trainer, options)
    return {"results": results, "left_out": {}}


def rates(shards: Shards, training: Any, buckets: Any, options: Options) -> dict[str, Any]:
    """Showers and bytes per second that come out of the loader, and its bytes in units of those copied and read."""
    buffers = np.ones(COPIED >> (4 * options.short), np.uint8), np.zeros(COPIED >> (4 * options.short), np.uint8)
    turns = []
    for epoch in range(options.rounds + 1):  # the first is not counted
        until, of_round = time.perf_counter() + options.seconds, []
        while not of_round or time.perf_counter() < until:
            loaded = loading(shards, training.batch, training.tile, epoch, buckets)
            of_round.append((*loaded, copying(buffers), reading(shards)))
        turns.append(np.median(of_round, 0))
    showers, delivered, copied, read = np.array(turns[1:]).T
    row = lambda values, unit, **more: measuring.row(measuring.spread(values), unit, "more", **more)
    size = {"rows": shards.rows, "shards": len(shards.manifest.parts), "batch": training.batch, "tile": training.tile}
    return {
        "delivered": row(showers, "showers/s", size=size, checked={"rows_once_each": True}),
        "delivered_bytes": row(delivered / 1e9, "GB/s"),
        "copied": row(copied / 1e9, "GB/s"),
        "read": row(read / 1e9, "GB/s"),
        "over_copied": row(delivered / copied, "x"),
        "over_read": row(delivered / read, "x"),
    }


def loading(shards: Shards, batch: int, tile: int, epoch: int, buckets: Any = None) -> tuple[float, float]:
    """Rows, and bytes of batches with their padding, per second of an epoch; starting the thread is part of it.

    Raises if the epoch is not every row once.
    """
    found, size = [], 0
    began = time.perf_counter()
    with Loader(shards, batch=batch, tile=tile, buckets=buckets, position=Position(epoch), epochs=1) as loader:
        for taken in loader:
            found.append((taken["weight"], taken["incident_energy"]))
            size += sum(array.nbytes for array in taken.values())
    seconds = time.perf_counter() - began
    rows = sum(weight.sum() for weight, _ in found)
    energies = np.concatenate([energy[weight > 0] for weight, energy in found])
    if not rows == shards.rows == len(np.unique(energies)):
        raise ValueError(f"{rows:,.0f} rows came out, {len(np.unique(energies)):,} of them unlike, of {shards.rows:,}")
    return rows / seconds, size / seconds


def copying(buffers: tuple[np.ndarray, np.ndarray]) -> float:
    """Bytes per second of copying one array to another."""
    began = time.perf_counter()
    np.copyto(*buffers)
    return buffers[0].nbytes / (time.perf_counter() - began)


def reading(shards: Shards) -> float:
    """Bytes per second of reading all files of the shards front to back into one buffer."""
    buffer, size = bytearray(BLOCK), 0
    began = time.perf_counter()
    for name in shards.manifest.files():
        with (shards.folder / name).open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                size += read
    return size / (time.perf_counter() - began)


def waiting(trainer: stepping.Trainer, options: Options) -> dict[str, Any]:
    """Share of the time of training spent waiting for the loader, as `calojax train` logs it."""
    shares, losses = [], []
    for _ in range(options.rounds + 1):  # the first is not counted
        waited, began = trainer.loader.waited, time.perf_counter()
        for _ in range(1 if options.short else _STEPS):
            losses.append(trainer.advance()["loss"].block_until_ready())
        shares.append((trainer.loader.waited - waited) / (time.perf_counter() - began))
    checked = stepping.checked(losses)
    more = {"size": {"steps": len(checked)}, "checked": {"finite": True}}
    return measuring.row(measuring.spread(shares[1:]), "of the time of training", **more)
