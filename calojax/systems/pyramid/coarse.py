"""Coarse-graining of a cylindrical geometry: cells -> rings (all cells in alpha) -> layers (all rings).

Works for any `geometry.Cylinder`, also one whose layers are binned differently: rings and cells that a layer lacks are
marked, and a ring's neighbour in the next layer is the one at the nearest radius.
"""

from typing import Any, NamedTuple

import numpy as np

from calojax.geometry import Cylinder

# (layers, rings) from a ring to its neighbours, nearest first; the first FACES of them share a face
FACES = 4
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
OUTSIDE = -1
Numbers = Any  # numpy arrays on the host, JAX arrays in a program


class Tree(NamedTuple):
    """Who belongs to whom; int32 arrays, OUTSIDE where there is nothing."""

    ring_layer: Numbers  # (N,)
    ring_radius: Numbers  # (N,) number of the ring in its layer
    ring_cells: Numbers  # (N, A) flat cell index by alpha
    ring_near: Numbers  # (M, N) neighbouring ring
    layer_rings: Numbers  # (L, R)
    cell_ring: Numbers  # (V,)
    cell_alpha: Numbers  # (V,)


def tree(geometry: Cylinder) -> Tree:
    """The tree of a geometry, as numpy arrays."""
    n_rings, n_alpha = np.asarray(geometry.n_rings), np.asarray(geometry.n_alpha)
    first = np.concatenate([[0], np.cumsum(n_rings)])
    ring_layer = np.repeat(np.arange(geometry.n_layers), n_rings)
    ring_radius = np.arange(first[-1]) - first[ring_layer]
    layer_rings = np.full((geometry.n_layers, n_rings.max()), OUTSIDE)
    layer_rings[ring_layer, ring_radius] = np.arange(first[-1])
    cell_ring = first[geometry.layer] + geometry.ring
    ring_cells = np.full((first[-1], n_alpha.max()), OUTSIDE)
    ring_cells[cell_ring, geometry.alpha] = np.arange(geometry.n_cells)
    near = np.stack([_neighbour(geometry, first, ring_layer, ring_radius, *step) for step in NEIGHBOURS])
    parts = (ring_layer, ring_radius, ring_cells, near, layer_rings, cell_ring, geometry.alpha)
    return Tree(*(np.asarray(part, np.int32) for part in parts))


def swapped(ring: Numbers, radii: int) -> Numbers:
    """0 1 2 3 4 -> 1 0 3 2 4.

    Where layers go through their rings one by one, even layers go outwards and odd ones in this order, so that of two
    rings at the same radius in adjacent layers one comes before the other. Only the last ones of an odd number get
    their turn together, and these take what is left: nothing is decided there.
    """
    other = ring ^ 1
    return other - (other == radii)


def _neighbour(geometry, first, ring_layer, ring_radius, layers, rings):
    """(N,) number of the ring `layers` on and `rings` outwards of the one at the same radius there."""
    middle = [0.5 * (np.asarray(layer.r_edges[1:]) + np.asarray(layer.r_edges[:-1])) for layer in geometry.layers]
    out = np.full(len(ring_layer), OUTSIDE)
    for ring, (layer, radius) in enumerate(zip(ring_layer, ring_radius, strict=True)):
        there = layer + layers
        if 0 <= there < geometry.n_layers:
            same = radius if layers == 0 else int(np.abs(middle[there] - middle[layer][radius]).argmin())
            if 0 <= same + rings < len(middle[there]):
                out[ring] = first[there] + same + rings
    return out
