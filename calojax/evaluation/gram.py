"""Frobenius distances of Pearson matrices by products of showers, where there are many more columns than showers.

With rows u_n (D,) of showers whose columns are centred and have length 1, C = sum_n u_n u_n^T and

    ||C_x - C_y||^2 = sum_nm (x_n.x_m)^2 + sum_nm (y_n.y_m)^2 - 2 sum_nm (x_n.y_m)^2

which takes N^2 D operations instead of N D^2. Means of C over groups of columns are products of sums of u over the
groups.
"""

from collections.abc import Callable, Sequence

import numpy as np

Unit = Callable[[str, slice], np.ndarray]  # sample, range of columns -> (N, n) float32, columns of length 1 or all 0


def squares(unit: Unit, tiles: Sequence[slice], pairs: Sequence[tuple[str, str]], done: Callable[[], None]) -> list:
    """Squared distance of each pair of samples. tiles: ranges that hold all columns; done(): called after each."""
    names = dict.fromkeys(name for pair in pairs for name in pair)
    products: dict[tuple[str, str], np.ndarray] = {
        pair: np.zeros((), np.float32) for pair in (*((name, name) for name in names), *pairs)
    }
    for tile in tiles:
        units = {name: unit(name, tile) for name in names}
        for a, b in products:
            products[a, b] = products[a, b] + units[a] @ units[b].T
        done()
    square = {pair: np.sum(np.square(product), dtype=np.float64) for pair, product in products.items()}
    return [max(square[a, a] + square[b, b] - 2 * square[a, b], 0.0) for a, b in pairs]


def sums_of_groups(unit: Unit, tiles: Sequence[slice], name: str, groups: np.ndarray) -> np.ndarray:
    """Sums (G, G) of C over pairs of different columns in the groups (D,), 0.."""
    n_groups, summed, diagonal = int(groups.max()) + 1, 0.0, np.zeros(len(groups))
    for tile in tiles:
        u = unit(name, tile)
        summed = summed + u @ np.eye(n_groups, dtype=np.float32)[groups[tile]]
        diagonal[tile] = np.einsum("ni,ni->i", u, u, dtype=np.float64)
    summed = np.asarray(summed, np.float64)
    return summed.T @ summed - np.diag(np.bincount(groups, diagonal))
