"""Times beside one another: in every round every call has its turn, so that ratios compare the same minutes."""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

DISTURBED = 0.05  # share of the wall time that other programs may take of one thread before CPU time counts instead
_WALL = 0
_CPU = 1


class Spread(NamedTuple):
    """One value per round, and what they have in common; mad: median absolute deviation from the median."""

    median: float
    least: float
    most: float
    mad: float
    rounds: tuple[float, ...]


class Timing(NamedTuple):
    """Seconds of a call by the clock on the wall and of CPU time of all threads, as medians of rounds."""

    wall: Spread
    cpu: Spread


Ceiling = tuple[Timing, float]  # of the machine's product of matrices, and its FLOP


def spread(rounds: Iterable[float]) -> Spread:
    """Of at least one value."""
    rounds = tuple(float(value) for value in rounds)
    middle = statistics.median(rounds)
    mad = statistics.median(abs(value - middle) for value in rounds)
    return Spread(middle, min(rounds), max(rounds), mad, rounds)


def measured(calls: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, Timing]:
    """Time calls: each once without counting, then in every round each in turn for about `seconds`, at least once.

    A call is over when the JAX arrays that it returns are there.
    """
    for call in calls.values():
        _once(call)
    return in_turns({name: partial(turn, call, seconds) for name, call in calls.items()}, rounds)


def in_turns(turns: Mapping[str, Callable[[], tuple[float, float]]], rounds: int) -> dict[str, Timing]:
    """In every round every turn, each saying its seconds of wall and CPU time; those of another process, say."""
    medians: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, one in turns.items():
            medians[name].append(one())
    return {name: Timing(*map(spread, zip(*of, strict=True))) for name, of in medians.items()}


def turn(call: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Medians of wall and CPU time of calls for about `seconds`, one at least."""
    until, times = time.perf_counter() + seconds, [_once(call)]
    while time.perf_counter() < until:
        times.append(_once(call))
    return statistics.median(t[_WALL] for t in times), statistics.median(t[_CPU] for t in times)


def _once(call: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    if jax := sys.modules.get("jax"):  # those who measure others need not have it
        jax.block_until_ready(found)
    return time.perf_counter() - wall, time.process_time() - cpu


def row(value: Spread, unit: str, better: str = "less", **more: Any) -> dict[str, Any]:
    """A result: its value in a unit, "less" or "more" of it being better, and whatever else is known of it."""
    return {"unit": unit, "better": better, "value": value._asdict()} | more


def timed(
    timing: Timing,
    place: str,
    unit: str = "ms",
    factor: float = 1e3,
    *,
    ceiling: Ceiling | None = None,
    own_ceiling: Ceiling | None = None,
    mflop: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A result that is a time: seconds of a call times `factor` in `unit`, 1e3 / 100 for ms per shower of 100, say.

    Its value is wall time; where other programs disturbed the one thread that it had, CPU time. ceiling, for times in
    ms: the machine's float32 product in the same rounds; with it comes `gflop_at_ceiling`, what the product makes in
    that time. mflop: of the products in that time; with it `of_ceiling`, their share of the ceiling, or of own_ceiling
    where the operands have another precision.
    """
    wall, cpu = timing.wall, timing.cpu
    lost = max(0.0, 1 - cpu.median / wall.median)
    clock = "cpu" if place == "one" and lost > DISTURBED else "wall"
    found = row(scaled(getattr(timing, clock), factor), unit, clock=clock)
    if place == "one":
        found["disturbed"] = lost
    found |= {"wall": scaled(wall, factor)._asdict(), "cpu": scaled(cpu, factor)._asdict()}
    seconds = scaled(getattr(timing, clock), factor / 1e3)
    if ceiling:
        rates = _gflops(ceiling, clock)
        found |= {"ceiling_gflops": rates._asdict(), "gflop_at_ceiling": _product(seconds, rates)._asdict()}
    if ceiling and mflop is not None:
        made = _product(seconds, _gflops(own_ceiling or ceiling, clock))
        found |= {"mflop": mflop, "of_ceiling": mflop / 1e3 / made.median}
    return found | more


def _gflops(ceiling: Ceiling, clock: str) -> Spread:
    """GFLOP per second of every round."""
    timing, flop = ceiling
    return spread(flop / 1e9 / seconds for seconds in getattr(timing, clock).rounds)


def _product(one: Spread, other: Spread) -> Spread:
    """Round by round."""
    return spread(a * b for a, b in zip(one.rounds, other.rounds, strict=True))


def scaled(values: Spread, factor: float) -> Spread:
    return spread(factor * value for value in values.rounds)
