"""What is in a tree of voxel files: statistics of every file, complete against rebuilt, and the checks of the types."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax.files import hdf5
from calojax.files.atlas import bins as voxel_bins
from calojax.files.atlas import checking, probabilities, reading, rebuilding, statistics, tree
from calojax.files.atlas.statistics import Statistics
from calojax.files.atlas.voxels import RawFile


class Found(NamedTuple):
    """Of one folder: statistics of its files by kind, and of the files of its jobs, taken together, by kind.

    shares: by kind and layer (J, V, 4), of the sub-voxels of each voxel in the J jobs that have some; concatenated,
    cleaned: statistics of such files, None for one without bins.
    """

    folder: tree.Folder
    complete: dict[str, Statistics]
    jobs: dict[str, Statistics]
    numbers: tuple[int, ...]
    shares: dict[str, dict[int, np.ndarray]]
    concatenated: dict[str, Statistics | None]
    cleaned: dict[str, Statistics | None]


def gather(root: Path, *, jobs: int | None = None, progress: bool = True) -> list[Found]:
    """Read every file of a tree once.

    jobs: how many each folder with jobs has, InputError for one that is missing; default: as many as there are. Raises
    InputError for jobs of different geometries, too.
    """
    found = tree.folders(root)
    gathered = []
    for folder in found:
        complete = {kind: statistics.of_file(path, progress=progress) for kind, path in folder.files().items()}
        of_jobs, shares = {}, {}
        for kind, files in _of_jobs(folder, jobs).items():
            rebuilding.check(files)
            of_jobs[kind] = statistics.together([statistics.of_file(path, progress=progress) for path in files])
            shares[kind] = _shares(files)
        tables = [_tables(folder.tables(cleaned=cleaned), progress) for cleaned in (False, True)]
        gathered.append(Found(folder, complete, of_jobs, tuple(folder.jobs()), shares, *tables))
    return gathered


def _of_jobs(folder: tree.Folder, number: int | None) -> dict[str, list[Path]]:
    """The files of the jobs that are there, by kind; of all of them, if their number is known."""
    if number is not None:
        return rebuilding.sources(folder, tuple(range(number)))
    by_kind: dict[str, list[Path]] = {}
    for files in folder.jobs().values():
        for kind, path in files.items():
            by_kind.setdefault(kind, []).append(path)
    return by_kind


def to_json(root: Path, gathered: list[Found]) -> dict[str, Any]:
    """What `calojax info` says of a tree."""
    wanted = tree.wanted_jobs(each.folder for each in gathered)
    return {
        "kind": "ATLAS voxel tree",
        "path": str(root),
        "files": [str(path.relative_to(root)) for each in gathered for path in _paths(each.folder)],
        "folders": {each.folder.name: _folder(each, wanted) for each in gathered},
    }


def compare(gathered: list[Found]) -> dict[str, Any]:
    """The types beside each other, by folder; InputError where incident energies disagree."""
    return {each.folder.name: _compare(each) for each in gathered}


def check(root: Path, *, jobs: int | None = None) -> dict[str, Any]:
    """That the files of a tree belong together: what was compared, by folder.

    Raises InputError if incident energies of the types disagree, combined and positive have different bins, jobs are
    missing or of different geometries, or probabilities are none.
    """
    found = tree.folders(root)
    wanted = tree.wanted_jobs(found, jobs)
    said = {}
    for folder in found:
        entry: dict[str, Any] = {}
        if files := folder.files():
            entry["events"] = checking.incident_energies(files)
            entry["types"] = list(files)
            entry |= _same_bins(files)
        by_kind = rebuilding.sources(folder, wanted)
        for several in by_kind.values():
            rebuilding.check(several)
        if by_kind:
            of_job = [dict(zip(by_kind, files, strict=True)) for files in zip(*by_kind.values(), strict=True)]
            entry["events of jobs"] = [checking.incident_energies(files) for files in of_job]
        said[folder.name] = entry
    return said


def _paths(folder: tree.Folder) -> list[Path]:
    """All files of a folder and its jobs."""
    every = (folder.files(), *folder.jobs().values(), folder.tables(), folder.tables(cleaned=True))
    return [path for files in every for path in files.values()]


def _tables(files: Mapping[str, Path], progress: bool) -> dict[str, Statistics | None]:
    """Statistics of concatenated files that have bins."""
    found: dict[str, Statistics | None] = {}
    for kind, path in files.items():
        with hdf5.opened(path) as file:
            has_bins = any(key.startswith(voxel_bins.KEYS[0]) for key in map(str, file))
        found[kind] = statistics.of_file(path, progress=progress) if has_bins else None
    return found


def _folder(found: Found, wanted: tuple[int, ...]) -> dict[str, Any]:
    said: dict[str, Any] = {"eta": found.folder.eta / 100, "binning": found.folder.binning}
    paths = found.folder.files()
    if paths:
        said["complete"] = {kind: {"path": str(paths[kind])} | one.to_json() for kind, one in found.complete.items()}
    for name, cleaned in (("concatenated", False), ("cleaned", True)):
        files = found.folder.tables(cleaned=cleaned)
        tables = found.cleaned if cleaned else found.concatenated
        if tables:
            known = {kind: one.to_json() if one else {"bins": "are not in the file"} for kind, one in tables.items()}
            said[name] = {kind: {"path": str(files[kind])} | entry for kind, entry in known.items()}
    if found.numbers:
        said["jobs"] = list(found.numbers)
        said["missing jobs"] = [number for number in wanted if number not in found.numbers]
        said["rebuilt"] = {kind: one.to_json() for kind, one in found.jobs.items()}
        both = [kind for kind in found.complete if kind in found.jobs]
        said["complete against rebuilt"] = {
            kind: _against(found.complete[kind], found.jobs[kind], "complete", "rebuilt") for kind in both
        }
    return said


def _against(one: Statistics, other: Statistics, first: str, second: str) -> dict[str, Any]:
    """Active layers of one and not of the other, and layers whose bins differ."""
    theirs = {layer.id: layer for layer in other.geometry.layers}
    shared = [(layer, theirs[layer.id]) for layer in one.geometry.layers if layer.id in theirs]
    return {
        f"active in {first} only": sorted({*one.active} - {*other.active}),
        f"active in {second} only": sorted({*other.active} - {*one.active}),
        "layers with other bins": [mine.id for mine, their in shared if not mine.same_bins(their)],
    }


def _compare(found: Found) -> dict[str, Any]:
    files, said = found.folder.files(), {}
    if files:
        said["events with equal incident energies"] = checking.incident_energies(files)
        said["energy sums"] = checking.energy_sums(found.complete)
    first = next(iter(found.complete), None)
    for kind, one in found.complete.items():
        if kind != first and first is not None:
            said[f"active layers, {first} and {kind}"] = {
                f"{first} only": sorted({*found.complete[first].active} - {*one.active}),
                f"{kind} only": sorted({*one.active} - {*found.complete[first].active}),
            }
    if {"combined", "positive"} <= files.keys():
        said["positive against combined without negative voxels"] = checking.against_clipped(
            files["combined"], files["positive"]
        )
    if {"combined", "fine"} <= files.keys():
        said["fine against combined"] = checking.fine_against_combined(files["fine"], files["combined"])
    if any(found.shares.values()):
        said["probabilities"] = {kind: _of_layers(found, kind) for kind in found.shares if found.shares[kind]}
    return said


def _same_bins(files: Mapping[str, Path]) -> dict[str, Any]:
    """InputError if combined and positive have different bins; how fine ones are cut."""
    said: dict[str, Any] = {}
    if {"combined", "positive"} <= files.keys():
        with reading.opened(files["combined"]) as one, reading.opened(files["positive"]) as other:
            voxel_bins.refuse_other(other.path, other.bins, one.path, one.bins)
        said["positive is combined without negative voxels"] = checking.against_clipped(
            files["combined"], files["positive"]
        )["agree"]
    return said


def _shares(files: list[Path]) -> dict[int, np.ndarray]:
    """(J, V, 4) by layer, voxels in canonical order."""
    found: dict[int, list[np.ndarray]] = {}
    for path in files:
        with RawFile(path) as file:
            for layer, cuts in probabilities.read(file).items():
                found.setdefault(layer, []).append(probabilities.shares(cuts[file.bins[layer].order]))
    return {layer: np.stack(jobs) for layer, jobs in found.items()}


def _of_layers(found: Found, kind: str) -> dict[str, Any]:
    """What the probabilities of each layer say."""
    uniform = probabilities.shares(np.array(probabilities.UNIFORM))
    said = {}
    for layer, shares in found.shares[kind].items():
        said[str(layer)] = {
            "active": layer in found.jobs[kind].active,
            "voxels without information": int((np.abs(shares - uniform) < 1e-6).all(axis=(0, 2)).sum()),
            "voxels": shares.shape[1],
            "mean shares": shares.mean(axis=(0, 1)).tolist(),
            "mean shares of jobs": shares.mean(axis=1).tolist(),
            "spread between jobs": float(shares.std(axis=0).mean()),
        }
    return said
