"""What training does not change and every stage needs: the tree, tables of hit counts, scales of the energies."""

from typing import Any, NamedTuple

import jax
import numpy as np

from calojax.geometry import Cylinder
from calojax.nn import cdf
from calojax.systems.pyramid import windows
from calojax.systems.pyramid.coarse import Tree, tree

Numbers = Any  # numpy arrays on the host, JAX arrays in a program


class Polynomials(NamedTuple):
    """Mean (Q, 4) and logarithm of the width (Q, 2) of Q quantities, in powers of ln(E / 10 GeV)."""

    mean: Numbers
    log_width: Numbers


class LayerSize(NamedTuple):
    """Of each layer, (L,): its cells, its rings, the cells of each of them."""

    cells: Numbers
    rings: Numbers
    per_ring: Numbers


class Parents(NamedTuple):
    """Tables of one stage of the published form, by position of the parent (P of them, n children at most)."""

    table: cdf.Table  # number of hit children
    frequency: Numbers  # (P, n) how often a child is hit, if its parent is
    exists: Numbers  # (P, n) bool


class Constants(NamedTuple):
    """Arrays in float32 and int32; energies MeV."""

    tree: Tree
    threshold: Numbers  # scalar, float32
    log_energy: Numbers  # (2,) trained range of ln E
    layer_features: Numbers  # (F, L) position of a layer
    ring_features: Numbers  # (F', N) position of a ring
    ring_size: Numbers  # (N,) cells of a ring
    windows: windows.Windows  # what the cells of a ring see
    turns: Numbers  # scalar: turns about the axis that take every ring into itself
    hit_layers: Numbers  # (L + 1,) log probability of the number of hit layers
    layer_size: LayerSize
    hit_cells: Numbers  # (N, A) log probability of 1..A hit cells
    layers_of: Parents  # the shower, its layers
    rings_of: Parents  # the layers, their rings
    cells_of: Parents  # the rings, their cells
    log_hits: Polynomials  # ln of the number of hit cells
    hit_share: Polynomials  # (L) logit of a layer's share of the hit cells that are left
    response: Polynomials  # ln of excess energy over incident energy
    layer_share: Polynomials  # (L) logit of a layer's share of the energy that is left, less that of its hits
    ring_share: Polynomials  # (N) the same of a ring in its layer
    sizes: Polynomials  # (2) numbers of hit rings and hit cells of a shower
    typical: Numbers  # (2,) mean numbers of hit rings and hit cells of a training shower
    cells_per_ring: Numbers  # scalar: largest mean number of hit cells in a hit ring, over showers


def build(geometry: Cylinder, threshold: float, statistics: dict[str, np.ndarray], pseudo: float) -> Constants:
    """From the manifest's statistics (`statistics.Statistics.arrays`)."""
    whole = tree(geometry)
    hit_cells = cdf.probabilities(statistics["hit_cells"], pseudo, _between(whole.ring_cells >= 0))
    of = _parents(whole, statistics, pseudo)
    log = lambda probability: np.log(np.maximum(probability, 1e-12))
    fit = lambda name: Polynomials(statistics[f"{name}.mean"], statistics[f"{name}.log_width"])
    constants = Constants(
        tree=whole,
        threshold=np.float32(threshold),
        log_energy=statistics["log_energy"],
        layer_features=_layer_features(geometry.n_layers),
        ring_features=_ring_features(whole),
        ring_size=(whole.ring_cells >= 0).sum(1),
        windows=windows.build(whole),
        turns=np.gcd.reduce(geometry.n_alpha[geometry.n_alpha > 1]) if (geometry.n_alpha > 1).any() else 1,
        hit_layers=log(cdf.probabilities(statistics["hit_layers"], pseudo)[0]),
        layer_size=LayerSize(geometry.n_rings * geometry.n_alpha, geometry.n_rings, geometry.n_alpha),
        hit_cells=log(hit_cells[:, 1:]),
        layers_of=of["layers"],
        rings_of=of["rings"],
        cells_of=of["cells"],
        typical=np.maximum(statistics["size_moments"][0], 1.0),
        cells_per_ring=statistics["cells_per_ring"][0],
        log_hits=fit("log_hits"),
        hit_share=fit("hit_share"),
        response=fit("response"),
        layer_share=fit("layer_share"),
        ring_share=fit("ring_share"),
        sizes=fit("sizes"),
    )
    return _narrow(constants)


def _parents(whole: Tree, statistics: dict[str, np.ndarray], pseudo: float) -> dict[str, Parents]:
    """What the published form needs: tables and hit frequencies from the counts of hit children."""
    layers, rings, cells = (statistics[name] for name in ("hit_layers", "hit_rings", "hit_cells"))
    showers, in_layer, in_ring = layers.sum(), rings.sum(1), cells.sum(1)  # how often each parent was hit
    ring_exists, cell_exists = whole.layer_rings >= 0, whole.ring_cells >= 0
    of_rings = np.where(ring_exists, in_ring[whole.layer_rings], 0) / np.maximum(in_layer, 1)[:, None]
    hits = cells @ np.arange(cells.shape[1])
    of_cells = (hits / np.maximum(in_ring, 1) / cell_exists.sum(1))[:, None] * cell_exists
    all_layers = np.ones((1, len(in_layer)), bool)
    made = {
        "layers": (layers, in_layer[None] / showers, all_layers, None),
        "rings": (rings, of_rings, ring_exists, _between(ring_exists)),
        "cells": (cells, of_cells, cell_exists, _between(cell_exists)),
    }
    return {
        name: Parents(cdf.table(cdf.probabilities(counts, pseudo, allowed)), np.clip(q, 1e-3, 1 - 1e-3), exists)
        for name, (counts, q, exists, allowed) in made.items()
    }


def _narrow(constants: Any) -> Any:
    """float64 -> float32, int64 -> int32."""
    to = {"f": np.float32, "i": np.int32, "u": np.uint32, "b": np.bool_}
    return jax.tree.map(lambda a: np.asarray(a).astype(to[np.asarray(a).dtype.kind]), constants)


def _between(exists: np.ndarray) -> np.ndarray:
    """exists (P, n) -> (P, n + 1): which numbers of hit children are possible, 1..(how many exist)."""
    numbers = np.arange(exists.shape[1] + 1)
    return (numbers >= 1) & (numbers <= exists.sum(1)[:, None])


def _layer_features(layers: int) -> np.ndarray:
    """Depth in waves of 1/2 to 8 periods, smooth features at several scales, and the depth itself; (11, L)."""
    depth = (np.arange(layers) + 0.5) / layers
    waves = [f(np.pi * frequency * depth) for frequency in (1, 2, 4, 8, 16) for f in (np.sin, np.cos)]
    return np.stack([2 * depth - 1, *waves])


def _ring_features(whole: Tree) -> np.ndarray:
    """One-hot radial number and the features of the layer; (R + 11, N)."""
    layers, radii = whole.layer_rings.shape
    return np.concatenate([np.eye(radii)[whole.ring_radius].T, _layer_features(layers)[:, whole.ring_layer]])
