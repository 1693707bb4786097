"""The events of all jobs of a folder as one file: rebuilt."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from calojax import writing
from calojax.files import hdf5
from calojax.files.atlas import bins as voxel_bins
from calojax.files.atlas import probabilities, tree
from calojax.files.atlas.growing import Growing
from calojax.files.atlas.voxels import ENERGY_KEYS, RawFile, values
from calojax.files.hdf5 import refused
from calojax.progress import Progress

_ROWS = 1024


class Rebuilt(NamedTuple):
    """A file that was written: from how many jobs, with how many events."""

    path: Path
    jobs: int
    events: int


def rebuild(root: Path, out: Path, *, jobs: int | None = None, progress: bool = True) -> list[Rebuilt]:
    """Rebuild every kind of every folder of a tree that has jobs, into another tree.

    jobs: how many each folder has, default: as many as the largest number found in the tree says. All files are checked
    first: InputError names a job or file that is missing, and one of another geometry.
    """
    found = tree.folders(root)
    wanted = tree.wanted_jobs(found, jobs)
    work = []
    for folder in found:
        for kind, files in sources(folder, wanted).items():
            work.append((files, folder.inside(out) / tree.rebuilt_name(kind)))
    if not work:
        rule = "job folders 0, 1, 2 ... lie in a folder such as eta_000/eta_000_regular_binning"
        raise refused(str(root), "holds no jobs", rule, "give a tree with job folders")
    for files, path in work:
        writing.refuse_existing(path)
        check(files)
    return [_join(files, path, progress) for files, path in work]


def sources(folder: tree.Folder, wanted: tuple[int, ...]) -> dict[str, list[Path]]:
    """The files of all jobs, by kind, in order; InputError for one that is missing. Nothing if there are no jobs."""
    jobs = folder.jobs()
    if not jobs:
        return {}
    if missing := [number for number in wanted if number not in jobs]:
        rule = f"the jobs {wanted[0]} to {wanted[-1]} are needed"
        place = ", ".join(str(folder.path / str(number)) for number in missing)
        raise refused(place, "is missing" if len(missing) == 1 else "are missing", rule, "copy it, or give --jobs")
    for number, files in jobs.items():
        if number not in wanted:
            rule = f"{len(wanted)} jobs are expected"
            raise refused(str(folder.path / str(number)), "is one job too many", rule, "remove it, or give --jobs")
        for kind in sorted({*jobs[wanted[0]], *files}, key=tree.KINDS.index):
            if kind not in files or kind not in jobs[wanted[0]]:
                bad, good = (number, wanted[0]) if kind not in files else (wanted[0], number)
                found, rule = f"has no {kind} file", f"job {good} has one"
                raise refused(str(folder.path / str(bad)), found, rule, "copy it")
    return {kind: [jobs[number][kind] for number in wanted] for kind in jobs[wanted[0]]}


def check(files: list[Path]) -> None:
    """InputError unless all files have one geometry, one order of voxels, one unit and the same keys of events."""
    first = None
    for path in files:
        with RawFile(path) as file:
            found = (path, file.bins, file.unit, {key: dataset.shape[1:] for key, dataset in _of_events(file)})
            first = first or found
            voxel_bins.refuse_other(path, file.bins, first[0], first[1])
            if file.unit != first[2]:
                raise refused(str(path), f"is in {file.unit}", f"{first[0]} is in {first[2]}", "write it again")
            for key in sorted(found[3].keys() | first[3].keys()):
                here, there = (one[3].get(key, "nothing") for one in (found, first))
                if here != there:
                    rule = f"{first[0]} has {there} there"
                    raise refused(f"{path}, {key}", f"has {here} for each event", rule, "give jobs of one production")
            probabilities.read(file)


def _join(files: list[Path], out: Path, progress: bool) -> Rebuilt:
    """Write one file."""
    sizes, layers, dtypes, tables, attributes = [], set(), {}, {}, []
    shares: dict[str, list[np.ndarray]] = {}
    for path in files:
        with RawFile(path) as file:
            sizes.append(file.rows)
            layers |= set(file.layers)
            tables = tables or voxel_bins.copied(file.file, file.bins)
            attributes = [*attributes, file.attributes]
            for key, array in _events(file, slice(0, 1), list(file.layers), {}).items():
                dtypes[key] = np.result_type(dtypes.get(key, array.dtype), array.dtype)
            for layer, cuts in probabilities.read(file).items():
                shares.setdefault(probabilities.key(layer), []).append(cuts)
    tables |= probabilities.joined(shares, sizes)
    same = {k: v for k, v in attributes[0].items() if all(k in each and each[k] == v for each in attributes)}
    described = same | {"jobs": len(files), "events_of_jobs": sizes}
    with Growing(out, described, tables) as grown, Progress(sum(sizes), out.name, unit="events", enabled=progress) as p:
        for path in files:
            with RawFile(path) as file:
                for rows in _slices(file.rows):
                    grown.append(_events(file, rows, sorted(layers), dtypes))
                    p.advance(rows.stop - rows.start)
    return Rebuilt(out, len(files), sum(sizes))


def _events(file: RawFile, rows: slice, layers: list[int], dtypes: dict[str, np.dtype]) -> dict[str, np.ndarray]:
    """All that is stored of some events; a layer that this job has not is empty."""
    found = {f"energy_layer_{layer}": file.stored(layer, rows) for layer in layers}
    found[ENERGY_KEYS[0]] = file.stored_energies(rows)
    for key, _ in _of_events(file):
        found[key] = values(file.path, file.file, key, rows)
    return {key: array.astype(dtypes.get(key, array.dtype), copy=False) for key, array in found.items()}


def _of_events(file: RawFile) -> Iterator[tuple[str, h5py.Dataset]]:
    """The datasets that have a row for each event, but for energies of layers and incident ones."""
    tables = (*voxel_bins.KEYS, probabilities.KEY, "energy_layer_", *ENERGY_KEYS)
    for key, dataset in file.file.items():
        if isinstance(dataset, h5py.Dataset) and not key.startswith(tables):
            hdf5.check_filters(file.path, dataset)
            if dataset.shape and len(dataset) == file.rows:
                yield key, dataset


def _slices(rows: int) -> Iterator[slice]:
    for first in range(0, rows, _ROWS):
        yield slice(first, min(first + _ROWS, rows))
