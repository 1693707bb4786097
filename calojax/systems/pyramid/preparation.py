"""CaloChallenge files -> shards: the hit cells and the hit rings of every shower, and the statistics of all."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from calojax import digests, geometry, shards, writing
from calojax.errors import InputError
from calojax.files import calochallenge
from calojax.shards import Field
from calojax.shards.writer import Ragged
from calojax.systems.pyramid import coarse, statistics
from calojax.systems.pyramid.config import Data

FIELDS = {"incident_energy": Field("float32", unit="MeV")}
GROUPS = {
    "hit": {"cell": Field("int32"), "energy": Field("float32", unit="MeV")},
    "ring": {"index": Field("int32")},
}


def prepare(sources: list[Path], out: Path, data: Data) -> shards.Manifest:
    """Stream the sources in order; cells below threshold are dropped and counted.

    Goes on where it was killed or interrupted if nothing has changed since. The result depends on the showers alone,
    not on how they are cut into files or blocks.
    """
    writing.refuse_existing(out)  # before sources are read for their digests
    cylinder = geometry.load(data.geometry)
    if not isinstance(cylinder, geometry.Cylinder):
        raise InputError(
            where="data.geometry",
            found=f"is {data.geometry}, a grid",
            rule="the pyramid needs layers, rings and alpha bins",
            remedy="give a cylinder",
        )
    tree = coarse.tree(cylinder)
    threshold = cylinder.threshold if data.threshold is None else data.threshold
    rows = [calochallenge.summary(path, cylinder).rows for path in sources]
    read = [
        shards.Source(writing.storable(path.name), digests.of_file(path), n)
        for path, n in zip(sources, rows, strict=True)
    ]
    key = _resume_key(read, cylinder, data)
    with shards.Writer(out, fields=FIELDS, groups=GROUPS, rows_per_shard=data.rows_per_shard, resume_key=key) as writer:
        for energies, showers in _blocks(sources, cylinder, data, writer.rows):
            found = statistics.hits(showers, threshold)
            below = np.count_nonzero(showers, axis=1) - np.bincount(found.row, minlength=len(showers))
            writer.append(
                {"incident_energy": energies},
                groups(found, len(energies), tree),
                {"cells dropped below threshold": below},
            )
        gathered = statistics.gather(writer.shards(), cylinder, threshold)
        return writer.finish(
            system="pyramid",
            geometry=cylinder,
            sources=read,
            selections={"showers": gathered.showers},
            statistics={"threshold": threshold},
            tables=gathered.arrays(),
        )


def _resume_key(sources: list[shards.Source], cylinder: geometry.Cylinder, data: Data) -> str:
    """Digest of all that the rows depend on: sources, geometry, settings, code."""
    tables = [dataclasses.asdict(given) for given in (*sources, data)]
    return digests.of_table([digests.of_code(), cylinder.digest, tables])


def _blocks(
    sources: list[Path], cylinder: geometry.Cylinder, data: Data, start: int
) -> Iterator[calochallenge.Showers]:
    """Blocks of all showers, or of the first `data.rows`, but for the first `start`."""
    left = None if data.rows is None else data.rows - start
    if left == 0:
        return
    blocks = calochallenge.stream(sources, cylinder, progress="prepare", most_energy=data.most_energy, start=start)
    for energies, showers in blocks:
        yield calochallenge.Showers(energies[:left], showers[:left])
        if left is not None and (left := left - len(energies)) <= 0:
            return


def groups(found: statistics.Hits, rows: int, tree: coarse.Tree) -> dict[str, Ragged]:
    """The ragged groups of a block of `rows` showers."""
    rings = tree.ring_layer.shape[0]
    ring = np.unique(found.row.astype(np.int64) * rings + tree.cell_ring[found.cell])
    hit = (np.bincount(found.row, minlength=rows), {"cell": found.cell, "energy": found.energy})
    return {"hit": hit, "ring": (np.bincount(ring // rings, minlength=rows), {"index": ring % rings})}
