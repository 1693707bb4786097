"""What a system is: the tuples it exchanges with the shared rooms, and the table of systems, loaded by name.

A system is a module of plain functions. All of them have

    Config                                           frozen dataclass: data, model, training, generation; no paths
    prepare(sources, out, config) -> Manifest        outside files -> shards
    init(key, config, manifest) -> Model
    constants(config, manifest)                      what training does not change; the third part of the Model
    phases(config) -> tuple[Phase | Fit, ...]
    loss(params, model, batch, key, config) -> Loss  named by an Update
    buckets(config, manifest) -> {ragged group: capacities of a tile, increasing}

and those that generate showers have

    generate(model, conditions, keys, config, capacity) -> Sparse
    capacities(config, constants) -> tuple           hashable, increasing; the last holds every tile
    expected_capacity(config, constants, conditions) -> position in `capacities`
                                                     in all three config.generation.tile is the showers of the tile
    conditions(path, config, manifest) -> {name: (N, ...)}
                                                     of every shower of a file in the layout of the system's data

A system that has more to be judged than showers has

    evaluate(model, reference, config, manifest, level) -> (metrics, curves)
                                                     by name, of a file or of arrays; level: of the judge

Its `Config` lives in a module `config` beside it that imports no JAX, so that the command line can list every field;
`Config.data.rows` is how many rows `prepare` reads, from the first on, None for all.
"""

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from calojax.errors import InputError

TABLE = {"pyramid": "calojax.systems.pyramid.system", "qvae": "calojax.systems.qvae.system"}


class Model(NamedTuple):
    """params: trees of arrays that the optimiser changes; state: what training changes without a gradient;
    constants: what it does not change (geometry, tables, scales), made from the manifest."""

    params: Any
    state: Any
    constants: Any


class Loss(NamedTuple):
    """total: sum of the loss over the rows of a batch, times their weights; weight: sum of the weights; state: the new
    state; metrics: further sums like `total`, by name."""

    total: Any
    weight: Any
    state: Any
    metrics: dict[str, Any]


class Sparse(NamedTuple):
    """The hits of a tile of T showers, sorted by shower, padded to C places.

    index (C,) int32 flat cell within the geometry; energy (C,) float32 MeV; count (T,) int32 hits of each shower;
    overflow: bool, the capacity was too small and the rest is invalid.
    """

    index: Any
    energy: Any
    count: Any
    overflow: Any


@dataclass(frozen=True)
class Update:
    """One gradient step of a phase.

    loss: (params, model, batch, key, config) -> Loss; trainable: first keys of the parameters that it changes, or a
    predicate of a parameter's path (tuple of keys), default all; optimiser: (Training, its number of steps) -> optax
    transformation, default the configured one; every: it runs in each every-th step of the phase.
    """

    name: str
    loss: Callable[..., Loss]
    trainable: tuple[str, ...] | Callable[[tuple[str, ...]], bool] | None = None
    optimiser: Callable[[Any, int], Any] | None = None
    every: int = 1


@dataclass(frozen=True)
class Phase:
    """`steps` steps; the updates run in order within one jitted step."""

    name: str
    steps: int
    updates: tuple[Update, ...]


@dataclass(frozen=True)
class Fit:
    """A phase without gradient. fit: (shards, params, config) -> params."""

    name: str
    fit: Callable[[Any, Any, Any], Any]


def load(name: str) -> ModuleType:
    """The module of a system; InputError with the nearest name if there is none."""
    return importlib.import_module(_path(name))


def load_config(name: str) -> type:
    """The Config of a system, without importing JAX."""
    package = _path(name).rpartition(".")[0]
    return importlib.import_module(f"{package}.config").Config


def _path(name: str) -> str:
    if name not in TABLE:
        near = difflib.get_close_matches(name, TABLE, 1) or sorted(TABLE)[:1]
        raise InputError(
            where=f"system {name[:100]}",
            found="is unknown",
            rule=f"the systems are {', '.join(sorted(TABLE))}",
            remedy=f"did you mean {near[0]}?",
        )
    return TABLE[name]
