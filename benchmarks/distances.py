"""How much faster FPD, KPD and PRDC are than in the packages that define them, on the same arrays, and how far apart.

In the suite: deterministic arrays, as many columns as data set 2 has features (FPD, KPD) and cells (PRDC). Of showers:

    OMP_NUM_THREADS=1 python -m benchmarks.distances FILE [FILE...] [--rows N] [--peers PYTHON] [--out FILE]

takes files of data set 2, every second shower as generated: FPD and KPD of their features, PRDC of their voxels. Draws
are those of the protocol; of fewer than 10,000 rows n in each set, n to 5 n (FPD) and n (KPD).
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import by_hand, measuring
from benchmarks.peers import asking
from benchmarks.peers.asking import OURS
from benchmarks.running import Options
from calojax import evaluation, geometry
from calojax.evaluation import inspection, neighbours
from calojax.evaluation.features import hit_moments, of_moments
from calojax.evaluation.sparse import Sparse

LIBRARIES = {"jetnet": "benchmarks.peers.judges:Jetnet", "prdc": "benchmarks.peers.judges:Prdc"}
FEATURES, CELLS = 362, 6_480  # columns of data set 2
ROWS, NEIGHBOURS = 20_000, 5_000  # of each deterministic array, for the distances and for PRDC
NEAREST = 5
_SHORT = 600
_FAR = {"fpd": 1e-3, "kpd": 1e-2, "prdc": 1e-6}  # KPD is a small difference of large sums

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # what is judged by FPD and KPD, and by PRDC: reference and generated


def run(options: Options) -> dict[str, Any]:
    """Rows fpd/LIBRARY, kpd/LIBRARY and prdc/LIBRARY in s, and /times-LIBRARY: its time over ours."""
    rows, near = (_SHORT, _SHORT) if options.short else (ROWS, NEIGHBOURS)
    pair = lambda n, columns: (uniform(n, columns), uniform(n, columns, n) ** 1.1)
    voxels = [one.astype(np.float32) for one in pair(near, CELLS)]
    return judged({"features": pair(rows, FEATURES), "voxels": (voxels[0], voxels[1])}, options)


def judged(arrays: Arrays, options: Options) -> dict[str, Any]:
    """Results and what is left out, for these arrays."""
    x, y = arrays["features"]
    n = min(len(x), len(y))
    of_fpd = {"min_samples": min(10_000, n), "max_samples": min(50_000, 5 * n)}
    of_kpd = {"batch_size": min(10_000, n)}
    tasks: list[tuple[str, str, str, Callable[[], tuple], dict[str, int]]] = [
        ("fpd", "jetnet", "features", lambda: evaluation.fpd(x, y, **of_fpd), of_fpd),
        ("kpd", "jetnet", "features", lambda: evaluation.kpd(x, y, **of_kpd), of_kpd),
        ("prdc", "prdc", "voxels", lambda: evaluation.prdc(*arrays["voxels"], NEAREST), {"nearest_k": NEAREST}),
    ]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, asking.all_running(LIBRARIES, options.peers) as (peers, left_out):
        for name, both in arrays.items():
            np.savez(Path(folder, f"{name}.npz"), reference=both[0], generated=both[1])
        for do, library, kind, ours, settings in tasks:
            size = {"rows": list(map(len, arrays[kind])), "columns": arrays[kind][0].shape[1]} | settings
            theirs = None
            if peer := peers.get(library):
                theirs = partial(peer.ask, do, arrays=str(Path(folder, f"{kind}.npz")), **settings)
            found, why = compared(do, ours, theirs, library, options)
            results |= {f"{do}/{name}": row | {"size": size} for name, row in found.items()}
            left_out |= {f"{do}/{library}": why} if why else {}
    return {"results": results, "left_out": left_out}


def compared(
    do: str, ours: Callable[[], tuple], theirs: Callable[[], dict[str, Any]] | None, library: str, options: Options
) -> tuple[dict[str, Any], str]:
    """Rows by library, and why the other one is left out. Raises ValueError if its values are others than ours.

    Ours in every round, theirs once.
    """
    values: list[tuple] = []
    turn = partial(measuring.turn, lambda: values.append(ours()), 0.0)
    found = measuring.in_turns({OURS: turn}, options.rounds)[OURS]
    rows = {OURS: measuring.timed(found, "one", "s", 1.0) | {"found": list(map(float, values[0]))}}
    if theirs is None:
        return rows, ""
    try:
        answer = theirs()
    except asking.PeerFailed as failure:
        return rows, str(failure)
    apart = float(np.max(np.abs(np.array(values[0]) - answer["value"]) / np.abs(answer["value"])))
    if not apart < _FAR[do]:
        raise ValueError(f"{do} is {values[0]}, {library} finds {answer['value']}")
    once = measuring.Timing(measuring.spread([answer["wall"]]), measuring.spread([answer["cpu"]]))
    rows[library] = measuring.timed(once, "one", "s", 1.0) | {"found": answer["value"]}
    ratio = measuring.spread(answer["cpu"] / own for own in found.cpu.rounds)
    more = {"checked": {"largest_relative_difference": apart}}
    return rows | {f"times-{library}": measuring.row(ratio, "x", "more", **more)}, ""


def uniform(n: int, columns: int, offset: int = 0) -> np.ndarray:
    """(n, columns) float64 in [0, 1): the hash of a counter, the same everywhere."""
    counter = np.arange(offset * columns, (n + offset) * columns, dtype=np.uint64).reshape(n, columns)
    x = counter * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def of_files(files: list[Path], rows: int) -> Arrays:
    """Of the first 2 `rows` showers of files of data set 2, or all: the even ones and the odd ones."""
    g = geometry.load("ds2")
    parts = [inspection.read(file, g, name=str(file))[0] for file in files]
    offsets = np.cumsum(np.concatenate([[0], *(np.diff(one.offsets) for one in parts)]))
    incident, numbers, cell, energy = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("incident_energy", "rows", "cell", "energy")
    )
    whole = Sparse(incident, numbers, offsets, cell, energy, g.n_cells)
    rows = min(rows, len(whole) // 2)
    even, odd = (whole.take(np.arange(first, 2 * rows, 2)) for first in (0, 1))
    features = lambda one: of_moments(hit_moments(one.hits(0, len(one)), len(one), g), one.incident_energy, g)
    voxels = lambda one: neighbours.log_voxels(one, np.arange(min(10_000, len(one))))
    return {"features": (features(even), features(odd)), "voxels": (voxels(even), voxels(odd))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distances", description=str(__doc__).splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="files of data set 2")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of each set, at most; default {ROWS:,}")
    parser.add_argument("--peers", metavar="PYTHON", help="of the packages to compare with; default calojax only")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    found = judged(of_files(args.files, args.rows), Options(rounds=3, peers=args.peers))
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    by_hand.call(main)
