"""What `info` says: the content of a shower file, shards, a run or a judged folder."""

import json
from pathlib import Path
from typing import Any

from calojax.errors import InputError


def inspect(path: Path) -> dict[str, Any]:
    """A table that JSON can hold, with `kind` first; InputError if it is nothing of ours."""
    if path.is_file() and path.suffix != ".json":
        return _showers(path)
    if (path / "config.toml").is_file():
        return _run(path)
    if (path / "manifest.json").is_file():
        return _shards(path)
    if path.suffix == ".json" or (path / "metrics.json").is_file():
        return _judged(path)
    raise InputError(
        where=str(path),
        found="holds nothing of calojax" if path.exists() else "does not exist",
        rule="it must be a shower file, shards, a run or a judged folder",
        remedy="check the path",
    )


def _showers(path: Path) -> dict[str, Any]:
    from calojax import geometry  # noqa: PLC0415
    from calojax.files import calochallenge  # noqa: PLC0415

    found = calochallenge.summary(path)
    fitting = [name for name in geometry.names() if geometry.load(name).n_cells == found.n_cells]
    return {
        "kind": "showers",
        "path": str(path),
        "showers": found.rows,
        "cells": found.n_cells,
        "geometries that fit": ", ".join(fitting) or "none built in",
        "incident energy (MeV)": {"lowest": found.lowest_energy, "highest": found.highest_energy},
        "attributes": found.attributes,
    }


def _shards(path: Path) -> dict[str, Any]:
    from calojax.shards import Manifest  # noqa: PLC0415

    manifest = Manifest.read(path)
    return {
        "kind": "shards",
        "path": str(path),
        "system": manifest.system,
        "rows": manifest.rows,
        "shards": len(manifest.parts),
        "bytes": sum(entry.size for entry in manifest.files().values()),
        "digest": manifest.digest,
        "geometry": {"name": (manifest.geometry or {}).get("name"), "digest": manifest.geometry_digest},
        "ranges": {name: list(limits) for name, limits in manifest.ranges.items()},
        "selections": dict(manifest.selections),
        "sources": {source.name: f"{source.rows} rows, sha256 {source.sha256}" for source in manifest.sources},
    }


def _run(path: Path) -> dict[str, Any]:
    from calojax import config as configuration  # noqa: PLC0415
    from calojax.shards import Manifest  # noqa: PLC0415
    from calojax.training import metrics  # noqa: PLC0415

    manifest, lines = Manifest.read(path), metrics.read(path)
    values: dict[str, Any] = {}
    for line in lines:
        values |= line
    provenance = path / "provenance.json"
    return {
        "kind": "run",
        "path": str(path),
        "system": manifest.system,
        "step": values.pop("step", None),
        "phase": values.pop("phase", None),
        "trained on": {"rows": manifest.rows, "digest": manifest.digest},
        "latest values": values,
        "config": configuration.read_toml(path / "config.toml"),
        "provenance": json.loads(provenance.read_text()) if provenance.is_file() else {},
    }


def _judged(path: Path) -> dict[str, Any]:
    from calojax.evaluation import load_metrics  # noqa: PLC0415

    found = load_metrics(path)
    return {"kind": "metrics", "path": str(path), **found.to_table()}
