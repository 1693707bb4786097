"""Files of results, `calojax.bench/1`: machine, processes, results, what was left out; written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from calojax import writing
from calojax.errors import InputError

SCHEMA = "calojax.bench/1"
FOLDER = Path(__file__).parent / "results"


def read(path: Path) -> dict[str, Any]:
    """InputError for what is no such file."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise _refused(path, "is not JSON") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise _refused(path, f"has the schema {schema}")
    return found


def write(path: Path, results: dict[str, Any]) -> None:
    """InputError where there can be no such file."""
    with writing.refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writing.text(path, json.dumps(results, indent=1) + "\n")


def empty(machine: dict[str, Any]) -> dict[str, Any]:
    return {"schema": SCHEMA, "machine": machine, "processes": {}, "results": {}, "left_out": {}}


def replaced(results: dict[str, Any], process: str, found: dict[str, Any]) -> dict[str, Any]:
    """Results in which all that a process said before is what it says now; its keys get its name in front."""
    own = f"{process}/"
    named = lambda rows: {own + key: value for key, value in rows.items()}
    others = lambda rows: {key: value for key, value in rows.items() if key != process and not key.startswith(own)}
    processes = others(results["processes"])
    if found.get("process"):
        processes[process] = found["process"]
    left_out = others(results["left_out"]) | named(found.get("left_out", {}))
    if reason := found.get("reason"):
        left_out[process] = reason
    rows = others(results["results"]) | named(found.get("results", {}))
    return results | {"processes": processes, "results": rows, "left_out": left_out}


def _refused(path: Path, found: str) -> InputError:
    return InputError(
        where=str(path),
        found=found,
        rule=f"results of benchmarks are JSON of the schema {SCHEMA}",
        remedy="make them with `calojax bench --out FILE`",
    )
