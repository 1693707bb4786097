"""Which cells are hit together: hit probabilities, their Pearson matrix, the Frobenius distance of two such matrices.

The matrices are those of `pearson`, of hits h in {0, 1}: a cell that is hit never or always is a constant column.
"""

import numpy as np

from calojax.evaluation import patterns, pearson
from calojax.evaluation.jackknife import Estimate
from calojax.evaluation.patterns import Patterns


def hit_probability(hits: np.ndarray | Patterns) -> np.ndarray:
    """Share of the showers in which each cell is hit: hits (N, V) -> (V,) float64."""
    hits = patterns.of(hits)
    counts = np.zeros(hits.n_cells, np.int64)
    for block in hits.blocks():
        counts += block.sum(axis=0, dtype=np.int64)
    return counts / len(hits)


def hit_pearson(hits: np.ndarray | Patterns, cells: slice = slice(None)) -> np.ndarray:
    """Pearson matrix (n, n) float64 of the hits (N, V) of a range of cells; hold V small, it is made whole."""
    hits = patterns.of(hits)
    first, last, _ = cells.indices(hits.n_cells)
    return pearson.pearson_matrix(hits.columns(first, last))


def frobenius_occupancy(reference: np.ndarray | Patterns, generated: np.ndarray | Patterns) -> Estimate:
    """Frobenius distance of the Pearson matrices of hits (N, V) and (M, V), with its error."""
    samples = {"reference": patterns.of(reference), "generated": patterns.of(generated)}
    return pearson.distances(samples, [("reference", "generated")]).distance[0]
