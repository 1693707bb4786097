"""Which of two files of results is slower where, beyond the noise.

A value counts as worse if its ratio lies further from 1 than three times what the rounds of both scatter, and than 5 %.
Times and rates are also taken in units of the machine's ceiling of the same minutes, and both ratios have to agree: a
slower clock is no slower program. On another machine the ratio in units of the ceiling is the only one that counts.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks import tables

_SIGMAS = 3.0
_LEAST = 0.05  # smallest change that is believed
_FLOOR = 0.01  # of the scatter of rounds, which are few
_OF_FIVE = 2.326  # range of five normal values in standard deviations
_VERDICTS = ("slower", "faster", "unchanged within noise")


class Change(NamedTuple):
    """A result in both files: ratio, above 1 if the later one is worse; limit: how far from 1 noise may take it."""

    key: str
    unit: str
    before: float
    after: float
    ratio: float
    limit: float
    verdict: str


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Of the results that both files have, the worst first."""
    both = [key for key in before["results"] if key in after["results"]]
    same = before["machine"] == after["machine"]
    return sorted((_change(key, before, after, same) for key in both), key=lambda change: -change.ratio)


def text(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Markdown, last a line that counts."""
    found = changes(before, after)
    head = ("", "unit", "before", "after", "ratio", "noise", "")
    lines = [_cells(change) for change in found]
    parts = [tables.table(head, lines)]
    if before["machine"] != after["machine"]:
        text = "Another machine: times and rates are compared in units of each machine's own ceiling."
        parts.insert(0, f"{text}\n\n- {tables.machine(before['machine'])}\n- {tables.machine(after['machine'])}")
    for name, one, other in (("before", before, after), ("after", after, before)):
        if alone := [key for key in one["results"] if key not in other["results"]]:
            parts.append(f"Only {name}: {', '.join(alone)}")
    counted = Counter(change.verdict for change in found)
    parts.append(", ".join(f"{counted[verdict]} {verdict}" for verdict in _VERDICTS))
    return "\n\n".join(parts)


def _change(key: str, before: Mapping[str, Any], after: Mapping[str, Any], same_machine: bool) -> Change:
    old, new = before["results"][key], after["results"][key]
    first, last = (row["value"] for row in (old, new))
    if old.get("clock") != new.get("clock"):  # one of them was disturbed
        first, last = old["cpu"], new["cpu"]
    ratio = last["median"] / first["median"]
    if new["better"] == "more":
        ratio = 1 / ratio
    limit = max(_LEAST, _SIGMAS * math.hypot(_scatter(first), _scatter(last)))
    ratios = [ratio]
    if depends_on_the_clock(new):
        by_ceiling = ratio * _ceiling(after, key) / _ceiling(before, key)
        ratios = [ratio, by_ceiling] if same_machine else [by_ceiling]
    return Change(key, new["unit"], first["median"], last["median"], ratios[-1], limit, _verdict(ratios, limit))


def depends_on_the_clock(row: Mapping[str, Any]) -> bool:
    """Whether a machine that is faster in all does better here: a time or a rate."""
    return "wall" in row or row["unit"].endswith(("/s", "per second"))


def _verdict(ratios: list[float], limit: float) -> str:
    if all(ratio - 1 > limit for ratio in ratios):
        return "slower"
    if all(1 / ratio - 1 > limit for ratio in ratios):
        return "faster"
    return _VERDICTS[-1]


def _scatter(value: Mapping[str, Any]) -> float:
    """Relative standard deviation of rounds; the median deviation of a few is too often small by chance."""
    estimates = (1.4826 * value["mad"], (value["most"] - value["least"]) / _OF_FIVE)
    return max(_FLOOR, max(estimates) / abs(value["median"]))


def _ceiling(results: Mapping[str, Any], key: str) -> float:
    """GFLOP/s of the machine in the rounds of a result, or before and after its script."""
    if own := results["results"][key].get("ceiling_gflops"):
        return own["median"]
    process = "/".join(key.split("/")[:3])
    limits = results["processes"][process]["ceilings"]
    return next(value["median"] for name, value in limits.items() if name.startswith("float32 64x64x2048"))


def _cells(change: Change) -> list[str]:
    before, after = tables.number(change.before), tables.number(change.after)
    ratio, noise = f"{change.ratio:.2f}", f"{100 * change.limit:.0f} %"
    return [change.key, change.unit, before, after, ratio, noise, change.verdict]
