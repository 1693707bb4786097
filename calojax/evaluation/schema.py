"""metrics.json: what the judge found, in a versioned layout that programs can rely on.

    {"schema": "calojax.metrics/1", "inputs": {...}, "warnings": [...],
     "metrics": {"separation.e_tot": {"value", "error", "floor", "n_reference", "n_generated", ...}, ...}}

A number that cannot be computed is null, with a `reason`; nan and infinity never occur. Metrics that are a quantity of
the generated showers rather than a distance (response, hits, correlation) carry `reference` and `reference_error`.
"""

import json
import math
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from calojax.errors import InputError

SCHEMA = "calojax.metrics/1"
# counts up whenever an array that all figures need is added, renamed or has another shape
CURVES_SCHEMA = "calojax.curves/1"
FILE, CURVES = "metrics.json", "curves.npz"
_SAMPLE = {"source": str, "showers": int}
_TRACED: dict[str, dict[str, type]] = {  # what a page says of what was compared
    "reference": _SAMPLE,
    "generated": _SAMPLE,
    "geometry": {"name": str},
    "floor": {"kind": str, "n_reference": int, "n_generated": int},
}
_REQUIRED = ("value", "error", "floor", "n_reference", "n_generated")


@dataclass(frozen=True)
class Metric:
    """One number: value, standard error and floor (None: cannot be computed, see reason), and what else was found.

    floor: the same quantity for real showers in place of the generated ones.
    more: further numbers, among them floor_error; reference, reference_error (quantities); outside_reference and
    outside_generated (shares of the entries outside the histogram's range).
    """

    value: float | None
    error: float | None
    floor: float | None
    n_reference: int
    n_generated: int
    reason: str | None = None
    more: Mapping[str, float | None] = field(default_factory=dict)

    def to_table(self) -> dict[str, Any]:
        """The metric as a JSON object."""
        table = {name: getattr(self, name) for name in _REQUIRED} | dict(self.more)
        return table | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True)
class Metrics:
    """All the judge found. `metrics["frobenius.occupancy"].value`; `"name" in metrics`; iterating gives names.

    inputs: what was compared; warnings: sentences; curves: arrays that the figures show, by name.
    """

    inputs: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    warnings: tuple[str, ...] = ()
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Metric:
        return self.metrics[name]

    def __contains__(self, name: object) -> bool:
        return name in self.metrics

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of reference, generated and train (if there was any) showers and of the geometry, as far as known."""
        given = {name: self.inputs.get(name) for name in ("reference", "generated", "train", "geometry")}
        return {name: one["digest"] for name, one in given.items() if isinstance(one, dict) and "digest" in one}

    def to_table(self) -> dict[str, Any]:
        """The content of metrics.json."""
        metrics = {name: metric.to_table() for name, metric in self.metrics.items()}
        return {"schema": SCHEMA, "inputs": dict(self.inputs), "warnings": list(self.warnings), "metrics": metrics}

    def save(self, out: Path | str) -> Path:
        """Write metrics.json (last, under a temporary name first) and curves.npz into the folder `out`."""
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_table(), indent=1, allow_nan=False)
        arrays: dict[str, Any] = {"schema": np.array(CURVES_SCHEMA)} | dict(self.curves)
        np.savez_compressed(out / f".{CURVES}", **arrays)
        os.replace(out / f".{CURVES}", out / CURVES)
        (out / f".{FILE}").write_text(text)
        os.replace(out / f".{FILE}", out / FILE)
        return out / FILE


def metric(value: Any, error: Any, floor: Any, n: tuple[int, int], reason: str = "", **more: Any) -> Metric:
    """A Metric of numbers that may be nan: nan becomes None, and then `reason` is kept."""
    numbers = {name: number(x) for name, x in more.items()}
    missing = number(value) is None
    reason = (reason or "not enough showers") if missing else ""
    return Metric(number(value), number(error), number(floor), *n, reason=reason or None, more=numbers)


def number(x: Any) -> float | None:
    """A finite Python float, or None."""
    return float(x) if x is not None and math.isfinite(float(x)) else None


def load_metrics(path: Path | str) -> Metrics:
    """Metrics of a folder written by the judge, or of a metrics.json alone (then without curves)."""
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _refuse(path, "there is no such file", "a judged folder holds metrics.json") from None
    except OSError as error:
        raise _refuse(path, f"cannot be read ({error.strerror})", "a judged folder holds metrics.json") from None
    except (ValueError, RecursionError) as error:
        raise _refuse(path, f"not JSON ({error})", "metrics.json is a JSON object") from None
    validate(table, str(path))
    metrics = {}
    for name, entry in table["metrics"].items():
        rest = {k: v for k, v in entry.items() if k not in _REQUIRED and k != "reason"}
        metrics[name] = Metric(**{k: entry[k] for k in _REQUIRED}, reason=entry.get("reason"), more=rest)
    return Metrics(table["inputs"], metrics, tuple(table.get("warnings", ())), _load_curves(path.with_name(CURVES)))


def refuse_other_reference(digests: Mapping[str, str], other: Metrics, name: str) -> None:
    """InputError unless `other`, a generator called `name`, was judged against the reference of these `digests`."""
    for key in ("reference", "geometry"):
        if other.digests.get(key) != digests[key]:
            raise _refuse(name, f"was judged with another {key}", "only generators of one reference can be compared")


def refuse_untraced(metrics: Metrics, name: str) -> None:
    """InputError unless the inputs, of a folder or generator called `name`, say what a report has to."""
    for key, needed in _TRACED.items():
        given = metrics.inputs.get(key)
        for part, kind in needed.items():
            if not isinstance(given, dict) or not isinstance(given.get(part), kind):
                raise _refuse(name, f"does not say inputs.{key}.{part}", "a report says what was compared")


def refuse_own_name(own: str, others: Container[str]) -> None:
    """InputError if another generator is called as the one that is judged: a table has a row for each name."""
    if own in others:
        raise InputError(
            where=own,
            found="is the name of two generators, the judged one's and another's",
            rule="each stands in the report under its own name",
            remedy="call the other one differently",
        )


def _load_curves(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # damage surfaces as any of a dozen kinds, of zip files and of arrays
        raise _refuse(path, f"cannot be read ({error})", "it holds arrays") from None
    found = str(arrays.pop("schema", "none"))
    if found != CURVES_SCHEMA:
        raise _refuse(path, f"is of another version of calojax (schema {found})", f"this one draws {CURVES_SCHEMA!r}")
    return arrays


def validate(table: Any, where: str = FILE) -> None:
    """Raise InputError if a parsed metrics.json is not of this layout."""
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        found = table.get("schema") if isinstance(table, dict) else type(table).__name__
        raise _refuse(where, f"the schema is {found!r}", f"this version reads {SCHEMA!r}")
    for key in ("inputs", "metrics"):
        if not isinstance(table.get(key), dict):
            raise _refuse(where, f"{key!r} is missing", f"{SCHEMA} has 'inputs' and 'metrics'")
    if not isinstance(table.get("warnings", []), list):
        raise _refuse(where, "'warnings' is no list", "warnings are sentences")
    for name, entry in table["metrics"].items():
        if not isinstance(entry, dict):
            raise _refuse(f"{where}, {name}", f"is {entry!r}", "every metric is an object")
        missing = [key for key in _REQUIRED if key not in entry]
        if missing:
            raise _refuse(f"{where}, {name}", f"{missing[0]!r} is missing", f"every metric has {', '.join(_REQUIRED)}")
        wrong = [key for key in _REQUIRED if not (entry[key] is None or _is_finite(entry[key]))]
        if wrong:
            raise _refuse(f"{where}, {name}", f"{wrong[0]!r} is {entry[wrong[0]]!r}", "numbers are finite, or null")
        if entry["value"] is None and not entry.get("reason"):
            raise _refuse(f"{where}, {name}", "the value is null without a reason", "what cannot be computed says why")


def _is_finite(x: Any) -> bool:
    return isinstance(x, (int, float)) and math.isfinite(x)


def _refuse(where: Any, found: str, rule: str) -> InputError:
    return InputError(where=str(where), found=found, rule=rule, remedy="judge again with `calojax evaluate`")
