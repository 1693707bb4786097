"""Showers in bulk: windows, tiles, keys, capacities.

T showers in a tile, N in a request. Showers are sorted by incident energy inside windows of consecutive indices only
and cut into tiles of T; a tile is one independent job with the keys of its showers, so that a request gives the same
bits however it is written and on however many devices of one kind. A tile is computed at the capacity that its
energies suggest and again at the next one if it did not fit.
"""

import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from calojax.errors import InputError
from calojax.generation.sinks import Block, Sink
from calojax.progress import Progress
from calojax.shards.reader import ranges
from calojax.system import Model, Sparse

_PER_DEVICE = 2  # tiles handed to a device ahead of the one being fetched


class NonFiniteShower(ArithmeticError):
    """A generated shower holds NaN or infinity; nothing was written."""


def run(
    system: ModuleType,
    model: Model,
    config: Any,
    conditions: Mapping[str, np.ndarray],
    seed: int,
    sink: Sink,
    *,
    trained: Mapping[str, tuple[float, float]] | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> Any:
    """Generate one shower per row of the conditions and hand them to the sink in order; returns what the sink makes.

    conditions: arrays (N, ...) by name, `incident_energy` (N,) in MeV among them; trained: smallest and largest value
    by condition (`manifest.ranges`), outside of which a warning says by how much; devices: default all local ones.
    Raises InputError for conditions that are not finite or energies not above 0, NonFiniteShower naming the shower.
    """
    conditions = _checked(conditions)
    _warn_outside(conditions, trained or {})
    jobs = _Jobs(system, model, config, conditions, seed, devices or jax.local_devices())
    total = len(conditions["incident_energy"])
    with sink, Progress(total, "generate", unit="showers", enabled=progress) as line:
        for block in _windows(jobs, total, config.generation.window):
            sink.append(block)
            line.advance(len(block.counts))
        return sink.finish()


class _Hits(NamedTuple):
    """Showers of one tile on the host: their indices in the request and their hits, one after another."""

    shower: np.ndarray  # (n,) int64
    counts: np.ndarray  # (n,) int64
    index: np.ndarray  # (sum of counts,) int32
    energy: np.ndarray  # (sum of counts,) float32, MeV


class _Jobs:
    """Tiles as they are computed: one jitted function per capacity, whole tiles dealt to the devices in turn."""

    def __init__(self, system, model, config, conditions, seed, devices):
        self._system, self._config, self._conditions = system, config, conditions
        self._devices = devices
        self._models = [jax.device_put(model, device) for device in devices]
        self._capacities = system.capacities(config, model.constants)
        self._constants = model.constants
        self._key = jax.random.key(seed, impl="threefry2x32")
        self._compiled: dict[Any, Any] = {}
        self.depth = _PER_DEVICE * len(devices)

    def start(self, number: int, showers: np.ndarray) -> tuple[int, int, np.ndarray, Sparse]:
        """Hand tile `number` of these showers (at most T) to its device."""
        tile = self._config.generation.tile
        filled = np.concatenate([showers, np.full(tile - len(showers), showers[-1])])
        conditions = {name: array[filled] for name, array in self._conditions.items()}
        level = self._system.expected_capacity(self._config, self._constants, conditions)
        return number, level, showers, self._submit(number, level, filled, conditions)

    def finish(self, job: tuple[int, int, np.ndarray, Sparse]) -> _Hits:
        """Fetch a tile, at higher capacities until it fits."""
        number, level, showers, found = job
        while bool(found.overflow):
            level += 1
            if level >= len(self._capacities):
                raise RuntimeError("a tile overflowed the largest capacity, which has to be dense")
            filled = np.concatenate([showers, np.full(self._config.generation.tile - len(showers), showers[-1])])
            conditions = {name: array[filled] for name, array in self._conditions.items()}
            found = self._submit(number, level, filled, conditions)
        counts, index, energy = jax.device_get((found.count, found.index, found.energy))
        counts = counts[: len(showers)].astype(np.int64)
        kept = int(counts.sum())
        hits = _Hits(showers, counts, index[:kept].astype(np.int32), energy[:kept].astype(np.float32))
        _check_finite(hits)
        return hits

    def _submit(self, number: int, level: int, showers: np.ndarray, conditions: dict[str, np.ndarray]) -> Sparse:
        turn = number % len(self._devices)
        capacity = self._capacities[level]
        if capacity not in self._compiled:
            self._compiled[capacity] = jax.jit(partial(_tile, self._system.generate, self._config, capacity))
        inputs = jax.device_put((conditions, showers.astype(np.uint32), self._key), self._devices[turn])
        return self._compiled[capacity](self._models[turn], *inputs)


def _tile(generate, config, capacity, model: Model, conditions, showers: jax.Array, key: jax.Array) -> Sparse:
    keys = jax.vmap(partial(jax.random.fold_in, key))(showers)
    return generate(model, conditions, keys, config, capacity)


def _windows(jobs: _Jobs, total: int, window: int) -> Iterator[Block]:
    """Windows in order, while tiles of the next ones are already being computed."""
    energies = jobs._conditions["incident_energy"]
    waiting: deque = deque()
    collected: list[_Hits] = []
    remaining: deque[tuple[int, int, int]] = deque()  # first, last, tiles of the windows begun
    number = 0
    for first in range(0, total, window):
        last = min(first + window, total)
        order = first + np.argsort(energies[first:last], kind="stable")
        tiles = np.split(order, range(jobs._config.generation.tile, len(order), jobs._config.generation.tile))
        remaining.append((first, last, len(tiles)))
        for showers in tiles:
            waiting.append(jobs.start(number, showers))
            number += 1
            if len(waiting) > jobs.depth:
                collected.append(jobs.finish(waiting.popleft()))
                if len(collected) == remaining[0][2]:
                    yield _assemble(jobs._conditions, *remaining.popleft()[:2], collected)
                    collected = []
    while waiting:
        collected.append(jobs.finish(waiting.popleft()))
        if len(collected) == remaining[0][2]:
            yield _assemble(jobs._conditions, *remaining.popleft()[:2], collected)
            collected = []


def _assemble(conditions, first: int, last: int, tiles: list[_Hits]) -> Block:
    """The showers first to last in their order, from their tiles."""
    shower = np.concatenate([t.shower for t in tiles])
    counts = np.concatenate([t.counts for t in tiles])
    order = np.argsort(shower)
    where = ranges((np.cumsum(counts) - counts)[order], counts[order])
    return Block(
        {name: array[first:last] for name, array in conditions.items()},
        counts[order],
        np.concatenate([t.index for t in tiles])[where],
        np.concatenate([t.energy for t in tiles])[where],
    )


def _check_finite(hits: _Hits) -> None:
    finite = np.isfinite(hits.energy)
    if not finite.all():
        shower = np.repeat(hits.shower, hits.counts)[~finite].min()
        raise NonFiniteShower(f"shower {shower} has an energy that is not finite; nothing was written")


def _checked(conditions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Conditions as float32 (integers stay), finite, of one length, with energies above 0."""
    checked = {}
    for name, array in conditions.items():
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype.kind == "f" or name == "incident_energy" else array
        bad = ~np.isfinite(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
        if name == "incident_energy":
            bad |= ~(array > 0)
        if bad.any():
            row = int(np.argwhere(bad)[0][0])
            raise InputError(
                where=f"{name}, row {row}",
                found=f"is {array[row]}",
                rule="conditions must be finite and energies above 0 MeV",
                remedy="remove or mend this row",
            )
        checked[name] = array
    lengths = {name: len(array) for name, array in checked.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise InputError(
            where="conditions",
            found=f"have {lengths} rows",
            rule="every condition needs one row per shower and at least one",
            remedy="give arrays of one length",
        )
    return checked


def _warn_outside(conditions: Mapping[str, np.ndarray], trained: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in trained.items():
        if name not in conditions:
            continue
        values = conditions[name]
        below, above = values < np.float32(low), values > np.float32(high)
        if not (below | above).any():
            continue
        by = [f"down to {values.min():,.6g}, {low - values.min():,.6g} below it"] if below.any() else []
        by += [f"up to {values.max():,.6g}, {values.max() - high:,.6g} above it"] if above.any() else []
        warnings.warn(
            f"{name}: {(below | above).sum():,} of {len(values):,} showers lie outside the trained range "
            f"{low:,.6g} to {high:,.6g} ({'; '.join(by)}); what they look like was never tested",
            stacklevel=3,
        )
