"""The pyramid as a system: what the shared rooms ask of it."""

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax import geometry, shards
from calojax.errors import InputError
from calojax.files import calochallenge
from calojax.nn import sets
from calojax.system import Loss, Model, Phase, Sparse, Update
from calojax.systems.pyramid import constants as fixed
from calojax.systems.pyramid import preparation, showers, statistics, truth
from calojax.systems.pyramid.config import Config
from calojax.training.tiles import sum_over_tiles

NAME = "pyramid"
_SIGMAS = 3.5  # a tile's list of hit rings holds its expected number plus this many standard deviations
_OCTAVE = (32, 40, 48, 56)  # places in a list of rings, these and their doubles; each that is used is a compilation


def init(key: Array, config: Config, manifest: shards.Manifest) -> Model:
    """Fresh parameters and the constants of the manifest."""
    known = constants(config, manifest)
    return Model(showers.init(key, config.model, known), {}, known)


def constants(config: Config, manifest: shards.Manifest) -> fixed.Constants:
    """What the manifest says of geometry, tables and scales."""
    cylinder = geometry.from_json(manifest.geometry)
    try:
        threshold = float(manifest.statistics["threshold"])
        return fixed.build(cylinder, threshold, manifest.tables, config.data.pseudo_counts)
    except KeyError as missing:
        raise InputError(
            where="the manifest of the shards",
            found=f"has no statistics {missing}",
            rule="shards must be prepared by the version that reads them",
            remedy="run `calojax prepare` again",
        ) from None


def phases(config: Config) -> tuple[Phase, ...]:
    """One phase, all parameters: teacher forcing makes the stages' losses independent."""
    return (Phase("pyramid", config.training.steps, (Update("all", loss),)),)


def loss(params: Any, model: Model, batch: dict[str, Array], key: Array, config: Config) -> Loss:
    """Negative log likelihood, each stage divided by its mean number of variables; metrics in nats per shower."""
    known = model.constants

    def of_tile(tile, key):
        true = truth.from_hits(tile, known, statistics.SMALLEST_EXCESS)
        if config.model.turn:
            true = truth.turned(true, jax.random.fold_in(key, 0), known)
        scores = showers.log_probability(params, true, jax.random.fold_in(key, 1), config.model, known)
        return {name: -jnp.sum(score * tile["weight"]) for name, score in scores.items()}

    keys = jax.random.split(key, batch["weight"].shape[0])
    nats = sum_over_tiles(of_tile, batch, keys)
    sizes = variables(known)
    total = sum(value / sizes[name] for name, value in nats.items())
    return Loss(total, jnp.sum(batch["weight"]), {}, nats)


def variables(known: fixed.Constants) -> dict[str, Array | float]:
    """Typical number of variables of each stage in a shower: what its loss is divided by."""
    layers, radii = known.tree.layer_rings.shape
    rings, hits = known.typical
    return {
        "layers": layers,
        "numbers": 2.0 * layers,
        "rings": float(layers * radii),
        "counts": rings,
        "cells": rings * known.tree.ring_cells.shape[1],
        "energy_total": 1.0,
        "energy_layers": layers,
        "energy_rings": rings,
        "energy_cells": hits,
    }


def generate(
    model: Model, conditions: dict[str, Array], keys: Array, config: Config, capacity: tuple[int, int]
) -> Sparse:
    """Complete showers of one tile: conditions["incident_energy"] (T,), MeV; keys (T,); capacity: of `capacities`."""
    known, (rings, hits) = model.constants, capacity
    energy = conditions["incident_energy"].astype(jnp.float32)
    networks = replace(config.model, precision=config.generation.precision or config.model.precision)
    drawn = showers.draw(model.params, energy, keys, capacity, networks, known)
    cells = drawn.cells.shape[0]
    flat = sets.places(drawn.cells.T.ravel(), hits)
    place, alpha, used = jnp.minimum(flat // cells, rings - 1), flat % cells, flat < rings * cells
    index = jnp.where(used, known.tree.ring_cells[drawn.rings.ring[place], alpha], 0)
    value = jnp.where(used, drawn.excess[alpha, place] + known.threshold, 0.0)
    by_ring = jnp.sum(drawn.cells, 0, dtype=jnp.int32)
    count = sets.sum_by_owner(by_ring, drawn.rings.owner, energy.shape[0])
    return Sparse(index, value, count, drawn.overflow)


def capacities(config: Config, known: fixed.Constants) -> tuple[tuple[int, int], ...]:
    """Places for the hit rings and the hit cells of a tile, increasing; the last holds every cell of every shower.

    A list of rings comes with a tenth more cells than the fullest shower of the training data would have in it.
    """
    tile, cells = config.generation.tile, known.tree.ring_cells.shape[1]
    fullest = min(1.1 * float(known.cells_per_ring) + 1.0, cells)
    dense = tile * known.ring_size.shape[0]
    sizes = (size << doubled for doubled in itertools.count() for size in _OCTAVE)
    lists = tuple((size, math.ceil(size * fullest)) for size in itertools.takewhile(lambda size: size < dense, sizes))
    return (*lists, (dense, dense * cells))


def expected_capacity(config: Config, known: fixed.Constants, conditions: dict[str, np.ndarray]) -> int:
    """Position in `capacities` of the one that a tile with these energies (T,) should fit."""
    x = np.log(np.asarray(conditions["incident_energy"], float) / 1e4)
    value = lambda coefficients: np.polynomial.polynomial.polyval(x, np.asarray(coefficients[0], float))
    expected = np.clip(value(known.sizes.mean), 1, known.ring_size.shape[0])
    needed = expected.sum() + _SIGMAS * np.sqrt((np.exp(2 * value(known.sizes.log_width))).sum())
    lists = capacities(config, known)
    return min(bisect_left(lists, needed, key=lambda capacity: capacity[0]), len(lists) - 1)


def conditions(path: Path, config: Config, manifest: shards.Manifest) -> dict[str, np.ndarray]:
    """Incident energies (N,), MeV, of a CaloChallenge file, which need not hold showers."""
    return {"incident_energy": calochallenge.read_energies(path)}


def buckets(config: Config, manifest: shards.Manifest) -> dict[str, tuple[int, ...]]:
    """Capacities of the loader's ragged groups: the largest tile in a hundred thousand, and what holds every tile.

    Few, since each is a compilation.
    """
    cylinder, tile = geometry.from_json(manifest.geometry), config.training.tile
    rings, cells = int(np.sum(cylinder.n_rings)), cylinder.n_cells
    of_rings, of_cells = manifest.tables["size_moments"].T
    size = lambda moments, sigmas: tile * moments[0] + sigmas * np.sqrt(tile) * moments[1]
    return {
        "ring": _sizes(tile * rings, (size(of_rings, 4.5),)),
        "hit": _sizes(tile * cells, (size(of_cells, 4.5),)),
    }


def _sizes(dense: int, sizes: Iterable[float]) -> tuple[int, ...]:
    """Sizes rounded up to whole vectors, and the dense size."""
    rounded = {-(-int(size) // 32) * 32 for size in sizes}
    return (*sorted(size for size in rounded if size < dense), dense)


def prepare(sources: list[Path], out: Path, config: Config) -> shards.Manifest:
    """CaloChallenge HDF5 files -> shards of hit cells and hit rings, with the statistics that training needs."""
    return preparation.prepare(sources, out, config.data)
