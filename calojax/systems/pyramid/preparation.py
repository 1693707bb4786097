"""CaloChallenge files -> shards: the hit cells and the hit rings of every shower, and the statistics of all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from calojax import geometry, shards
from calojax.files import calochallenge
from calojax.shards import Field
from calojax.systems.pyramid import statistics
from calojax.systems.pyramid.config import Data

FIELDS = {"incident_energy": Field("float32", unit="MeV")}
GROUPS = {
    "hit": {"cell": Field("int32"), "energy": Field("float32", unit="MeV")},
    "ring": {"index": Field("int32")},
}


def prepare(sources: list[Path], out: Path, data: Data) -> shards.Manifest:
    """Stream the sources in order; cells below threshold are dropped and counted."""
    cylinder = geometry.load(data.geometry)
    threshold = cylinder.threshold if data.threshold is None else data.threshold
    gathered = statistics.Statistics(cylinder, threshold)
    below = 0
    with shards.Writer(out, fields=FIELDS, groups=GROUPS, rows_per_shard=data.rows_per_shard) as writer:
        for energies, showers in _blocks(sources, cylinder, data):
            found = statistics.hits(showers, threshold)
            below += int(np.count_nonzero(showers)) - len(found.row)
            gathered.add(energies, found)
            writer.append({"incident_energy": energies}, groups(found, len(energies), gathered))
        return writer.finish(
            system="pyramid",
            geometry=cylinder,
            sources=[
                shards.Source(path.name, calochallenge.digest(path), calochallenge.summary(path).rows)
                for path in sources
            ],
            selections={"showers": gathered.showers, "cells dropped below threshold": below},
            statistics={"threshold": threshold},
            tables=gathered.arrays(),
        )


def _blocks(sources: list[Path], cylinder: geometry.Cylinder, data: Data) -> Iterator[calochallenge.Showers]:
    """Blocks of all showers, or of the first `data.rows`."""
    left = data.rows
    blocks = calochallenge.stream(sources, cylinder, progress="prepare", most_energy=data.most_energy)
    for energies, showers in blocks:
        yield calochallenge.Showers(energies[:left], showers[:left])
        if left is not None and (left := left - len(energies)) <= 0:
            return


def groups(found: statistics.Hits, rows: int, gathered: statistics.Statistics):
    rings = gathered.tree.ring_layer.shape[0]
    ring = np.unique(found.row.astype(np.int64) * rings + gathered.tree.cell_ring[found.cell])
    hit = (np.bincount(found.row, minlength=rows), {"cell": found.cell, "energy": found.energy})
    return {"hit": hit, "ring": (np.bincount(ring // rings, minlength=rows), {"index": ring % rings})}
