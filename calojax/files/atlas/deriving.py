"""The concatenated and cleaned files of a whole tree, or of one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from calojax import writing
from calojax.files.atlas import concatenated, reading, tree
from calojax.files.atlas.concatenated import Cleaned, Concatenated
from calojax.files.atlas.voxels import RawFile
from calojax.files.hdf5 import refused


class Table(NamedTuple):
    """A concatenated file that was written, its number of events and its layers."""

    path: Path
    events: int
    layers: tuple[int, ...]


def concatenate(
    source: Path, out: Path | None = None, *, layers: Sequence[int] | None = None, progress: bool = True
) -> list[Table]:
    """Concatenate the active layers, or those given, of a raw file or of every file of a tree.

    out: a file, or a tree; default: FILE_cat.hdf5 beside it, TREE_cat. All files are checked before one is written.
    """
    if source.is_dir():
        top = out or tree.beside(source, "cat")
        pairs = [
            (path, folder.inside(top) / tree.table_name(kind))
            for folder in tree.folders(source)
            for kind, path in folder.files().items()
        ]
    else:
        pairs = [(source, out or source.with_name(f"{source.stem}_cat{source.suffix}"))]
    work = []
    for path, to in pairs:
        writing.refuse_existing(to)
        chosen = reading.active_layers(path) if layers is None else _present(path, layers)
        if not chosen:
            raise refused(str(path), "has no energy in any layer", "there is one to be written", "give --layers")
        work.append((path, to, chosen))
    return [Table(to, concatenated.concatenate(path, to, ids, progress=progress), ids) for path, to, ids in work]


def clean(
    source: Path, out: Path | None = None, *, raw: Path | None = None, progress: bool = True
) -> dict[Path, Cleaned]:
    """Clean a concatenated file or all of a tree; how many events were kept and removed, by the file written.

    out: a file, or a tree; default: NAME_clean.hdf5 beside each; raw: the raw file of one that has no bins.
    """
    if source.is_dir():
        top = out or source
        pairs = {
            path: folder.inside(top) / tree.table_name(kind, cleaned=True)
            for folder in tree.folders(source)
            for kind, path in folder.tables().items()
        }
        if not pairs:
            rule = f"a tree of concatenated files has {tree.table_name('combined')} and so on"
            raise refused(str(source), "holds no concatenated files", rule, "run `calojax atlas concatenate` first")
    else:
        pairs = {source: out or source.with_name(f"{source.stem}_clean{source.suffix}")}
    bins = None
    if raw is not None:
        with RawFile(raw) as file:
            bins = {id: file.bins[id] for id in reading.active_layers(raw)}
    for path, to in pairs.items():
        writing.refuse_existing(to)
        with Concatenated(path, bins):
            pass
    return {to: concatenated.clean(path, to, bins, progress=progress) for path, to in pairs.items()}


def _present(path: Path, layers: Sequence[int]) -> tuple[int, ...]:
    with RawFile(path) as file:
        for layer in layers:
            if layer not in file.bins:
                has = ", ".join(map(str, file.bins))
                raise refused(f"{path}, layer {layer}", "is missing", f"the file has {has}", "give other --layers")
    return tuple(sorted(set(layers)))
