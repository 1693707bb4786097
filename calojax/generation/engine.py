"""Showers in bulk: windows, tiles, keys, capacities.

T showers in a tile, N in a request. Showers are sorted by incident energy inside windows of consecutive indices only
and cut into tiles of T; a tile is one independent job with the keys of its showers, so that a request gives the same
bits however it is written and on however many devices of one kind. A tile is computed at the capacity that its
energies suggest and again at the next one if it did not fit. Each capacity that is used is a program to compile.
"""

import itertools
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from calojax.errors import InputError, NotFinite
from calojax.generation import sizes
from calojax.generation.sinks import Block, Sink
from calojax.progress import Progress
from calojax.shards.reader import ranges
from calojax.system import Model, Sparse
from calojax.training import processes

_PER_DEVICE = 2  # tiles handed to a device ahead of the one being fetched
_CHUNK = 8_000  # showers of a piece: what an interruption can cost
_MARGIN = 0.01  # share of a limit of the trained range: the extremes of a finite file are no edge of what was learnt


class NonFiniteShower(NotFinite):
    """A generated shower holds NaN or infinity; nothing was written."""


def run(
    system: ModuleType,
    model: Model,
    config: Any,
    conditions: Mapping[str, np.ndarray],
    seed: int,
    sink: Sink,
    *,
    chunk: int | None = None,
    trained: Mapping[str, tuple[float, float]] | None = None,
    devices: Sequence[Any] | None = None,
    progress: bool = True,
) -> Any:
    """Generate one shower per row of the conditions and hand them to the sink in pieces; returns what the sink makes.

    conditions: arrays (N, ...) by name, `incident_energy` (N,) in MeV among them; chunk: showers of a piece, rounded up
    to whole windows, default 8,000: no bit of a shower depends on it; trained: smallest and largest value by condition
    (`manifest.ranges`), a warning says by how much others are more than 1 % outside; devices: default all local ones.
    Of several processes each makes every n-th piece; a signal ends them after the pieces at hand.
    Raises InputError for conditions that are not finite or energies not above 0, NonFiniteShower naming the shower.
    """
    conditions = _checked(conditions)
    _warn_outside(conditions, trained or {})
    energies, devices = conditions["incident_energy"], devices or jax.local_devices()
    tile, window, step = sizes.suited(config.generation, len(energies), devices[0].platform)
    config = replace(config, generation=replace(config.generation, tile=tile, window=window))
    jobs = _Jobs(system, model, config, conditions, seed, step, devices)
    size = _round_up(chunk or _CHUNK, math.lcm(window, sink.rows))
    pieces = [slice(first, min(first + size, len(energies))) for first in range(0, len(energies), size)]
    mine = range(jax.process_index(), len(pieces), jax.process_count())
    total = sum(pieces[number].stop - pieces[number].start for number in mine)
    with sink, Progress(total, "generate", unit="showers", enabled=progress and processes.is_first()) as line:
        wanted = [number for number in mine if not sink.has(number)]
        line.show(total - sum(pieces[number].stop - pieces[number].start for number in wanted))
        tiles = (cells for number in wanted for cells in _tiles(energies, pieces[number], window, tile))
        grouped = itertools.groupby(_results(jobs, tiles), key=lambda hits: int(hits.shower[0]) // size)
        blocks = ((number, _assemble(conditions, list(found))) for number, found in grouped)
        for written in processes.side_by_side(_appended(sink, len(wanted), blocks)):
            line.advance(written)
        return sink.finish(len(pieces))


class _Hits(NamedTuple):
    """Showers of one tile on the host: their indices in the request and their hits, one after another."""

    shower: np.ndarray  # (n,) int64
    counts: np.ndarray  # (n,) int64
    index: np.ndarray  # (sum of counts,) int32
    energy: np.ndarray  # (sum of counts,) float32, MeV


class _Job(NamedTuple):
    """A tile that is being computed: its number, its showers (at most T), the level of its capacity, what it is made
    of."""

    number: int
    shower: np.ndarray
    level: int
    inputs: tuple[dict[str, np.ndarray], np.ndarray]
    found: Sparse


class _Jobs:
    """Starts and fetches tiles; whole tiles are dealt to the devices in turn."""

    def __init__(self, system, model, config, conditions, seed, step, devices):
        self._system, self._config, self._constants = system, config, model.constants
        self._conditions = {name: _narrow(array) for name, array in conditions.items()}
        self._models = [_placed(model, device) for device in devices]
        self._capacities, self._step = system.capacities(config, model.constants), step
        self._seed = np.uint32(seed)
        self.ahead = _PER_DEVICE * len(devices)

    def start(self, number: int, shower: np.ndarray) -> _Job:
        """Hand a tile to its device at the capacity that its conditions suggest; the first shower fills what is left
        of it, one of those of least energy."""
        filled = np.concatenate([shower, np.repeat(shower[:1], self._config.generation.tile - len(shower))])
        conditions = {name: array[filled] for name, array in self._conditions.items()}
        level = _round_up(self._system.expected_capacity(self._config, self._constants, conditions), self._step)
        return self._submit(number, shower, level, (conditions, filled.astype(np.uint32)))

    def finish(self, job: _Job) -> _Hits:
        """Fetch a tile; one that did not fit is computed again with the same keys at higher capacities."""
        while bool(job.found.overflow):
            if job.level == len(self._capacities) - 1:
                raise RuntimeError("a tile overflowed the last capacity, which has to hold every tile")
            job = self._submit(job.number, job.shower, job.level + self._step, job.inputs)
        counts, index, energy = jax.device_get((job.found.count, job.found.index, job.found.energy))
        counts = counts[: len(job.shower)].astype(np.int64)
        kept = int(counts.sum())
        hits = _Hits(job.shower, counts, index[:kept], energy[:kept])
        _check_finite(hits)
        return hits

    def _submit(self, number: int, shower: np.ndarray, level: int, inputs: tuple) -> _Job:
        level = min(level, len(self._capacities) - 1)
        compute = _compiled(self._system.generate, self._config, self._capacities[level])
        found = compute(self._models[number % len(self._models)], *inputs, self._seed)
        return _Job(number, shower, level, inputs, found)


def _placed(model: Model, device: Any) -> Model:
    """The model on a device. The first CPU computes in the memory where it is already, and copying takes a while."""
    return model if device.platform == "cpu" and device == jax.local_devices()[0] else jax.device_put(model, device)


@lru_cache(maxsize=64)
def _compiled(generate: Callable, config: Any, capacity: Any) -> Callable:
    """One jitted function per capacity, kept from one request to the next."""

    def tile(model: Model, conditions: dict[str, jax.Array], shower: jax.Array, seed: jax.Array) -> Sparse:
        keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed, impl="threefry2x32")))(shower)
        return generate(model, conditions, keys, config, capacity)

    return jax.jit(tile)


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _tiles(energies: np.ndarray, piece: slice, window: int, tile: int) -> Iterator[np.ndarray]:
    """Showers of each tile of a piece: like energies together within a window, windows in order."""
    for first in range(piece.start, piece.stop, window):
        order = first + np.argsort(energies[first : min(first + window, piece.stop)], kind="stable")
        yield from np.split(order, range(tile, len(order), tile))


def _results(jobs: _Jobs, tiles: Iterable[np.ndarray]) -> Iterator[_Hits]:
    """Tiles in order, the next ones handed to the devices before one is waited for."""
    waiting: deque[_Job] = deque()
    for number, shower in enumerate(tiles):
        waiting.append(jobs.start(number, shower))
        if len(waiting) > jobs.ahead:
            yield jobs.finish(waiting.popleft())
    while waiting:
        yield jobs.finish(waiting.popleft())


def _appended(sink: Sink, pieces: int, blocks: Iterable[tuple[int, Block]]) -> Iterator[int]:
    """Append pieces in a thread, while the next one is computed; yields the showers of each that is written."""
    with ThreadPoolExecutor(1, thread_name_prefix="calojax-writer") as writer:
        earlier: tuple[Future, int] | None = None
        for left, (piece, block) in zip(reversed(range(pieces)), blocks, strict=True):
            if earlier:
                earlier[0].result()
                yield earlier[1]
            if left:
                earlier = writer.submit(sink.append, piece, block), len(block.counts)
            else:
                sink.append(piece, block)
                yield len(block.counts)


def _assemble(conditions: Mapping[str, np.ndarray], tiles: list[_Hits]) -> Block:
    """The showers of a piece in their order, from its tiles."""
    shower = np.concatenate([t.shower for t in tiles])
    counts = np.concatenate([t.counts for t in tiles])
    order = np.argsort(shower)
    place = ranges((np.cumsum(counts) - counts)[order], counts[order])
    return Block(
        {name: array[shower[order]] for name, array in conditions.items()},
        counts[order],
        np.concatenate([t.index for t in tiles])[place].astype(np.int32),
        np.concatenate([t.energy for t in tiles])[place].astype(np.float32),
    )


def _check_finite(hits: _Hits) -> None:
    finite = np.isfinite(hits.energy)
    if not finite.all():
        shower = np.repeat(hits.shower, hits.counts)[~finite].min()
        raise NonFiniteShower(f"shower {shower} has an energy that is not finite; nothing was written")


def _checked(conditions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Conditions as arrays of one length, finite in float32, with energies above 0."""
    checked = {name: np.asarray(array) for name, array in conditions.items()}
    for name, array in checked.items():
        bad = ~np.isfinite(_narrow(array))
        if name == "incident_energy":
            bad |= ~(_narrow(array) > 0)
        if bad.any():
            row = int(np.argwhere(bad)[0][0])
            raise InputError(
                where=f"{name}, row {row}",
                found=f"is {array[row]}",
                rule="conditions must be finite and energies above 0 MeV",
                remedy="remove or mend this row",
            )
    lengths = {name: len(array) for name, array in checked.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise InputError(
            where="conditions",
            found=f"have {lengths} rows",
            rule="every condition needs one row per shower and at least one",
            remedy="give arrays of one length",
        )
    return checked


def _narrow(array: np.ndarray) -> np.ndarray:
    """As models compute: float32, integers as they are."""
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _warn_outside(conditions: Mapping[str, np.ndarray], trained: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in trained.items():
        if name not in conditions:
            continue
        values, unit = _narrow(conditions[name]), " MeV" if name.endswith("energy") else ""
        below, above = values < low - _MARGIN * abs(low), values > high + _MARGIN * abs(high)
        if not (below | above).any():
            continue
        by = [f"down to {values.min():,.6g}{unit}, {low - values.min():,.6g}{unit} below it"] if below.any() else []
        by += [f"up to {values.max():,.6g}{unit}, {values.max() - high:,.6g}{unit} above it"] if above.any() else []
        warnings.warn(
            f"{name}: {(below | above).sum():,} of {len(values):,} showers lie outside the trained range "
            f"{low:,.6g} to {high:,.6g}{unit} by more than {100 * _MARGIN:g} % ({'; '.join(by)}); what they look "
            "like was never tested",
            stacklevel=3,
        )
