"""How much faster FPD, KPD and PRDC are than in the packages that define them, on the same arrays, and how far apart.

    python -m benchmarks.judge [FILE ...] [--rows N] [--alone] [--out FILE]

Without files: FPD and KPD of deterministic arrays with as many columns as data set 2 has features. With FILEs of data
set 2: of the features of their showers, every second one as generated, and PRDC of their voxels. Draws are those of the
protocol; of fewer than 10,000 rows n in each set, n to 5 n (FPD) and n (KPD). One thread on one core. The packages
jetnet and prdc are compared with where they are installed, and never with --alone.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np

from calojax import __version__, evaluation, geometry
from calojax.evaluation import inspection, neighbours
from calojax.evaluation.features import hit_moments, of_moments
from calojax.evaluation.sparse import Sparse

REPEATS = 3  # of ours; the others' once, they take minutes
COLUMNS = 362  # features of data sets 2 and 3
NEIGHBOURS = 10_000  # showers of each set for PRDC, at most


def uniform(n: int, offset: int = 0) -> np.ndarray:
    """(n, COLUMNS) float64 in [0, 1): the hash of a counter, the same everywhere."""
    counter = np.arange(offset * COLUMNS, (n + offset) * COLUMNS, dtype=np.uint64).reshape(n, COLUMNS)
    x = counter * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def halves(files: list[Path], rows: int) -> list[Sparse]:
    """The first 2 `rows` showers of files of data set 2, or all: the even ones and the odd ones."""
    g = geometry.load("ds2")
    parts = [inspection.read(file, g, name=str(file))[0] for file in files]
    offsets = np.cumsum(np.concatenate([[0], *(np.diff(one.offsets) for one in parts)]))
    incident, numbers, cell, energy = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("incident_energy", "rows", "cell", "energy")
    )
    whole = Sparse(incident, numbers, offsets, cell, energy, g.n_cells)
    rows = min(rows, len(whole) // 2)
    return [whole.take(np.arange(first, 2 * rows, 2)) for first in (0, 1)]


def features(showers: Sparse) -> np.ndarray:
    """(N, COLUMNS) float64."""
    g = geometry.load("ds2")
    return of_moments(hit_moments(showers.hits(0, len(showers)), len(showers), g), showers.incident_energy, g)


def timed(call: Callable[[], tuple], repeats: int = 1) -> dict[str, Any]:
    """What it gives, and the least seconds of CPU and wall that it takes, with the most where there are several."""
    seconds = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        value = call()
        seconds.append((time.process_time() - cpu, time.perf_counter() - wall))
    (cpu, wall), (cpu_most, wall_most) = np.min(seconds, axis=0), np.max(seconds, axis=0)
    found = {"value": [float(x) for x in value], "cpu_s": cpu, "wall_s": wall}
    return found | ({"cpu_most_s": cpu_most, "wall_most_s": wall_most} if repeats > 1 else {})


def package(name: str, module: str) -> Any:
    """A module of a package to compare with; None, and said, where it cannot be imported."""
    try:
        return import_module(module)
    except ImportError as error:
        print(f"not compared with {name}: {error}", flush=True)
        return None


def compared(ours: Callable[[], tuple], theirs: Callable[[], tuple] | None) -> dict[str, Any]:
    """Times and values of ours, and of theirs where there is such a thing, with the ratios."""
    found: dict[str, Any] = {"calojax": timed(ours, REPEATS)}
    if theirs is not None:
        found["other"] = timed(theirs)
        found |= {
            f"{kind}_ratio": found["other"][f"{kind}_s"] / found["calojax"][f"{kind}_s"] for kind in ("cpu", "wall")
        }
        a, b = (np.array(found[who]["value"]) for who in ("calojax", "other"))
        found["largest_relative_difference"] = float(np.max(np.abs(a - b) / np.abs(b)))
    print(json.dumps(found, indent=1), flush=True)
    return found


def distances(x: np.ndarray, y: np.ndarray, jetnet: Any) -> dict[str, Any]:
    """FPD and KPD of features (N, D) and (M, D); and the ratios of both together."""
    n = min(len(x), len(y))
    sizes = {"min_samples": min(10_000, n), "max_samples": min(50_000, 5 * n)}
    batch = {"batch_size": min(10_000, n)}
    found: dict[str, Any] = {
        "rows": [len(x), len(y)],
        "columns": x.shape[1],
        **sizes,
        **batch,
        "fpd": compared(lambda: evaluation.fpd(x, y, **sizes), jetnet and (lambda: jetnet.fpd(x, y, **sizes))),
        "kpd": compared(lambda: evaluation.kpd(x, y, **batch), jetnet and (lambda: jetnet.kpd(x, y, **batch))),
    }
    if jetnet:
        for kind in ("cpu", "wall"):
            theirs, ours = (sum(found[of][who][f"{kind}_s"] for of in ("fpd", "kpd")) for who in ("other", "calojax"))
            found[f"{kind}_ratio"] = theirs / ours
    return found


def nearest(both: list[Sparse], prdc: Any) -> dict[str, Any]:
    """Precision, recall, density and coverage of log voxels (N, V) float32."""
    rows = np.arange(min(NEIGHBOURS, *map(len, both)))
    real, fake = (neighbours.log_voxels(one, rows) for one in both)
    theirs = prdc and (lambda: tuple(prdc.compute_prdc(real, fake, nearest_k=5).values()))
    return {"rows": len(rows), "columns": real.shape[1]} | compared(lambda: evaluation.prdc(real, fake), theirs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=str(__doc__).splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="files of data set 2; default: deterministic arrays")
    parser.add_argument("--rows", type=int, default=20_000, help="of each set, at most; default 20,000")
    parser.add_argument("--alone", action="store_true", help="calojax only")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    jetnet = None if args.alone else package("jetnet", "jetnet.evaluation.gen_metrics")
    prdc = None if args.alone or not args.files else package("prdc", "prdc")
    names = ["numpy", "scipy", *(["jetnet"] if jetnet else []), *(["prdc"] if prdc else [])]
    result: dict[str, Any] = {
        "calojax": __version__,
        "versions": {name: metadata.version(name) for name in names},
        "machine": platform.processor() or platform.machine(),
        "threads": 1,
        "repeats_of_calojax": REPEATS,
    }
    if args.files:
        both = halves(args.files, args.rows)
        x, y = map(features, both)
        result |= {"showers": [path.name for path in args.files], "distances": distances(x, y, jetnet)}
        result["prdc"] = nearest(both, prdc)
    else:
        x, y = uniform(args.rows), uniform(args.rows, args.rows) ** 1.1
        result |= {"arrays": "uniform, generated to the power 1.1", "distances": distances(x, y, jetnet)}
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
