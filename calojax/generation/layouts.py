"""How a file of showers is made of pieces: each is packed by itself, in any order, the file written from all."""

import itertools
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from calojax.errors import InputError
from calojax.files import atlas, calochallenge, showerdata
from calojax.files.atlas.voxels import PLACE_KEYS
from calojax.generation.sinks import Block, cut, scatter

Piece = Mapping[str, np.ndarray]
_ROWS = 1024  # showers that are dense at a time
_THREADS = min(8, os.cpu_count() or 1)  # compressing: zlib lets go of the interpreter's lock


class Layout(Protocol):
    """rows: pieces but the last are whole multiples of so many showers."""

    rows: int

    def pack(self, block: Block) -> Piece: ...
    def write(self, path: Path, pieces: Iterable[Piece]) -> None: ...


class Voxels(NamedTuple):
    """The CaloChallenge's HDF5: a piece holds its showers as compressed chunks, which only have to be copied.

    geometry: a Cylinder; attributes: written into the file; compression: gzip level.
    """

    geometry: Any
    attributes: dict[str, Any]
    compression: int = 1
    rows: int = calochallenge.CHUNK_ROWS

    def pack(self, block: Block) -> Piece:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="calojax-pack") as pool:
            chunks = list(pool.map(self._chunk, cut(block, self.rows)))
        return {
            "incident_energy": np.asarray(block.conditions["incident_energy"], np.float64),
            "sizes": np.array([len(chunk) for chunk in chunks]),
            "chunks": np.frombuffer(b"".join(chunks), np.uint8),
        }

    def write(self, path: Path, pieces: Iterable[Piece]) -> None:
        with calochallenge.Writer(path, self.geometry, self.attributes, compression=self.compression) as writer:
            for piece in pieces:
                ends = np.cumsum(piece["sizes"])
                chunks = [piece["chunks"][a:b].tobytes() for a, b in itertools.pairwise([0, *ends])]
                writer.append_packed(piece["incident_energy"], chunks)

    def _chunk(self, block: Block) -> bytes:
        showers = np.zeros((len(block.counts), self.geometry.n_cells), np.float32)
        scatter(block, showers)
        return calochallenge.pack(showers, self.compression)


class Points(NamedTuple):
    """Lists of hits as the package showerdata reads them: x, y, z in mm, E in MeV.

    geometry: a Cylinder; attributes: written into the file; showers: of the whole file.
    """

    geometry: Any
    attributes: dict[str, Any]
    showers: int
    rows: int = 1

    def pack(self, block: Block) -> Piece:
        return _hits(block)

    def write(self, path: Path, pieces: Iterable[Piece]) -> None:
        with showerdata.Writer(path, self.geometry, self.attributes, showers=self.showers) as writer:
            for piece in pieces:
                writer.append(piece["incident_energy"], piece["counts"], piece["index"], piece["energy"])


class AtlasVoxels(NamedTuple):
    """The raw files of ATLAS voxels: fractions of the incident energy, layer by layer, with the bins of each voxel.

    geometry: a Cylinder; attributes: written into the file; probabilities (V, 3): of sub-voxels, if they are known.
    Places of the particles that are among the conditions are written too.
    """

    geometry: Any
    attributes: dict[str, Any]
    probabilities: np.ndarray | None = None
    rows: int = 1

    def pack(self, block: Block) -> Piece:
        return {**_hits(block)} | {key: block.conditions[key] for key in PLACE_KEYS if key in block.conditions}

    def write(self, path: Path, pieces: Iterable[Piece]) -> None:
        with atlas.Writer(path, self.geometry, self.attributes, probabilities=self.probabilities) as writer:
            for piece in pieces:
                conditions = {key: piece[key] for key in ("incident_energy", *PLACE_KEYS) if key in piece}
                for block in cut(Block(conditions, piece["counts"], piece["index"], piece["energy"]), _ROWS):
                    showers = np.zeros((len(block.counts), self.geometry.n_cells), np.float32)
                    scatter(block, showers)
                    places = {key: block.conditions[key] for key in PLACE_KEYS if key in block.conditions}
                    writer.append(block.conditions["incident_energy"], showers, places)


def _hits(block: Block) -> Piece:
    energy = np.asarray(block.conditions["incident_energy"], np.float64)
    return {"incident_energy": energy, "counts": block.counts, "index": block.index, "energy": block.energy}


def named(
    format: str,
    geometry: Any,
    attributes: dict[str, Any],
    compression: int,
    showers: int,
    probabilities: np.ndarray | None = None,
) -> Voxels | Points | AtlasVoxels:
    """The layout called "voxels", "points" or "atlas"; InputError for another name."""
    if format == "voxels":
        return Voxels(geometry, attributes, compression)
    if format == "points":
        return Points(geometry, attributes, showers)
    if format == "atlas":
        return AtlasVoxels(geometry, attributes, probabilities)
    raise InputError(
        where="format", found=f"is {format}", rule="it must be voxels, points or atlas", remedy="give one of them"
    )
