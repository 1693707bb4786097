"""A calorimeter of one layer of square crystals, seen along the axis of the showers.

Flat order of the cells: y slowest, then x, as images are stored. What takes cells by layer, alpha and ring finds one
layer, a row of crystals (one y) in place of an alpha bin and a column (one x) in place of a ring. Letters: V cells.
"""

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from calojax import digests
from calojax.errors import InputError
from calojax.geometry.cylinder import OUTSIDE

_REACH = 3  # crystals; showers are about two Moliere radii wide, which is about this


@dataclass(frozen=True)
class Grid:
    """n_x times n_y crystals of a pitch, mm, centred on (0, 0), and the energy (MeV) from which one counts as hit."""

    name: str
    n_x: int
    n_y: int
    pitch: float
    threshold: float

    def __post_init__(self):
        for key in ("n_x", "n_y", "pitch", "threshold"):
            if not 0 < getattr(self, key) < np.inf:
                raise InputError(
                    where=f"geometry {self.name}, {key}",
                    found=f"is {getattr(self, key)}",
                    rule="it must be above 0 and finite",
                    remedy="correct it",
                )

    @property
    def directions(self) -> tuple[str, ...]:
        """Those of `neighbours`."""
        return ("x", "y")

    @property
    def n_layers(self) -> int:
        """1."""
        return 1

    @property
    def n_cells(self) -> int:
        """V."""
        return self.n_x * self.n_y

    @property
    def reach(self) -> float:
        """How far from their axis showers are looked at, mm."""
        return _REACH * self.pitch

    @cached_property
    def n_rings(self) -> np.ndarray:
        """(1,): columns."""
        return np.array([self.n_x], np.int32)

    @cached_property
    def n_alpha(self) -> np.ndarray:
        """(1,): rows."""
        return np.array([self.n_y], np.int32)

    @cached_property
    def layer_offsets(self) -> np.ndarray:
        """(2,): 0 and V."""
        return np.array([0, self.n_cells], np.int32)

    @cached_property
    def layer(self) -> np.ndarray:
        """(V,): 0."""
        return np.zeros(self.n_cells, np.int32)

    @cached_property
    def ring(self) -> np.ndarray:
        """(V,): column, 0 at the lowest x."""
        return np.arange(self.n_cells, dtype=np.int32) % self.n_x

    @cached_property
    def alpha(self) -> np.ndarray:
        """(V,): row, 0 at the lowest y."""
        return np.arange(self.n_cells, dtype=np.int32) // self.n_x

    @cached_property
    def r_mid(self) -> np.ndarray:
        """(V,) mm: distance of the crystal's middle from the middle of the grid."""
        return np.hypot(self.centres[:, 0], self.centres[:, 1])

    @cached_property
    def centres(self) -> np.ndarray:
        """(V, 3) mm: x, y and 0."""
        x, y = ((place - (n - 1) / 2) * self.pitch for place, n in ((self.ring, self.n_x), (self.alpha, self.n_y)))
        return np.stack([x, y, np.zeros(self.n_cells)], axis=1)

    def neighbours(self, direction: str) -> np.ndarray:
        """(V,) int32: the next crystal in x or y, OUTSIDE (-1) where there is none."""
        if direction not in self.directions:
            raise ValueError(f"no direction {direction!r}; there are x and y")
        place, n, step = (self.ring, self.n_x, 1) if direction == "x" else (self.alpha, self.n_y, self.n_x)
        return np.where(place + 1 < n, np.arange(self.n_cells) + step, OUTSIDE).astype(np.int32)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of everything but the name."""
        return digests.of_table({key: value for key, value in asdict(self).items() if key != "name"})
