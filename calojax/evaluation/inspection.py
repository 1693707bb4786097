"""Before any metric: what is in a set of showers, and what is wrong with it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from calojax.evaluation.sources import Advance, Block, Source, blocks
from calojax.evaluation.sparse import Builder, Sparse


@dataclass(frozen=True)
class Inspection:
    """One pass over a set: counts of showers with each defect, incident energies (N,) MeV, largest voxel in MeV."""

    incident_energy: np.ndarray
    maximum: float
    n_not_finite: int
    n_negative: int
    n_duplicate: int
    n_empty: int

    def __len__(self) -> int:
        return len(self.incident_energy)


def inspect(source: Source, geometry: Any, *, name: str = "showers") -> Inspection:
    """Inspection of a file or of (incident_energy, showers)."""
    inspector = _Inspector()
    for block in blocks(source, geometry, name=name):
        inspector.add(block)
    return inspector.done()


def read(source: Source, geometry: Any, *, name: str, advance: Advance | None = None) -> tuple[Sparse, Inspection]:
    """The finite showers of a source, voxels below threshold left out, and what is wrong with the source; in one pass.

    advance(n): called after every block of n showers. Energies become float32, whatever they were.
    """
    found, inspector = Builder(geometry.n_cells, geometry.threshold), _Inspector()
    for block in blocks(source, geometry, name=name):
        found.add(block)
        inspector.add(block)
        if advance is not None:
            advance(len(block.showers))
    return found.done(), inspector.done()


class _Inspector:
    """Counts, block after block."""

    def __init__(self):
        self._energies: list[np.ndarray] = []
        self._seen: set[int] = set()
        self._maximum = 0.0
        self._counts = Counter()

    def add(self, block: Block) -> None:
        self._energies.append(block.incident_energy)
        finite = np.isfinite(block.showers).all(axis=1)
        low, high = block.showers.min(axis=1), block.showers.max(axis=1)
        blank = high <= 0
        self._maximum = max(self._maximum, float(high[finite].max(initial=0.0)))
        before = len(self._seen)
        self._seen.update(hash(shower.tobytes()) for shower in block.showers[~blank])
        copies = int((~blank).sum()) - (len(self._seen) - before)
        self._counts.update(
            n_not_finite=int((~finite).sum()),
            n_negative=int((low < 0).sum()),
            n_duplicate=copies,
            n_empty=int(blank.sum()),
        )

    def done(self) -> Inspection:
        return Inspection(np.concatenate(self._energies), self._maximum, **self._counts)


def complaints(found: Inspection, name: str) -> list[str]:
    """One sentence for each defect of a set called `name`."""
    n = len(found)
    said = {
        "have values that are not finite and are left out": found.n_not_finite,
        "have negative voxels, which count as empty": found.n_negative,
        "are copies of earlier ones": found.n_duplicate,
        "have no energy at all": found.n_empty,
    }
    return [f"{count} of {n} {name} showers {what}" for what, count in said.items() if count]


def spectrum_complaint(reference: np.ndarray, generated: np.ndarray) -> str | None:
    """A sentence if incident energies (N,) and (M,) differ: two-sample Kolmogorov-Smirnov test at 0.1 %.

    Asymptotic p-value; conservative for discrete energies. A factor of about 1000 is said to be one of units.
    """
    factor = float(np.median(generated) / np.median(reference))
    if 300 < max(factor, 1 / factor) < 3000:
        larger, smaller = ("generated", "reference") if factor > 1 else ("reference", "generated")
        return (
            f"the incident energies of the {larger} showers are {max(factor, 1 / factor):,.0f} times those of the "
            f"{smaller} ones (medians): both must be in MeV"
        )
    distance, p_value = kolmogorov_smirnov(reference, generated)
    if p_value > 1e-3:
        return None
    return (
        f"the incident energies differ (Kolmogorov-Smirnov distance {distance:.3f}, p = {p_value:.1e}): every metric "
        "that is not at fixed energy compares two spectra as well as two detectors"
    )


def kolmogorov_smirnov(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Largest distance of the two distribution functions, and its asymptotic p-value."""
    from scipy.special import kolmogorov  # noqa: PLC0415

    x, y = np.sort(x), np.sort(y)
    points = np.concatenate([x, y])
    below = [np.searchsorted(sample, points, side="right") / len(sample) for sample in (x, y)]
    distance = float(np.abs(below[0] - below[1]).max())
    return distance, float(kolmogorov(distance * np.sqrt(len(x) * len(y) / (len(x) + len(y)))))
