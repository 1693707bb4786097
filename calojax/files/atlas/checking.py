"""Whether the three types of a folder are of the same showers: combined, positive and fine.

Their incident energies have to agree to the last bit. Positive voxels are those of combined with the negative ones set
to 0, up to rounding, in some productions and not in others; that, and the energy sums beside each other, is reported.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from calojax.files.atlas import reading, statistics
from calojax.files.atlas.voxels import EventFile
from calojax.files.hdf5 import refused
from calojax.geometry import layered

TOLERANCE = 1e-6  # relative: energies that differ by less are equal but for rounding to float32
_ROWS = 1024


def incident_energies(files: Mapping[str, Path]) -> int:
    """The number of events of all types; InputError names the first event whose incident energy differs."""
    with ExitStack() as stack:
        opened = {kind: stack.enter_context(reading.opened(path)) for kind, path in files.items()}
        first, *others = opened.values()
        for other in others:
            if other.rows != first.rows:
                rule = f"{first.path} has {first.rows:,}"
                raise refused(str(other.path), f"has {other.rows:,} events", rule, "give files of the same showers")
            differ = np.flatnonzero(other.energies() != first.energies())
            if len(differ):
                row = slice(int(differ[0]), int(differ[0]) + 1)
                here, there = (file.energies(row)[0] for file in (other, first))
                found = f"the incident energy is {here:.9g} MeV, and {len(differ):,} events differ"
                rule = f"{first.path} has {there:.9g} MeV there"
                raise refused(f"{other.path}, row {row.start}", found, rule, "give files of the same showers")
        return first.rows


def against_clipped(combined: Path, positive: Path, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """How positive voxels differ from those of combined with negative ones set to 0, relative to the larger one."""
    voxels = events = rows = 0
    largest, of_sums = 0.0, []
    with reading.opened(combined) as signed, reading.opened(positive) as other:
        picks = other.picks(signed.geometry)
        mine = signed.picks(signed.geometry)
        for first in range(0, signed.rows, _ROWS):
            part = slice(first, min(first + _ROWS, signed.rows))
            clipped = signed.block(mine, part, "clip", np.float64).showers
            found = other.block(picks, part, "keep", np.float64).showers
            scale = np.maximum(np.abs(clipped), np.abs(found))
            apart = np.abs(clipped - found) / np.where(scale > 0, scale, 1)
            off = apart > tolerance
            voxels += int(np.count_nonzero(off))
            events += int(np.count_nonzero(off.any(axis=1)))
            rows += len(found)
            largest = max(largest, float(apart.max()))
            totals = found.sum(axis=1)
            of_sums.append(np.abs(clipped.sum(axis=1) - totals) / np.where(totals > 0, totals, 1))
    sums = np.concatenate(of_sums)
    return {
        "tolerance": tolerance,
        "agree": voxels == 0,
        "events": rows,
        "events that differ": events,
        "voxels that differ": voxels,
        "largest relative difference of a voxel": largest,
        "relative difference of the sums": {"median": float(np.median(sums)), "largest": float(sums.max())},
    }


def fine_against_combined(fine: Path, combined: Path) -> dict[str, Any]:
    """Per active layer: bins of both, whether each voxel is cut 2 x 2, and how far the fine voxels, added up, are from
    the voxel around them: sum of |differences| over the sum of |energies|."""
    with reading.opened(fine) as small, reading.opened(combined) as large:
        found = {}
        for layer in sorted({*small.layers} & {*large.layers}):
            one, other = (file.geometry.select([layer]) for file in (small, large))
            entry: dict[str, Any] = {"fine": one.layers[0].binning, "combined": other.layers[0].binning}
            around = layered.around(one, other)
            entry["each voxel has four"] = around is not None and bool((np.bincount(around) == 4).all())
            if around is not None:
                entry["relative difference"] = _apart(small, large, around, layer)
            found[str(layer)] = entry
        return found


def energy_sums(found: Mapping[str, statistics.Statistics]) -> dict[str, Any]:
    """Mean and median of the sums of the types beside each other, and how far they are from those of the first."""
    first = next(iter(found.values()))
    beside = {}
    for kind, one in found.items():
        apart = np.abs(one.sums - first.sums) / first.incident
        beside[kind] = {
            "mean (MeV)": float(one.sums.mean()),
            "median (MeV)": float(np.median(one.sums)),
            "mean with negative voxels at 0 (MeV)": float(one.clipped.mean()),
            "over incident energy": float((one.sums / one.incident).mean()),
            "median difference over incident energy": float(np.median(apart)),
            "largest difference over incident energy": float(apart.max()),
        }
    return beside


def _apart(small: EventFile, large: EventFile, around: np.ndarray, layer: int) -> float:
    mine, theirs = (file.picks(file.geometry.select([layer])) for file in (small, large))
    apart = total = 0.0
    for first in range(0, large.rows, _ROWS):
        part = slice(first, min(first + _ROWS, large.rows))
        wanted = large.block(theirs, part, dtype=np.float64).showers
        parts = small.block(mine, part, dtype=np.float64).showers
        added = np.zeros_like(wanted)
        np.add.at(added.T, around, parts.T)
        apart += float(np.abs(added - wanted).sum())
        total += float(np.abs(wanted).sum())
    return apart / total if total else 0.0
