"""What a classifier sees of a shower; made dense for the rows of a batch only.

    low, cnn     log10 E_inc; E_voxel / E_inc
    low_normed   log10 E_inc; E_voxel / (E_layer + 1e-16); log10(E_layer + 1e-8) per layer
    high         the feature vector of `features.of_moments`

E in MeV; voxels below the threshold count as 0. Source: CaloChallenge/homepage, code/evaluate.py, which does not apply
the threshold to the voxels of low_normed.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calojax.errors import InputError
from calojax.evaluation import features
from calojax.evaluation.classifiers import networks
from calojax.evaluation.classifiers.networks import Network
from calojax.evaluation.features import Moments
from calojax.evaluation.sparse import Sparse
from calojax.geometry import Cylinder

KINDS = ("low", "low_normed", "high", "cnn")
_ROWS = 1024


class Inputs(NamedTuple):
    """Inputs of N showers: how many, and `rows(rows (n,)) -> (n, F)` of some of them."""

    n: int
    rows: Callable[[np.ndarray], np.ndarray]


def possible(kind: str, geometry: Any) -> bool:
    """Whether a classifier can see showers of the geometry: the cnn needs a cylinder, its layers binned alike."""
    if kind != "cnn":
        return True
    return isinstance(geometry, Cylinder) and len({(x.n_alpha, x.n_rings) for x in geometry.layers}) == 1


def network(kind: str, geometry: Any, dtype: Any) -> Network:
    """The protocol's network for a kind of inputs."""
    if kind not in KINDS or not possible(kind, geometry):
        raise InputError(
            where=f"classifier {kind}",
            found=f"cannot see showers of {geometry.name}",
            rule=f"there are {', '.join(KINDS)}, and cnn needs a cylinder with layers that are binned alike",
            remedy="choose another",
        )
    if kind == "cnn":
        from calojax.evaluation.classifiers import resnet  # noqa: PLC0415  (imports this package's networks)

        layer = geometry.layers[0]
        return resnet.resnet((geometry.n_layers, layer.n_alpha, layer.n_rings), dtype=dtype)
    return networks.dense(width(kind, geometry), dtype=dtype)


def width(kind: str, geometry: Any) -> int:
    """F, how many numbers a classifier sees of a shower."""
    if kind == "high":
        return len(features.feature_names(geometry))
    return 1 + geometry.n_cells + (geometry.n_layers if kind == "low_normed" else 0)


def of_showers(showers: Sparse, geometry: Any, kind: str, dtype: Any) -> Inputs:
    """Inputs of sparse showers, of the given floating type."""
    if kind == "high":
        return of_array(high(showers, geometry), dtype)
    make = low_normed if kind == "low_normed" else low
    return Inputs(len(showers), lambda rows: make(showers, rows, geometry, dtype))


def of_array(values: np.ndarray, dtype: Any) -> Inputs:
    """Inputs that are there already, (N, F)."""
    values = np.asarray(values, dtype)
    return Inputs(len(values), lambda rows: values[rows])


def stacked(parts: Sequence[Inputs]) -> Inputs:
    """Several sets as one, their rows counted through."""
    ends = np.cumsum([part.n for part in parts])

    def rows(wanted):
        which = np.searchsorted(ends, wanted, side="right")
        found = [part.rows(wanted[which == i] - (ends[i] - part.n)) for i, part in enumerate(parts)]
        return np.concatenate(found)[np.argsort(np.argsort(which, kind="stable"))]

    return Inputs(int(ends[-1]), rows)


def low(showers: Sparse, rows: np.ndarray, geometry: Any, dtype: Any) -> np.ndarray:
    """(n, 1 + V) of the given rows (n,)."""
    incident = showers.incident_energy[rows, None]
    x = np.empty((len(rows), 1 + showers.n_cells), dtype)
    x[:, :1] = np.log10(incident)
    np.divide(showers.dense(rows), incident.astype(dtype), out=x[:, 1:])
    return x


def low_normed(showers: Sparse, rows: np.ndarray, geometry: Any, dtype: Any) -> np.ndarray:
    """(n, 1 + V + L) of the given rows (n,)."""
    voxels = showers.dense(rows).astype(dtype, copy=False)
    layers = np.add.reduceat(voxels, geometry.layer_offsets[:-1], axis=1, dtype=np.float64)
    voxels = voxels / np.repeat((layers + 1e-16).astype(dtype), np.diff(geometry.layer_offsets), axis=1)
    incident = showers.incident_energy[rows, None]
    return np.hstack([np.log10(incident).astype(dtype), voxels, np.log10(layers + 1e-8).astype(dtype)])


def high(showers: Sparse, geometry: Any) -> np.ndarray:
    """(N, F) float64 of all showers."""
    parts = []
    for first in range(0, len(showers), _ROWS):
        last = min(first + _ROWS, len(showers))
        parts.append(features.hit_moments(showers.hits(first, last), last - first, geometry))
    moments = Moments(*(np.concatenate(field) for field in zip(*parts, strict=True)))
    return features.of_moments(moments, showers.incident_energy, geometry)
