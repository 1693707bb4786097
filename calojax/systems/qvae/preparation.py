"""CaloChallenge or ATLAS voxel files -> shards: the voxels with energy of every shower.

A shower with a voxel at or above its incident energy is left out and counted, as in the published cleaned files: the
transform of energies ends there. Negative voxels are refused, or set to 0 and counted. Fractions of the incident energy
in a file that should be in MeV are refused; raw ATLAS files, which should have fractions, may be in MeV: that is seen,
said, and counted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from calojax import digests, geometry, shards, writing
from calojax.errors import InputError
from calojax.files import calochallenge, layouts
from calojax.files.atlas import probabilities, units
from calojax.files.atlas import reading as atlas
from calojax.files.atlas.voxels import RawFile
from calojax.files.calochallenge import Showers
from calojax.geometry import Cylinder
from calojax.shards import Field
from calojax.systems.qvae import transform
from calojax.systems.qvae.config import Data

FIELDS = {"incident_energy": Field("float32", unit="MeV")}
GROUPS = {"hit": {"cell": Field("int32"), "energy": Field("float32", unit="MeV")}}
CLEANED = "showers left out with a voxel at or above the incident energy"
NEGATIVE = "voxels below 0, set to 0"
IN_MEV = "raw files in MeV, not fractions of the incident energy"
_LOOKED_AT = 512  # showers of a file from which its unit is told


class _Block(NamedTuple):
    """incident_energy (n,), showers (n, V) in the order of the geometry, MeV; negatives (n,) voxels that were."""

    incident_energy: np.ndarray
    showers: np.ndarray
    negatives: np.ndarray


def prepare(sources: list[Path], out: Path, data: Data) -> shards.Manifest:
    """Stream the sources in order. Raises InputError for what are no showers of one geometry."""
    writing.refuse_existing(out)
    cylinder = detector(sources, data)
    cleaned, fullest, moments = 0, 0, np.zeros(3)
    with shards.Writer(out, fields=FIELDS, groups=GROUPS, rows_per_shard=data.rows_per_shard) as writer:
        for incident, showers, negatives in _blocks(sources, cylinder, data):
            whole = (showers < incident[:, None].astype(np.float32)).all(1)  # as they are stored
            cleaned += int((~whole).sum())
            incident, showers, negatives = incident[whole], showers[whole], negatives[whole]
            if len(incident):
                counts = np.count_nonzero(showers, axis=1)
                row, cell = np.nonzero(showers)
                hits = {"cell": cell.astype(np.int32), "energy": showers[row, cell].astype(np.float32)}
                writer.append({"incident_energy": incident}, {"hit": (counts, hits)}, {NEGATIVE: negatives})
                fullest = max(fullest, int(counts.max()))
                of_row = jnp.asarray(incident[row], jnp.float32)
                u = np.asarray(transform.transform(jnp.asarray(hits["energy"]), of_row), np.float64)
                moments += [len(u), u.sum(), np.square(u).sum()]
        mean, width = _mean_and_width(*moments)
        return writer.finish(
            system="qvae",
            geometry=cylinder,
            sources=_sources(sources, cylinder),
            selections={CLEANED: cleaned, IN_MEV: sum(map(_is_raw_in_mev, sources))},
            statistics={"most hits": fullest, "mean of u": mean, "width of u": width},
            tables=_sub_voxels(sources, cylinder),
        )


def _mean_and_width(count: float, total: float, squares: float) -> tuple[float, float]:
    """Of transformed energies of hits; 0 and 1 without any."""
    if not count:
        return 0.0, 1.0
    mean = total / count
    return mean, max(squares / count - mean**2, 1e-6) ** 0.5


def detector(sources: list[Path], data: Data) -> Cylinder:
    """The geometry of the configuration, or the layers of the first ATLAS file that are active in it."""
    if data.geometry is not None:
        found = geometry.load(data.geometry)
        if isinstance(found, Cylinder):
            return found
        rule, remedy = "the qvae needs layers, rings and sectors", "give a cylinder"
        raise InputError(where="data.geometry", found=f"is {data.geometry}, a grid", rule=rule, remedy=remedy)
    first = sources[0]
    if layouts.reader(first).name != "atlas":
        rule = "only ATLAS files carry their bins"
        raise InputError(where=str(first), found="names no geometry", rule=rule, remedy="set data.geometry, e.g. ds2")
    return atlas.cylinder(first)


def read(path: Path, cylinder: Cylinder, data: Data) -> Showers:
    """All showers of a file, float32 MeV, as `prepare` sees them."""
    incident, showers, _ = (np.concatenate(parts) for parts in zip(*_read([path], cylinder, data, None), strict=True))
    return Showers(incident, showers)


def _blocks(sources: list[Path], cylinder: Cylinder, data: Data) -> Iterator[_Block]:
    """Blocks of all showers, or of the first `data.rows`."""
    left = data.rows
    for block in _read(sources, cylinder, data, "prepare"):
        yield _Block(*(array[:left] for array in block))
        if left is not None and (left := left - len(block.incident_energy)) <= 0:
            return


def _read(sources: list[Path], cylinder: Cylinder, data: Data, progress: str | None) -> Iterator[_Block]:
    kinds = {layouts.reader(path).name for path in sources}
    if kinds == {"atlas"}:
        for block in atlas.stream(sources, cylinder, progress=progress, negatives=data.negatives):
            yield _Block(*block)
    elif "atlas" in kinds:
        raise InputError(
            where=", ".join(str(path) for path in sources),
            found="are ATLAS files and others",
            rule="files of one kind are prepared together",
            remedy="prepare them apart",
        )
    else:
        for path in sources:
            _refuse_fractions(path, cylinder)
        clip = data.negatives == "clip"
        for incident, showers in calochallenge.stream(sources, cylinder, progress=progress, negative=clip):
            below = np.count_nonzero(showers < 0, axis=1).astype(np.int32)
            yield _Block(incident, np.maximum(showers, 0), below)


def _refuse_fractions(path: Path, cylinder: Cylinder) -> None:
    """InputError for a file of the CaloChallenge whose first showers do not look like MeV."""
    for incident, showers in calochallenge.stream(path, cylinder, _LOOKED_AT, any_values=True):
        units.detect(path, showers.sum(axis=1, dtype=np.float64), incident, units.MEV)
        return


def _is_raw_in_mev(path: Path) -> bool:
    return _is_raw(path) and atlas.summary(path).unit == units.MEV


def _is_raw(path: Path) -> bool:
    if layouts.reader(path).name != "atlas":
        return False
    with atlas.opened(path) as file:
        return isinstance(file, RawFile)


def _sub_voxels(sources: list[Path], cylinder: Cylinder) -> dict[str, np.ndarray]:
    """probabilities (V, 3) of the sub-voxels, which generated files pass on, if the sources have some."""
    found = probabilities.of_cells(sources, cylinder) if all(map(_is_raw, sources)) else None
    return {} if found is None else {"probabilities": found}


def _sources(sources: list[Path], cylinder: Cylinder) -> list[shards.Source]:
    rows = lambda path: layouts.reader(path).summary(path).rows
    return [shards.Source(writing.storable(path.name), digests.of_file(path), rows(path)) for path in sources]
