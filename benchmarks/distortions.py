"""Which metric of the judge sees which fault: real showers, spoiled in a known way, are judged as generated ones.

    python -m benchmarks.distortions REFERENCE TRAIN [--geometry G] [--showers N] [--out FILE]

REFERENCE and TRAIN are files of one simulation, TRAIN of 3 N showers at least: the first 2 N are the training showers,
every second of which makes the floors, and the next N are spoiled. Printed for each metric: how many standard errors
the spoiled showers are above the floor (of a quantity: away from the reference), of several bins or layers the largest.
What is seen is above 5.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import by_hand
from calojax import evaluation, geometry
from calojax.evaluation import Metrics
from calojax.files import calochallenge
from calojax.geometry import Cylinder

SEEN = 5.0
Distortion = Callable[[np.ndarray, Cylinder, np.random.Generator], np.ndarray]  # showers (N, V) -> (N, V)


def scaled(factor: float) -> Distortion:
    """All energies times a factor."""
    return lambda showers, g, rng: showers * np.float32(factor)


def swapped(showers: np.ndarray, g: Cylinder, rng: np.random.Generator) -> np.ndarray:
    """Two layers of one shape, around the shower maximum, in each other's place."""
    first, second = 2 * g.n_layers // 9, 4 * g.n_layers // 9
    cells = [np.flatnonzero(g.layer == layer) for layer in (first, second)]
    spoiled = showers.copy()
    spoiled[:, cells[0]], spoiled[:, cells[1]] = showers[:, cells[1]], showers[:, cells[0]]
    return spoiled


def shuffled(showers: np.ndarray, g: Cylinder, rng: np.random.Generator) -> np.ndarray:
    """The cells of every ring in another order, in each shower anew."""
    spoiled = showers.copy()
    for layer in range(g.n_layers):
        for ring in range(g.n_rings[layer]):
            cells = np.flatnonzero((g.layer == layer) & (g.ring == ring))
            spoiled[:, cells] = rng.permuted(showers[:, cells], axis=1)
    return spoiled


def dropped(showers: np.ndarray, g: Cylinder, rng: np.random.Generator) -> np.ndarray:
    """5 % of the cells empty."""
    return np.where(rng.random(showers.shape, np.float32) < 0.05, np.float32(0), showers)


def rounded(showers: np.ndarray, g: Cylinder, rng: np.random.Generator) -> np.ndarray:
    """Energies of cells to two significant digits."""
    unit = 10 ** np.floor(np.log10(np.where(showers > 0, showers, 1)) - 1)
    return (np.round(showers / unit) * unit).astype(np.float32)


DISTORTIONS: dict[str, Distortion] = {
    "none": lambda showers, g, rng: showers,
    "energy x 1.01": scaled(1.01),
    "energy x 1.05": scaled(1.05),
    "layers swapped": swapped,
    "alpha shuffled": shuffled,
    "5 % of cells dropped": dropped,
    "rounded to 2 digits": rounded,
}
OF_ROWS = ("each three times", "training showers")  # spoiled by which showers there are

# what is printed together: names start with the first word and end with the second
METRICS = {
    "separation.e_tot": ("separation.e_tot", ""),
    "separation.e_layer.<layer>": ("separation.e_layer.", ""),
    "separation.ec_eta.<layer>": ("separation.ec_eta.", ""),
    "separation.width_eta.<layer>": ("separation.width_eta.", ""),
    "separation.ec_r.<layer>": ("separation.ec_r.", ""),
    "separation.width_r.<layer>": ("separation.width_r.", ""),
    "separation.sparsity.<layer>": ("separation.sparsity.", ""),
    "separation.voxel": ("separation.voxel", ""),
    "separation.n_hits": ("separation.n_hits", ""),
    "wasserstein.e_tot": ("wasserstein.e_tot", ""),
    "wasserstein.e_layer.<layer>": ("wasserstein.e_layer.", ""),
    "response.<bin>.mean": ("response.", ".mean"),
    "response.<bin>.width": ("response.", ".width"),
    "hits.<bin>.mean": ("hits.", ".mean"),
    "hits.<bin>.width": ("hits.", ".width"),
    "correlation.hits.alpha.<bin>": ("correlation.hits.alpha.", ""),
    "correlation.hits.opposite.<bin>": ("correlation.hits.opposite.", ""),
    "correlation.hits.r.<bin>": ("correlation.hits.r.", ""),
    "correlation.hits.z.<bin>": ("correlation.hits.z.", ""),
    "frechet": ("frechet", ""),
    "fpd": ("fpd", ""),
    "kpd": ("kpd", ""),
    "prdc.precision": ("prdc.precision", ""),
    "prdc.recall": ("prdc.recall", ""),
    "prdc.density": ("prdc.density", ""),
    "prdc.coverage": ("prdc.coverage", ""),
    "frobenius.voxel": ("frobenius.voxel", ""),
    "frobenius.occupancy": ("frobenius.occupancy", ""),
    "frobenius.within_layer.<layer>": ("frobenius.within_layer.", ""),
    "frobenius.occupancy_within_layer.<layer>": ("frobenius.occupancy_within_layer.", ""),
    "frobenius.patch_layer": ("frobenius.patch_layer", ""),
    "frobenius.layer": ("frobenius.layer", ""),
    "frobenius.layer_sparsity": ("frobenius.layer_sparsity", ""),
    "classifier.low.auc": ("classifier.low.auc", ""),
    "classifier.high.auc": ("classifier.high.auc", ""),
    "memorisation.share": ("memorisation.share", ""),
}


def sample(
    distortion: str, train: tuple[np.ndarray, np.ndarray], g: Cylinder, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """N spoiled showers of train (3 N,), (3 N, V); those that are training showers make no floor."""
    n = len(train[0]) // 3
    rows = {
        "each three times": 2 * n + np.repeat(np.arange(-(-n // 3)), 3)[:n],
        "training showers": np.arange(1, 2 * n, 2),
    }
    energies, showers = (part[rows.get(distortion, np.arange(2 * n, 3 * n))] for part in train)
    spoil = DISTORTIONS.get(distortion, DISTORTIONS["none"])
    return energies, spoil(showers, g, np.random.default_rng(seed))


def sigmas(metrics: Metrics, name: str) -> float:
    """Standard errors that a metric is above its floor, or away from what it has to be; nan where that is not known."""
    one = metrics[name]
    if "reference" in one.more:
        apart, of_it, floor_error = abs, one.more["reference"], one.more["reference_error"]
    elif name.startswith(("prdc", "memorisation")):
        apart, of_it, floor_error = abs, one.floor, one.more.get("floor_error", 0.0)
    else:
        apart, of_it, floor_error = float, one.floor, one.more.get("floor_error", 0.0)
    if None in (one.value, of_it, one.error, floor_error):
        return np.nan
    excess, error = apart(one.value - of_it), np.hypot(one.error, floor_error)
    return excess / error if error else np.inf * excess if excess else 0.0


def largest(metrics: Metrics) -> dict[str, float]:
    """`sigmas` of each row of the table: of several metrics the largest."""
    found = {}
    for row, (start, end) in METRICS.items():
        several = row != start
        names = [name for name in metrics if name == start or (several and name.startswith(start))]
        names = [name for name in names if name.endswith(end) and not name.endswith((".max", "in_bin"))]
        values = [sigmas(metrics, name) for name in names]
        found[row] = float(np.nanmax(values)) if np.isfinite(values).any() else np.nan
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """Markdown: a row for each metric, a column for each distortion; what is seen is bold."""
    lines = ["| metric | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    for row in METRICS:
        cells = [f"**{x:.1f}**" if (x := one[row]) > SEEN else f"{x:.1f}" for one in found.values()]
        lines.append(f"| `{row}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distortions", description=str(__doc__).splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("--geometry", default="ds2")
    parser.add_argument("--showers", type=int, default=2000, help="in each set; default 2000")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    args = parser.parse_args()
    g, n = geometry.load(args.geometry), args.showers
    reference, train = calochallenge.read(args.reference, g, slice(n)), calochallenge.read(args.train, g, slice(3 * n))
    first, found = (train.incident_energy[: 2 * n], train.showers[: 2 * n]), {}
    for name in (*DISTORTIONS, *OF_ROWS):
        began = time.perf_counter()
        found[name] = largest(
            evaluation.judge(reference, sample(name, train, g), g, train=first, level="standard", progress=False)
        )
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        if args.out:
            args.out.write_text(json.dumps({"showers": n, "sigmas": found}, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    by_hand.call(main)
