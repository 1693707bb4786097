"""How the energy of a voxel is shared among its four sub-voxels, `probabilities_layer_L` (V, 3) of a job.

They are cumulative, c0 <= c1 <= c2: with q0 = c0, q1 = c1 - c0, q2 = c2 - c1, q3 = 1 - c2 the shares are those of
(inner half in radius, lower half in alpha), (inner, upper), (outer, lower) and (outer, upper); (0.25, 0.5, 0.75) where
nothing is known. Source: TFCSBinnedShower of the ATLAS fast simulation. Letters: J jobs, V voxels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calojax.files import hdf5
from calojax.files.atlas.voxels import RawFile, values
from calojax.files.hdf5 import refused
from calojax.geometry import Cylinder, Layered

KEY = "probabilities_layer_"
UNIFORM = (0.25, 0.5, 0.75)


def key(layer: int) -> str:
    """Of a layer."""
    return f"{KEY}{layer}"


def read(file: RawFile) -> dict[int, np.ndarray]:
    """(V, 3) float64 by layer, in the order of the file, where there are some.

    Raises InputError unless 0 <= c0 <= c1 <= c2 <= 1 for each voxel.
    """
    found = {}
    for layer, sorted_bins in file.bins.items():
        if key(layer) not in file.file:
            continue
        hdf5.dataset(file.path, file.file, key(layer), layout="probabilities (V, 3)")
        cuts = np.asarray(values(file.path, file.file, key(layer), ()), np.float64)
        wanted, place = (sorted_bins.layer.n_cells, 3), f"{file.path}, {key(layer)}"
        if cuts.shape != wanted:
            raise refused(place, f"has the shape {cuts.shape}", f"the bins need {wanted}", "write it again")
        edges = np.concatenate([np.zeros((len(cuts), 1)), cuts, np.ones((len(cuts), 1))], axis=1)
        bad = ~(np.diff(edges, axis=1) >= 0).all(axis=1)
        if bad.any():
            voxel = int(np.argmax(bad))
            said = ", ".join(f"{value:g}" for value in cuts[voxel])
            rule = "cumulative probabilities increase from 0 to 1"
            raise refused(f"{place}, voxel {voxel}", f"is {said}", rule, "write it again")
        found[layer] = cuts
    return found


def of_cells(paths: Sequence[Path], geometry: Layered | Cylinder) -> np.ndarray | None:
    """(V, 3) in the order of a geometry: the mean over raw files, weighted by their events; uniform for a layer of
    which a file has none. None if no file has any."""
    found, sizes, known = [], [], False
    for path in paths:
        with RawFile(path) as file:
            cuts, picks = read(file), file.picks(geometry)
            known |= any(layer in cuts for layer in picks)
            uniform = lambda pick: np.tile(UNIFORM, (len(pick), 1))
            parts = [cuts[layer][pick] if layer in cuts else uniform(pick) for layer, pick in picks.items()]
            found.append(np.concatenate(parts))
            sizes.append(file.rows)
    return np.average(found, axis=0, weights=sizes) if known else None


def shares(cuts: np.ndarray) -> np.ndarray:
    """(..., 3) cumulative -> (..., 4): q0 to q3, which add up to 1."""
    return np.diff(cuts, axis=-1, prepend=0.0, append=1.0)


def joined(found: dict[str, list[np.ndarray]], events: list[int]) -> dict[str, np.ndarray]:
    """For a rebuilt file: the mean over jobs (V, 3), weighted by their events, and those of each job (J, V, 3).

    events: of each job. Keys of which not every job has some are left out.
    """
    tables = {}
    for name, jobs in found.items():
        if len(jobs) == len(events):
            tables[name] = np.average(jobs, axis=0, weights=events)
            tables[name.replace(KEY, "probabilities_of_jobs_layer_")] = np.stack(jobs)
    return tables
