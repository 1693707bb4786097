"""Share of memorised showers: are generated showers nearer to the training showers than fresh ones are?

For a shower x, d(x) is the distance to the nearest training shower whose incident energy is within |d ln E| < 0.05
(the nearest energy if there is none): squared Euclidean, in sqrt(E_cell / E_inc) over all cells. Every reference shower
v is matched with the generated shower g of the nearest incident energy;

    share = P(d(g) < d(v)) + P(d(g) = d(v))/2

0.5 for a generator that neither copies nor misses, 1 for one that returns training showers. Standard error about
0.5/sqrt(number of different g). Matching by energy matters: d depends strongly on it. Showers of poor quality give
other values for their own reason: read it beside the other metrics.
"""

from typing import Any, NamedTuple

import numpy as np

from calojax.evaluation import inspection
from calojax.evaluation.neighbours import squared_distances
from calojax.evaluation.sources import Source
from calojax.evaluation.sparse import Sparse

WINDOW = 0.05  # in ln E
_MOST = 5000  # reference showers looked at
_TOGETHER = 128
_EQUAL = 1e-5  # squared distances this close are equal: float32 rounding


class Memorisation(NamedTuple):
    """share and its error; mean distances of generated and reference showers; how many different g, how many v."""

    share: float
    error: float
    distance_generated: float
    distance_reference: float
    n_generated: int
    n_reference: int


def memorisation_share(reference: Source, generated: Source, train: Source, geometry: Any) -> Memorisation:
    """Share of memorised showers; each set a file or (incident_energy (N,), showers (N, V)) in MeV."""
    named = {"reference": reference, "generated": generated, "train": train}
    return share(*(inspection.read(source, geometry, name=name)[0] for name, source in named.items()))


def share(reference: Sparse, generated: Sparse, train: Sparse, advance: Any = None) -> Memorisation:
    """Share of memorised showers of sparse sets; of a large reference, evenly chosen showers.

    advance(n): called after n of the showers whose distance is looked for, twice `n_compared(reference)` at most.
    """
    chosen = np.linspace(0, len(reference) - 1, min(len(reference), _MOST)).astype(int)
    matched = nearest_energy(generated.incident_energy, reference.incident_energy[chosen])
    different, which = np.unique(matched, return_inverse=True)
    of_reference = nearest_distance(reference, chosen, train, advance)
    of_generated = nearest_distance(generated, different, train, advance)[which]
    nearer, equal = of_generated < of_reference - _EQUAL, np.abs(of_generated - of_reference) <= _EQUAL
    return Memorisation(
        float(np.mean(nearer) + np.mean(equal) / 2),
        float(0.5 / np.sqrt(len(different))),
        float(of_generated.mean()),
        float(of_reference.mean()),
        len(different),
        len(chosen),
    )


def n_compared(reference: int) -> int:
    """How many showers of a reference of this size are looked at."""
    return min(reference, _MOST)


def nearest_energy(energies: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index (n,) into energies (N,) of the one nearest, in ln E, to each wanted energy (n,)."""
    order = np.argsort(energies, kind="stable")
    sorted_logs, logs = np.log(energies[order]), np.log(wanted)
    right = np.clip(np.searchsorted(sorted_logs, logs), 1, max(len(order) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(order) - 1)
    nearer_left = logs - sorted_logs[left] <= sorted_logs[right] - logs
    return order[np.where(nearer_left, left, right)]


def nearest_distance(showers: Sparse, rows: np.ndarray, train: Sparse, advance: Any = None) -> np.ndarray:
    """Squared distance (n,) of each given row to the nearest training shower of like energy."""
    rows_in_order = rows[np.argsort(showers.incident_energy[rows], kind="stable")]
    order = np.argsort(train.incident_energy, kind="stable")
    logs = np.log(train.incident_energy[order])
    wanted = np.log(showers.incident_energy[rows_in_order])
    first, last = np.searchsorted(logs, wanted - WINDOW, "right"), np.searchsorted(logs, wanted + WINDOW, "left")
    position = np.argsort(order)[nearest_energy(train.incident_energy, showers.incident_energy[rows_in_order])]
    alone = first >= last
    first, last = np.where(alone, position, first), np.where(alone, position + 1, last)
    result = np.zeros(len(rows))
    for start in range(0, len(rows), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        low, high = first[part].min(), last[part].max()
        squared = _distances_to(train, order[low:high], _roots(showers, rows_in_order[part]))
        column = np.arange(low, high)
        inside = (column >= first[part, None]) & (column < last[part, None])
        result[part] = np.where(inside, squared, np.inf).min(axis=1)
        if advance is not None:
            advance(len(squared))
    back = np.empty(len(rows))
    back[np.argsort(showers.incident_energy[rows], kind="stable")] = result
    return back


def _roots(showers: Sparse, rows: np.ndarray) -> np.ndarray:
    """sqrt(E_cell / E_inc), (n, V) float32."""
    return np.sqrt(showers.dense(rows) / showers.incident_energy[rows, None].astype(np.float32))


def _distances_to(train: Sparse, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (n, m) of x (n, V) to training showers (m,), 1024 of them at a time."""
    parts = []
    for first in range(0, len(rows), 1024):
        y = _roots(train, rows[first : first + 1024])
        parts.append(squared_distances(x, y))
    return np.concatenate(parts, axis=1)
