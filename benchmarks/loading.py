"""Rows that the loader delivers per second, beside what the machine copies in memory and reads from the same files.

    python -m benchmarks.loading SHARDS [--batch N] [--tile N] [--repeats N] [--out FILE]

Each turn measures all three one after another, files in the cache of the system, so that ratios compare like with like.
The loader shuffles; whoever takes its batches does nothing else, so that its thread is what is timed.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from calojax import __version__
from calojax.shards import Loader, Shards

REPEATS = 15
COPIED = 256 << 20  # bytes; more than caches hold
BLOCK = 1 << 20


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


def loading(shards: Shards, batch: int, tile: int, epoch: int) -> tuple[float, float]:
    """Rows and bytes of batches, padding included, per second of an epoch; starting the thread is part of it."""
    rows, size = 0.0, 0
    began = time.perf_counter()
    with Loader(shards, batch=batch, tile=tile, position=(epoch, 0), epochs=1) as loader:
        for found in loader:
            rows += found["weight"].sum()
            size += sum(array.nbytes for array in found.values())
    seconds = time.perf_counter() - began
    return rows / seconds, size / seconds


def spread(values: list[float] | np.ndarray) -> dict[str, float]:
    return {"median": float(np.median(values)), "least": float(np.min(values)), "most": float(np.max(values))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path, help="a folder made by `calojax prepare`")
    parser.add_argument("--batch", type=int, default=128, help="rows of a batch; default 128")
    parser.add_argument("--tile", type=int, default=64, help="rows of a tile; default 64")
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"turns; default {REPEATS}")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    shards = Shards(args.shards)
    buffers = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    turns = []
    for epoch in range(args.repeats + 1):  # the first is not counted
        turns.append((copying(buffers), reading(shards), *loading(shards, args.batch, args.tile, epoch)))
    copied, read, rows, delivered = np.array(turns[1:]).T
    result = {
        "calojax": __version__,
        "machine": platform.processor() or platform.machine(),
        "rows": shards.rows,
        "shards": len(shards.manifest.parts),
        "batch": args.batch,
        "tile": args.tile,
        "repeats": args.repeats,
        "rows_per_second": spread(rows),
        "delivered_gb_per_second": spread(delivered / 1e9),
        "copy_gb_per_second": spread(copied / 1e9),
        "read_gb_per_second": spread(read / 1e9),
        "delivered_over_copy": spread(delivered / copied),
        "delivered_over_read": spread(delivered / read),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
