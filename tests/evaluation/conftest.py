"""Showers for the judge: a deterministic array with known answers, and a toy calorimeter with real correlations."""

import os
from pathlib import Path

import numpy as np
import pytest

from calojax import geometry
from tests.showers_to_judge import draw, judged, toy

__all__ = ["draw", "judged", "toy"]


@pytest.fixture(scope="session")
def array_k():
    """Showers (n, V) float64, MeV, of any geometry, that the public scripts have been run on.

    u = ((i V + j) 2654435761 mod 2^32)/2^32 of event i and voxel j; the voxel has 1000 w u MeV if u >= 0.9, else 0,
    with w = (1 + a)/((1 + r)(1 + |p - 10|)) of its alpha bin a, ring r and layer p.
    """

    def make(name: str, first: int, stop: int) -> np.ndarray:
        g = geometry.load(name)
        flat = np.arange(first * g.n_cells, stop * g.n_cells, dtype=np.uint64)
        u = (flat * np.uint64(2654435761) % np.uint64(2**32)).reshape(-1, g.n_cells) / 2.0**32
        w = (1 + g.alpha) / ((1 + g.ring) * (1 + np.abs(g.layer - 10)))
        return np.where(u >= 0.9, 1000 * w * u, 0.0)

    return make


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the large files; tests are skipped without them."""
    repository = Path(__file__).parents[2]
    folder = Path(os.environ.get("CALOJAX_DATA", repository.parent / "shared" / "data")) / "showers"
    if not (folder / "egs_ds2_val.hdf5").exists():
        pytest.skip(f"needs the files of {folder}; CALOJAX_DATA names another folder")
    return folder
