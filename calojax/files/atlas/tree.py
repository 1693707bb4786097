"""The names of folders and files in a tree of ATLAS voxel files, and in the trees derived from it.

    TREE/eta_000/eta_000_regular_binning/dataset_combined.hdf5           signed voxels
                                         dataset_combined_positive.hdf5  no negative ones
                                         dataset_combined_fine.hdf5      signed, 2 x 2 finer
                                         0/ 1/ ... 19/                   jobs: the same names, other events
    TREE_rebuilt/...                     the names with _rebuilt: the events of all jobs
    TREE_cat/...                         dataset_combined_cat.hdf5, dataset_positive_cat.hdf5, dataset_fine_cat.hdf5:
                                         the active layers as one table; _cat_clean: without events to be removed

The number behind eta is 100 times the pseudorapidity; the binning is regular or default.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from calojax.files.hdf5 import refused

KINDS = ("combined", "positive", "fine")
_ETA = re.compile(r"eta_(\d{3})")
_FOLDER = re.compile(r"eta_(\d{3})_(regular|default)_binning")
_RAW = {"combined": "dataset_combined", "positive": "dataset_combined_positive", "fine": "dataset_combined_fine"}


class Folder(NamedTuple):
    """The files of one pseudorapidity and binning. eta: 100 times it; binning: regular or default."""

    path: Path
    eta: int
    binning: str

    @property
    def name(self) -> str:
        """Such as eta_000_regular_binning."""
        return self.path.name

    def files(self) -> dict[str, Path]:
        """Those that are there, raw or rebuilt, by kind."""
        return _files(self.path)

    def jobs(self) -> dict[int, dict[str, Path]]:
        """The files of every job folder, by number and kind."""
        found = {int(path.name): _files(path) for path in self.path.iterdir() if path.is_dir() and path.name.isdigit()}
        return dict(sorted(found.items()))

    def tables(self, *, cleaned: bool = False) -> dict[str, Path]:
        """Concatenated or cleaned files that are there, by kind."""
        return {kind: path for kind in KINDS if (path := self.path / table_name(kind, cleaned=cleaned)).is_file()}

    def inside(self, tree: Path) -> Path:
        """The folder of the same name in another tree."""
        return tree / self.path.parent.name / self.path.name


def is_tree(path: Path) -> bool:
    """Whether there is some folder of a pseudorapidity in it."""
    return path.is_dir() and any(_ETA.fullmatch(each.name) and each.is_dir() for each in path.iterdir())


def folders(tree: Path) -> list[Folder]:
    """All of a tree, by eta and name; InputError if there are none."""
    if not is_tree(tree):
        found = "holds no folder eta_XXX" if tree.is_dir() else "is no folder" if tree.exists() else "does not exist"
        rule = "a tree has folders such as eta_000/eta_000_regular_binning"
        raise refused(str(tree), found, rule, "give the folder above them")
    found = []
    for path in sorted(tree.glob("eta_*/eta_*_binning")):
        if path.is_dir() and (match := _FOLDER.fullmatch(path.name)):
            found.append(Folder(path, int(match[1]), match[2]))
    if not found:
        rule = "there is one for each binning, such as eta_000/eta_000_regular_binning"
        raise refused(str(tree), "holds no folder eta_XXX_regular_binning or _default_binning", rule, "check the names")
    return found


def rebuilt_name(kind: str) -> str:
    """Of the file with the events of all jobs."""
    return f"{_RAW[kind]}_rebuilt.hdf5"


def table_name(kind: str, *, cleaned: bool = False) -> str:
    """Of the file with the active layers as one table."""
    return f"dataset_{kind}_cat{'_clean' if cleaned else ''}.hdf5"


def beside(tree: Path, form: str) -> Path:
    """Where a derived tree is by default: `TREE_rebuilt` or `TREE_cat`."""
    whole = tree.resolve()
    return whole.with_name(f"{whole.name}_{form}") if not tree.name else tree.with_name(f"{tree.name}_{form}")


def wanted_jobs(found: Iterable[Folder], number: int | None = None) -> tuple[int, ...]:
    """The numbers of the jobs that every folder has: 0 up to `number`, or up to the largest found in any."""
    largest = max((max(folder.jobs(), default=-1) for folder in found), default=-1)
    return tuple(range(largest + 1 if number is None else number))


def _files(path: Path) -> dict[str, Path]:
    found = {}
    for kind in KINDS:
        names = (path / f"{_RAW[kind]}.hdf5", path / rebuilt_name(kind))
        if there := next((name for name in names if name.is_file()), None):
            found[kind] = there
    return found
