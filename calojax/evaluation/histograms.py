"""The protocol's histograms: which values, which bins, counts per block of showers.

Bins of the CaloChallenge (code/evaluate_plotting_helper.py). Logarithmic bins go from the threshold to the largest
value of the reference; differs from the source in that this largest value is always inside (there, rounding decides).
For geometries outside the challenge the bins of dataset 2 are scaled, layer by layer, with the radius. Crystals see
nearly all energy, so that E_tot/E_inc lies within a few percent: its bins follow from the reference there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from calojax.evaluation import features
from calojax.evaluation.energy import Energies
from calojax.evaluation.features import Moments
from calojax.evaluation.jackknife import BLOCKS
from calojax.geometry import Grid, known_as

FAMILIES = ("e_tot", "e_layer", "ec_eta", "ec_phi", "width_eta", "width_phi", "ec_r", "width_r", "sparsity")
UNITS = {"e_tot": "", "e_layer": "MeV", "sparsity": "", "voxel": "MeV"}  # all others mm
_RADIUS = 41.85  # mm, dataset 2
_DS2 = (30.0, 30.0, 42.0, 20.0)  # upper ends in mm: |EC_eta|, width_eta, EC_r, width_r; dataset 3 has the same
_DS1 = ((100.0, 100.0, 500.0, 500.0), (500.0, 400.0, 1500.0, 1500.0))  # layers 0 to 3; ids 12 and above

_NARROW_FROM = 2.0**12  # MeV, the fifth energy of data set 1


@dataclass(frozen=True)
class Family:
    """C histograms of one kind: layers (C,) positions (-1: whole shower), edges (C, B + 1)."""

    name: str
    layers: np.ndarray
    edges: np.ndarray
    unit: str
    logarithmic: bool = False


def families(moments: Moments, incident_energy: np.ndarray, geometry: Any) -> dict[str, Family]:
    """The nine feature families with the bins that follow from the reference: moments of (N, L), energies (N,), MeV."""
    every, binned = np.arange(geometry.n_layers), features.alpha_layers(geometry)
    whole = np.array([-1])
    ends = (0.5, 1.5)
    if isinstance(geometry, Grid):
        ratio = values("e_tot", moments, incident_energy, whole)
        mean, half = float(ratio.mean()), 5 * max(float(ratio.std()), 1e-3)
        ends = (mean - half, mean + half)
    made = {"e_tot": Family("e_tot", whole, np.linspace(ends[0], ends[1], 101)[None], "")}
    top = moments.energy.max(axis=0, initial=0.0)
    edges = np.stack([log_edges(geometry.threshold, value, 39) for value in top])
    made["e_layer"] = Family("e_layer", every, edges, "MeV", logarithmic=True)
    sizes = np.array(_sizes(geometry))
    for column, names, layers, low in (
        (0, ("ec_eta", "ec_phi"), binned, -1.0),
        (1, ("width_eta", "width_phi"), binned, 0.0),
        (2, ("ec_r",), every, 0.0),
        (3, ("width_r",), every, 0.0),
    ):
        for name in names:
            edges = np.stack([np.linspace(low * size, size, 101) for size in sizes[layers, column]] or [np.empty(101)])
            made[name] = Family(name, layers, edges[: len(layers)], "mm")
    made["sparsity"] = Family("sparsity", every, np.tile(np.linspace(0, 1, 21), (len(every), 1)), "")
    return {name: made[name] for name in FAMILIES}


def edges_in_bin(family: Family, bins: Energies, b: int, geometry: Any) -> np.ndarray:
    """Edges (C, B + 1) of a family in one bin of energy; of E_tot/E_inc at each energy of data set 1 the protocol's."""
    name = known_as(geometry) if bins.lines and family.name == "e_tot" else None
    if name not in ("ds1-photons", "ds1-pions"):
        return family.edges
    narrow = name == "ds1-photons" and bins.edges[b + 1] > _NARROW_FROM
    return np.linspace(*((0.9, 1.1) if narrow else (0.4, 1.4)), 21)[None]


def values(family: str, moments: Moments, incident_energy: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """What a family histograms: (N, C) float64."""
    if family == "e_tot":
        return (moments.energy.sum(axis=1) / incident_energy)[:, None]
    return getattr(moments, "energy" if family == "e_layer" else family)[:, layers]


def counts(values: np.ndarray, edges: np.ndarray, n_blocks: int = BLOCKS) -> np.ndarray:
    """Histograms per block of showers: values (N, C), edges (C, B + 1) -> (K, C, B + 2) int64.

    The first and last count are what lies below and above the range; the last bin contains its upper edge.
    """
    n_rows, n_columns = values.shape
    n_bins = edges.shape[1] - 1
    block = np.arange(n_rows) % n_blocks * (n_bins + 2)
    result = np.zeros((n_blocks, n_columns, n_bins + 2), np.int64)
    for column in range(n_columns):
        bins = place(values[:, column], edges[column])
        flat = np.bincount(block + bins, minlength=n_blocks * (n_bins + 2))
        result[:, column] = flat.reshape(n_blocks, n_bins + 2)
    return result


def place(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each value: 0 below the range, 1..B inside, B + 1 above (or nan)."""
    bins = np.searchsorted(edges, values, side="right")
    return np.where(values == edges[-1], len(edges) - 1, bins)


def log_edges(low: float, high: float, n_bins: int) -> np.ndarray:
    """n_bins + 1 edges, equal in log10, from the threshold to the largest value of the reference.

    Without a threshold they span six decades; without a value above it, one.
    """
    low = low if low > 0 else max(high * 1e-6, 1e-12)
    high = high if high > low else 10 * low
    edges = np.logspace(np.log10(low), np.log10(high), n_bins + 1)
    edges[0], edges[-1] = min(edges[0], features.cut(low)), max(edges[-1], high)
    return edges


def _sizes(geometry: Any) -> list[tuple[float, ...]]:
    """Upper ends of |EC_eta|, width_eta, EC_r and width_r of each layer, mm."""
    if isinstance(geometry, Grid):
        reaches = [geometry.reach]
    elif known_as(geometry) in ("ds1-photons", "ds1-pions"):
        return [_DS1[layer.id >= 12] for layer in geometry.layers]
    else:
        reaches = [layer.r_edges[-1] for layer in geometry.layers]
    return [tuple(reach / _RADIUS * size for size in _DS2) for reach in reaches]


def edges_of(values: np.ndarray, bins: int) -> np.ndarray:
    """(B + 1,) edges of equal bins from the smallest to the largest value (N,); 0 to 1 without any."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    return np.linspace(low, high if high > low else low + 1.0, bins + 1)


def between_extremes(reference: np.ndarray, other: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts (K, B) per block of showers of reference (N,) and other (M,), in equal bins between the extremes of the
    reference; what lies beyond is in the last ones."""
    edges = edges_of(reference, bins)
    first, second = (counts(np.clip(x, edges[0], edges[-1])[:, None], edges[None]) for x in (reference, other))
    return first[:, 0, 1:-1], second[:, 0, 1:-1]
