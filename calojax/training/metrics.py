"""metrics.jsonl: one object per line, {"step", "phase", "time", "values"}; means over the steps since the last line."""

import io
import json
from pathlib import Path

from calojax import writing
from calojax.errors import InputError
from calojax.training import processes

METRICS = "metrics.jsonl"


class MetricsFile:
    """Appends lines to a run's metrics.jsonl, in the first of several processes; a line is out before the next step."""

    def __init__(self, run: Path):
        self._path = path = run / METRICS
        self.count = len(read(run))  # lines in the file
        self._stream = path.open("a", encoding="utf-8") if processes.is_first() else io.StringIO()

    def write(self, step: int, phase: str, seconds: float, values: dict[str, float]) -> None:
        """step: last step covered; seconds: of training so far, over all resumes; values: float by name."""
        line = {"step": step, "phase": phase, "time": round(seconds, 3), "values": values}
        remedy = "free some room, and go on with --resume from the last whole checkpoint"
        with processes.together(), writing.refusals(self._path, remedy):
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        self.count += 1

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> "MetricsFile":
        return self

    def __exit__(self, *error) -> None:
        self.close()


def read(run: Path) -> list[dict]:
    """All whole lines of a run's metrics.jsonl; a half line at its end, left by a kill, is skipped."""
    path = run / METRICS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if path.is_file() else []
    return [_parse(path, number, line) for number, line in enumerate(lines, 1) if line.endswith("\n")]


def truncate(run: Path, lines: int) -> None:
    """Keep so many lines, in one rename."""
    writing.text(run / METRICS, "".join(json.dumps(line) + "\n" for line in read(run)[:lines]))


def _parse(path: Path, number: int, line: str) -> dict:
    try:
        found = json.loads(line)
        if {"step", "phase", "time", "values"} <= set(found) and all(map(_is_number, found["values"].values())):
            return found
    except (ValueError, TypeError, AttributeError):
        pass
    raise InputError(
        where=f"{path}, line {number}",
        found="is no object with step, phase, time and values",
        rule="training writes one a line",
        remedy="restore the line or remove it",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def means(steps: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every value over some steps; values of updates that did not run (`ran` = 0) do not count."""
    found = {}
    for name in steps[0]:
        prefix = name.rpartition(".")[0]
        ran_name = f"{prefix}.ran" if prefix else "ran"
        weights = [values.get(ran_name, 1.0) for values in steps]
        if name != ran_name and "norm/" not in name and sum(weights) > 0:
            found[name] = sum(w * values[name] for w, values in zip(weights, steps, strict=True)) / sum(weights)
    return found
