"""Cells of any layers on one rectangular grid (Z layers, A sectors, R rings), for models that convolve.

Every cell has one place of its own, so a shower comes back from the grid bit for bit, energies and hits. The grid has
as many rings and sectors as the layer with the most. A layer with fewer rings fills the inner ones; sector s of a ring
with n sectors lies at the grid's sector floor((s + 1/2) A / n), that is where its middle is. Places without a cell are
empty in every shower, and `there` says which: a model masks them in its loss, and what it draws there is left out.
Layers that all have the same A x R sectors and rings fill the grid completely; of a `Cylinder` it is then its flat
order, reshaped.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from calojax.geometry.cylinder import Cylinder
from calojax.geometry.layered import Layered


@dataclass(frozen=True)
class Rectangle:
    """shape: (Z, A, R); place (V,) int32: the flat position of each cell, all different."""

    shape: tuple[int, int, int]
    place: np.ndarray

    @cached_property
    def there(self) -> np.ndarray:
        """(Z, A, R) bool: where there is a cell."""
        found = np.zeros(self.shape, bool)
        found.reshape(-1)[self.place] = True
        return found

    @cached_property
    def cell(self) -> np.ndarray:
        """(Z, A, R) int32: the cell at each place, -1 where there is none."""
        found = np.full(self.shape, -1, np.int32)
        found.reshape(-1)[self.place] = np.arange(len(self.place))
        return found

    @cached_property
    def is_flat_order(self) -> bool:
        """Whether the grid is the cells in their order, reshaped."""
        return np.array_equal(self.place, np.arange(np.prod(self.shape)))

    def to_grid(self, values: Any) -> Any:
        """(N, V), finite -> (N, Z, A, R) of the same type, 0 where there is no cell. NumPy or JAX, also traced."""
        if not self.is_flat_order:
            values = values[:, self.cell.ravel()] * self.there.ravel()
        return values.reshape(-1, *self.shape)

    def from_grid(self, grid: Any) -> Any:
        """(N, Z, A, R) -> (N, V): exactly what `to_grid` was given. NumPy or JAX arrays, also traced."""
        flat = grid.reshape(len(grid), -1)
        return flat if self.is_flat_order else flat[:, self.place]


def rectangle(geometry: Cylinder | Layered) -> Rectangle:
    """The smallest grid for the cells of a geometry, in its order of cells."""
    sectors = geometry.n_alpha if isinstance(geometry, Layered) else geometry.n_alpha[geometry.layer]
    shape = geometry.n_layers, int(sectors.max()), int(geometry.ring.max()) + 1
    alpha = (2 * geometry.alpha.astype(np.int64) + 1) * shape[1] // (2 * sectors)
    place = np.ravel_multi_index((geometry.layer, alpha, geometry.ring), shape).astype(np.int32)
    place.setflags(write=False)
    return Rectangle(shape, place)
