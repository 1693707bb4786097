"""Before any metric: what is in a set of showers, and what is wrong with it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calojax import geometry as geometries
from calojax.errors import InputError
from calojax.evaluation.sources import Advance, Block, Source, blocks
from calojax.evaluation.sparse import Builder, Sparse

_SAID = {
    "not_finite": "have values that are not finite and are left out",
    "negative": "have negative voxels, which count as empty",
    "empty": "have no hits",
    "duplicate": "are copies of earlier ones",
    "copied": "are copies of training showers",
    "copied_reference": "are copies of reference showers",
}


@dataclass(frozen=True)
class Inspection:
    """One pass over a set: counts of showers with each defect, incident energies (N,) MeV, largest voxel in MeV.

    n_empty: finite showers without hits; n_duplicate: showers with the same hits as an earlier one; n_copied,
    n_copied_reference: with those of a training or reference shower, None if they were not compared. Showers without
    hits are no copies.
    """

    incident_energy: np.ndarray
    maximum: float
    n_not_finite: int
    n_negative: int
    n_empty: int
    n_duplicate: int
    n_copied: int | None = None
    n_copied_reference: int | None = None

    def __len__(self) -> int:
        return len(self.incident_energy)


def inspect(source: Source, geometry: Any, *, name: str = "showers") -> Inspection:
    """Inspection of a file or of (incident_energy, showers), whatever its cells hold."""
    return read(source, geometry, name=name, any_values=True)[1]


def read(
    source: Source, geometry: Any, *, name: str, any_values: bool = False, advance: Advance | None = None
) -> tuple[Sparse, Inspection]:
    """The finite showers of a source, voxels below threshold left out, and what is wrong with the source; in one pass.

    any_values: negative and not finite ones in a file are counted, not refused. advance(n): called after every block of
    n showers. Energies become float32, whatever they were. Raises InputError if no shower is finite.
    """
    geometry = geometries.load(geometry)
    found, inspector = Builder(geometry.n_cells, geometry.threshold), _Inspector()
    for block in blocks(source, geometry, name=name, any_values=any_values):
        found.add(block)
        inspector.add(block)
        if advance is not None:
            advance(len(block.showers))
    showers = found.done()
    if len(showers) == 0:
        where = f"{source}, showers" if isinstance(source, (str, Path)) else f"{name}, showers"
        raise InputError(
            where=where,
            found="every shower has values that are not finite",
            rule="there must be something to compare",
            remedy="mend what made them",
        )
    return showers, inspector.done(showers)


def copies(showers: Sparse, others: Sparse) -> np.ndarray:
    """Which showers (N,) have the same hits as one of the others; those without hits do not count."""
    marks = showers.fingerprints
    return (marks != 0) & np.isin(marks, others.fingerprints)


class _Inspector:
    """Counts, block after block."""

    def __init__(self):
        self._energies: list[np.ndarray] = []
        self._maximum = 0.0
        self._counts = Counter()

    def add(self, block: Block) -> None:
        self._energies.append(block.incident_energy)
        finite = np.isfinite(block.showers).all(axis=1)
        low, high = block.showers.min(axis=1), block.showers.max(axis=1)
        self._maximum = max(self._maximum, float(high[finite].max(initial=0.0)))
        self._counts.update(n_not_finite=int((~finite).sum()), n_negative=int((low < 0).sum()))

    def done(self, showers: Sparse) -> Inspection:
        marks = showers.fingerprints
        marks = marks[marks != 0]
        return Inspection(
            np.concatenate(self._energies),
            self._maximum,
            n_empty=len(showers) - len(marks),
            n_duplicate=len(marks) - len(np.unique(marks)),
            **self._counts,
        )


def counts(found: Inspection) -> dict[str, int]:
    """The defects as metrics.json names them, each with its number of showers; 0 where there are none."""
    table = {"read": len(found)} | {name: getattr(found, f"n_{name}") for name in _SAID}
    return {name: n for name, n in table.items() if n is not None}


def complaints(found: Inspection, name: str) -> list[str]:
    """One sentence for each defect of a set called `name`."""
    number = counts(found)
    return [f"{number[key]} of {len(found)} {name} showers {what}" for key, what in _SAID.items() if number.get(key)]


def spectrum_complaints(reference: np.ndarray, other: np.ndarray, name: str, meaning: str) -> list[str]:
    """A sentence if incident energies (N,) and (M,) differ: two-sample Kolmogorov-Smirnov test at 0.1 %.

    name: of the other showers; meaning: what follows for a reader.

    Asymptotic p-value; conservative for discrete energies. A factor of about 1000 is said to be one of units.
    """
    factor = float(np.median(other) / np.median(reference))
    if 300 < max(factor, 1 / factor) < 3000:
        larger, smaller = (name, "reference") if factor > 1 else ("reference", name)
        return [
            f"the incident energies of the {larger} showers are {max(factor, 1 / factor):,.0f} times those of the "
            f"{smaller} ones (medians): both must be in MeV"
        ]
    distance, p_value = kolmogorov_smirnov(reference, other)
    if p_value > 1e-3:
        return []
    return [
        f"the incident energies of the {name} showers differ from those of the reference (Kolmogorov-Smirnov distance "
        f"{distance:.3f}, p = {p_value:.1e}): {meaning}"
    ]


def kolmogorov_smirnov(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Largest distance of the two distribution functions, and its asymptotic p-value."""
    from scipy.special import kolmogorov  # noqa: PLC0415

    x, y = np.sort(x), np.sort(y)
    points = np.concatenate([x, y])
    below = [np.searchsorted(sample, points, side="right") / len(sample) for sample in (x, y)]
    distance = float(np.abs(below[0] - below[1]).max())
    return distance, float(kolmogorov(distance * np.sqrt(len(x) * len(y) / (len(x) + len(y)))))
