"""A calorimeter segment around the axis of a shower: layers along z, each cut into rings and alpha bins.

Flat order of the cells: layer slowest, then alpha, then r fastest, as in the CaloChallenge files. Alpha bin 0 starts
at -pi. Layers may differ in their binning. Letters: L layers, V cells, B rings of one layer, A alpha bins of one layer.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from calojax import digests
from calojax.errors import InputError

OUTSIDE = -1
Direction = Literal["alpha", "opposite", "r", "z"]


@dataclass(frozen=True)
class Layer:
    """One layer: its number in the detector, edges of its B rings (B + 1,) mm, alpha bins, begin and end in z, mm."""

    id: int
    r_edges: tuple[float, ...]
    n_alpha: int
    z_min: float
    z_max: float

    def __post_init__(self):
        edges = self.r_edges
        if len(edges) < 2 or edges[0] < 0 or not all(low < high for low, high in pairwise(edges)):
            raise self._refused("r_edges", edges, "radii must increase from 0 or more, at least one ring")
        if not np.isfinite((*edges, self.z_min, self.z_max)).all():
            raise self._refused("edges", (*edges, self.z_min, self.z_max), "edges must be finite")
        if self.n_alpha < 1:
            raise self._refused("n_alpha", self.n_alpha, "at least one alpha bin is needed")
        if not self.z_min < self.z_max:
            raise self._refused("z", (self.z_min, self.z_max), "z must increase")

    @property
    def n_rings(self) -> int:
        """B."""
        return len(self.r_edges) - 1

    @property
    def n_cells(self) -> int:
        """A times B."""
        return self.n_rings * self.n_alpha

    def _refused(self, key: str, value: Any, rule: str) -> InputError:
        return InputError(where=f"layer {self.id}, {key}", found=f"is {value}", rule=rule, remedy="correct it")


@dataclass(frozen=True)
class Cylinder:
    """Layers from the front to the back, and the energy (MeV) from which a cell counts as hit. Arrays are read-only."""

    name: str
    layers: tuple[Layer, ...]
    threshold: float

    def __post_init__(self):
        if not self.layers:
            raise self._refused("has no layers", "one is needed at least")
        if sum(layer.n_cells for layer in self.layers) >= 2**31:
            raise self._refused("has 2^31 cells or more", "cells are counted in 32 bits")
        if not 0 < self.threshold < np.inf:
            raise self._refused(f"has the threshold {self.threshold} MeV", "it must be above 0 and finite")

    @property
    def directions(self) -> tuple[str, ...]:
        """Those of `neighbours`."""
        return ("alpha", "opposite", "z", "r")

    @property
    def reach(self) -> float:
        """The largest radius, mm."""
        return max(float(layer.r_edges[-1]) for layer in self.layers)

    @property
    def n_layers(self) -> int:
        """L."""
        return len(self.layers)

    @property
    def n_cells(self) -> int:
        """V."""
        return int(self.layer_offsets[-1])

    @cached_property
    def n_rings(self) -> np.ndarray:
        """(L,) int32."""
        return _whole([layer.n_rings for layer in self.layers])

    @cached_property
    def n_alpha(self) -> np.ndarray:
        """(L,) int32."""
        return _whole([layer.n_alpha for layer in self.layers])

    @cached_property
    def layer_offsets(self) -> np.ndarray:
        """(L + 1,) int32: the cells of layer l are [l] up to [l + 1]."""
        return _whole(np.concatenate([[0], np.cumsum(self.n_rings * self.n_alpha)]))

    @cached_property
    def layer(self) -> np.ndarray:
        """(V,) int32: position of the cell's layer in `layers` (not its id)."""
        return _whole(np.repeat(np.arange(self.n_layers), np.diff(self.layer_offsets)))

    @cached_property
    def ring(self) -> np.ndarray:
        """(V,) int32: number of the ring in its layer, innermost 0."""
        return _whole(self._within_layer % self.n_rings[self.layer])

    @cached_property
    def alpha(self) -> np.ndarray:
        """(V,) int32: alpha bin; 0 starts at -pi."""
        return _whole(self._within_layer // self.n_rings[self.layer])

    @cached_property
    def r_mid(self) -> np.ndarray:
        """(V,) float64 mm: arithmetic middle of the ring."""
        return _fixed(np.concatenate([np.tile(_middles(layer.r_edges), layer.n_alpha) for layer in self.layers]))

    @cached_property
    def alpha_mid(self) -> np.ndarray:
        """(V,) float64 rad: middle of the alpha bin, in (-pi, pi)."""
        return _fixed(-np.pi + (self.alpha + 0.5) * (2 * np.pi / self.n_alpha[self.layer]))

    @cached_property
    def centres(self) -> np.ndarray:
        """(V, 3) float64 mm: x = r cos(alpha), y = r sin(alpha) and z in the middle of the cell."""
        z = np.array([0.5 * (layer.z_min + layer.z_max) for layer in self.layers])[self.layer]
        return _fixed(np.stack([self.r_mid * np.cos(self.alpha_mid), self.r_mid * np.sin(self.alpha_mid), z], axis=1))

    def neighbours(self, direction: Direction) -> np.ndarray:
        """(V,) int32: the flat index of each cell's neighbour, OUTSIDE (-1) where there is none.

        alpha: the next bin, periodic; opposite: half a turn away (where the number of bins is even); r: the next ring
        outwards; z: the cell with the same alpha and r edges in the next layer. No cell is its own neighbour.
        """
        n_alpha, n_rings = self.n_alpha[self.layer], self.n_rings[self.layer]
        if direction == "alpha":
            return self._flat((self.alpha + 1) % n_alpha, self.ring, n_alpha > 1)
        if direction == "opposite":
            return self._flat((self.alpha + n_alpha // 2) % n_alpha, self.ring, n_alpha % 2 == 0)
        if direction == "r":
            return self._flat(self.alpha, self.ring + 1, self.ring + 1 < n_rings)
        if direction == "z":
            return self._neighbours_z
        raise ValueError(f"no direction {direction!r}; there are alpha, opposite, r and z")

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of layers and threshold; the name does not enter."""
        content = {key: value for key, value in asdict(self).items() if key != "name"}
        return digests.of_table(content)

    def to_json(self) -> dict[str, Any]:
        """Everything, as a JSON writer takes it; `from_json` undoes it."""
        return json.loads(json.dumps(asdict(self)))

    @cached_property
    def _within_layer(self) -> np.ndarray:
        return np.arange(self.n_cells) - self.layer_offsets[self.layer]

    @cached_property
    def _neighbours_z(self) -> np.ndarray:
        found = np.full(self.n_cells, OUTSIDE)
        for here, (front, back) in enumerate(pairwise(self.layers)):
            if front.n_alpha != back.n_alpha:
                continue
            rings = {edges: ring for ring, edges in enumerate(pairwise(back.r_edges))}
            to = np.array([rings.get(edges, OUTSIDE) for edges in pairwise(front.r_edges)])
            there = self.layer_offsets[here + 1] + np.arange(front.n_alpha)[:, None] * back.n_rings + to
            found[self.layer_offsets[here] : self.layer_offsets[here + 1]] = np.where(to >= 0, there, OUTSIDE).ravel()
        return _whole(found)

    def _flat(self, alpha: np.ndarray, ring: np.ndarray, exists: np.ndarray) -> np.ndarray:
        """(V,) flat index of (layer of the cell, alpha, ring)."""
        index = self.layer_offsets[self.layer] + alpha * self.n_rings[self.layer] + ring
        return _whole(np.where(exists, index, OUTSIDE))

    def _refused(self, found: str, rule: str) -> InputError:
        return InputError(where=f"geometry {self.name}", found=found, rule=rule, remedy="correct it")


def from_json(table: dict[str, Any]) -> Cylinder:
    """The geometry that `Cylinder.to_json` described; InputError if it did not."""
    try:
        layers = (Layer(**{**entry, "r_edges": tuple(entry["r_edges"])}) for entry in table["layers"])
        return Cylinder(table["name"], tuple(layers), table["threshold"])
    except (KeyError, TypeError) as error:
        raise InputError(
            where="geometry of the manifest",
            found=f"is incomplete or wrong ({error})",
            rule="it has a name, layers and a threshold",
            remedy="run `calojax prepare` again",
        ) from None


def _middles(edges: tuple[float, ...]) -> np.ndarray:
    return 0.5 * (np.array(edges[:-1]) + edges[1:])


def _whole(values: Any) -> np.ndarray:
    return _fixed(np.asarray(values, np.int32))


def _fixed(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
