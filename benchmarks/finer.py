"""Showers of data set 2 in the cells of data set 3: a toy, made for time and memory only. It is not physics.

Every voxel falls into lumps of about LUMP MeV that lie at random in it, evenly in radius and angle, and each goes to
the finer cell that it lies in. So a layer keeps its energy, a voxel of little energy stays one hit, and one of much
becomes all the finer cells it covers, as where particles are counted by ever smaller cells; but within a voxel nothing
knows of the shower's axis. The same sample gives the same file.
"""

from pathlib import Path

import numpy as np

from calojax import geometry
from calojax.files import calochallenge
from calojax.geometry import Cylinder

LUMP = 10.0  # MeV
_MOST = 100  # lumps of a voxel, which is more than the finer cells in it


def write(source: Path, out: Path, rows: int | None = None, coarse: str = "ds2", fine: str = "ds3") -> None:
    """A CaloChallenge file of the finer geometry from the first rows of one of the coarser; out must not exist."""
    of, to = geometry.load(coarse), geometry.load(fine)
    draw = np.random.default_rng(0)
    with calochallenge.Writer(out, to) as writer:
        for energies, showers in calochallenge.stream(source, of):
            writer.append(energies[:rows], split(showers[:rows], of, to, draw))
            if rows is not None and (rows := rows - len(energies)) <= 0:
                return


def split(showers: np.ndarray, coarse: Cylinder, fine: Cylinder, draw: np.random.Generator) -> np.ndarray:
    """(N, V) -> (N, V') float32: the same energy in every layer of every shower, up to rounding."""
    row, cell = np.nonzero(showers)
    energy = showers[row, cell].astype(float)
    lumps = np.clip(np.ceil(energy / LUMP), 1, _MOST).astype(int)
    each = np.repeat(np.arange(len(cell)), lumps)
    found = _cell(cell[each], coarse, fine, draw)
    flat = row[each] * fine.n_cells + found
    summed = np.bincount(flat, energy[each] / lumps[each], len(showers) * fine.n_cells)
    return summed.reshape(len(showers), fine.n_cells).astype(np.float32)


def _cell(cell: np.ndarray, coarse: Cylinder, fine: Cylinder, draw: np.random.Generator) -> np.ndarray:
    """The finer cell of a place at random in each coarser one (n,)."""
    layer = coarse.layer[cell]
    turn = (coarse.alpha[cell] + draw.random(len(cell))) / coarse.n_alpha[layer]  # from -pi on, in whole turns
    within = draw.random(len(cell))
    ring = np.empty(len(cell), int)
    for number, (of, to) in enumerate(zip(coarse.layers, fine.layers, strict=True)):
        here = np.nonzero(layer == number)[0]
        edges, own = np.array(of.r_edges), coarse.ring[cell[here]]
        radius = edges[own] + within[here] * (edges[own + 1] - edges[own])
        ring[here] = np.clip(np.searchsorted(to.r_edges, radius, "right") - 1, 0, to.n_rings - 1)
    alpha = np.minimum((turn * fine.n_alpha[layer]).astype(int), fine.n_alpha[layer] - 1)
    return fine.layer_offsets[layer] + alpha * fine.n_rings[layer] + ring
