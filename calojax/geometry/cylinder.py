"""Cylindrical voxel geometries: layers along z, each cut into rings and sectors of its own.

Cells are numbered as in the CaloChallenge files: layer slowest, then alpha, then r fastest; alpha starts at -pi. Every
layer may have its own number of sectors and its own ring edges. Lengths mm, angles rad, energies MeV.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from calojax.errors import InputError

DIRECTIONS = ("alpha", "opposite", "r", "z")
OUTSIDE = -1


@dataclass(frozen=True)
class Layer:
    """One layer: its number in the source, ring edges (mm), sectors in alpha, and where it begins and ends (mm)."""

    id: int
    r_edges: tuple[float, ...]
    n_alpha: int
    z_min: float
    z_max: float

    @property
    def n_rings(self) -> int:
        return len(self.r_edges) - 1

    @property
    def n_cells(self) -> int:
        return self.n_rings * self.n_alpha


@dataclass(frozen=True)
class Cylinder:
    """A geometry; arrays over cells are computed once and are read only.

    threshold: energy (MeV) below which the files' cells are zero. Raises InputError where layers make no sense.
    """

    name: str
    layers: tuple[Layer, ...]
    threshold: float

    def __post_init__(self):
        for position, layer in enumerate(self.layers):
            edges = layer.r_edges
            increasing = len(edges) > 1 and all(a < b for a, b in zip(edges, edges[1:], strict=False))
            if not increasing or edges[0] < 0 or layer.n_alpha < 1 or not layer.z_min < layer.z_max:
                raise InputError(
                    where=f"geometry {self.name}, layer {position}",
                    found=f"has ring edges {edges}, {layer.n_alpha} sectors and z {layer.z_min} to {layer.z_max} mm",
                    rule="edges and z must increase from 0 or more and there must be a sector",
                    remedy="mend the geometry file",
                )
        if not self.layers or not self.threshold >= 0:
            raise InputError(
                where=f"geometry {self.name}",
                found=f"has {len(self.layers)} layers and threshold {self.threshold} MeV",
                rule="it needs a layer and a threshold of at least 0",
                remedy="mend the geometry file",
            )

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @cached_property
    def n_rings(self) -> np.ndarray:
        """(L,) rings of each layer."""
        return _fixed([layer.n_rings for layer in self.layers])

    @cached_property
    def n_alpha(self) -> np.ndarray:
        """(L,) sectors of each layer."""
        return _fixed([layer.n_alpha for layer in self.layers])

    @cached_property
    def layer_offsets(self) -> np.ndarray:
        """(L + 1,) first cell of each layer, and the number of cells."""
        return _fixed(np.concatenate([[0], np.cumsum([layer.n_cells for layer in self.layers])]))

    @property
    def n_cells(self) -> int:
        return int(self.layer_offsets[-1])

    @cached_property
    def layer(self) -> np.ndarray:
        """(V,) position of each cell's layer."""
        return _fixed(np.repeat(np.arange(self.n_layers), np.diff(self.layer_offsets)))

    @cached_property
    def alpha(self) -> np.ndarray:
        """(V,) sector of each cell."""
        return _fixed((np.arange(self.n_cells) - self.layer_offsets[self.layer]) // self.n_rings[self.layer])

    @cached_property
    def ring(self) -> np.ndarray:
        """(V,) ring of each cell in its layer."""
        return _fixed((np.arange(self.n_cells) - self.layer_offsets[self.layer]) % self.n_rings[self.layer])

    @cached_property
    def r_mid(self) -> np.ndarray:
        """(V,) middle of each cell's ring, mm."""
        return _fixed(np.concatenate([np.tile(_middles(x.r_edges), x.n_alpha) for x in self.layers]), float)

    @cached_property
    def alpha_mid(self) -> np.ndarray:
        """(V,) middle of each cell's sector, rad in (-pi, pi)."""
        return _fixed((self.alpha + 0.5) * (2 * math.pi / self.n_alpha[self.layer]) - math.pi, float)

    @cached_property
    def centres(self) -> np.ndarray:
        """(V, 3) x, y, z of each cell's middle, mm."""
        z = np.array([(layer.z_min + layer.z_max) / 2 for layer in self.layers])[self.layer]
        return _fixed(np.stack([self.r_mid * np.cos(self.alpha_mid), self.r_mid * np.sin(self.alpha_mid), z], 1), float)

    def neighbours(self, direction: str) -> np.ndarray:
        """(V,) int32: each cell's neighbour in one of `DIRECTIONS`, OUTSIDE where there is none.

        alpha: next sector, periodic; opposite: half a turn on (none with an odd number of sectors); r: next ring
        outwards; z: same sector and ring of the next layer, where that layer is binned alike.
        """
        cell, n_alpha, n_rings = np.arange(self.n_cells), self.n_alpha[self.layer], self.n_rings[self.layer]
        first = self.layer_offsets[self.layer]
        at = lambda alpha, ring: first + alpha * n_rings + ring  # noqa: E731
        if direction == "alpha":
            found = np.where(n_alpha > 1, at((self.alpha + 1) % n_alpha, self.ring), OUTSIDE)
        elif direction == "opposite":
            found = np.where(n_alpha % 2 == 0, at((self.alpha + n_alpha // 2) % n_alpha, self.ring), OUTSIDE)
        elif direction == "r":
            found = np.where(self.ring + 1 < n_rings, cell + 1, OUTSIDE)
        elif direction == "z":
            pairs = zip(self.layers, self.layers[1:], strict=False)
            alike = np.array([(a.r_edges, a.n_alpha) == (b.r_edges, b.n_alpha) for a, b in pairs] + [False])
            found = np.where(alike[self.layer], cell + np.diff(self.layer_offsets)[self.layer], OUTSIDE)
        else:
            raise ValueError(f"direction {direction!r} is none of {DIRECTIONS}")
        return found.astype(np.int32)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that numbers or weighs a cell: layers and threshold, not the name."""
        content = {key: value for key, value in self.to_json().items() if key != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers; `from_json` undoes it."""
        return json.loads(json.dumps(asdict(self)))


def from_json(table: dict[str, Any]) -> Cylinder:
    """Undoes `Cylinder.to_json`."""
    layers = tuple(Layer(**(layer | {"r_edges": tuple(layer["r_edges"])})) for layer in table["layers"])
    return Cylinder(table["name"], layers, table["threshold"])


def _middles(edges: tuple[float, ...]) -> np.ndarray:
    return (np.asarray(edges[1:]) + np.asarray(edges[:-1])) / 2


def _fixed(values: Any, dtype: type = np.int32) -> np.ndarray:
    array = np.asarray(values, dtype)
    array.setflags(write=False)
    return array
