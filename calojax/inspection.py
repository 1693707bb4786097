"""What `info` says: the content of a shower file, a tree of them, shards, a run or a judged folder."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from calojax import config as configuration
from calojax.errors import InputError


def inspect(path: Path, *, verify: bool = False) -> dict[str, Any]:
    """A table that JSON can hold, with `kind` first; InputError if it is nothing of ours.

    verify: of shards, compare every file with its checksum. Files of ATLAS voxels are read whole.
    """
    if path.is_file() and path.suffix != ".json":
        return _showers(path)
    if (path / "config.toml").is_file():
        return _run(path)
    if (path / "manifest.json").is_file():
        return _shards(path, verify)
    if path.suffix == ".json" or (path / "metrics.json").is_file():
        return _judged(path)
    if path.is_dir() and any(path.glob("eta_*")):
        from calojax.files.atlas import describing  # noqa: PLC0415

        return describing.to_json(path, describing.gather(path))
    raise InputError(
        where=str(path),
        found="holds nothing of calojax" if path.exists() else "does not exist",
        rule="it must be a shower file, a tree of ATLAS voxel files, shards, a run or a judged folder",
        remedy="check the path",
    )


def text(found: Mapping[str, Any]) -> str:
    """What `inspect` gave in lines; of a judged folder what was compared and the verdict, without every number."""
    if found["kind"].startswith("ATLAS"):
        from calojax.files.atlas import wording  # noqa: PLC0415

        return wording.tree(found) if "folders" in found else wording.file(found)
    if found["kind"] != "metrics":
        return "\n".join(f"{key}: {value}" for key, value in configuration.flat(found))
    shown = {"kind": f"metrics, {len(found['metrics'])} of them (--json shows all)", "path": found["path"]}
    for name, given in found["inputs"].items():
        if "showers" in given:
            shown[name] = f"{given['source']}, {given['showers']:,} showers"
    shown |= {"geometry": found["inputs"].get("geometry", {}).get("name", "unknown")}
    lines = [f"{key}: {value}" for key, value in shown.items()]
    lines += [f"warning: {sentence}" for sentence in found["warnings"]]
    return "\n".join([*lines, "", *_verdict(found["verdict"]), "", found["summary"]])


def _verdict(lines: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of the verdict as a table."""
    from calojax.report.drawing import rounded, with_error  # noqa: PLC0415

    rows = [("metric", "generated", "reference", "floor", "excess", "verdict")]
    for line in lines:
        target, floor = (rounded(line[key], line["error"]) for key in ("target", "floor"))
        excess = "–" if line["sigma"] is None else f"{line['sigma']:+.1f} σ".replace("-", "−")
        rows.append((line["name"], with_error(line["value"], line["error"]), target, floor, excess, line["words"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _showers(path: Path) -> dict[str, Any]:
    from calojax import geometry  # noqa: PLC0415
    from calojax.files import layouts  # noqa: PLC0415

    reader = layouts.reader(path)
    found = reader.summary(path)
    if reader.name == "atlas":
        from calojax.files.atlas import statistics  # noqa: PLC0415

        said = {"kind": "ATLAS voxel file", "path": str(path)} | statistics.of_file(path).to_json()
        return said | {"attributes": found.attributes}
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


def _shards(path: Path, verify: bool) -> dict[str, Any]:
    from calojax.shards import Shards  # noqa: PLC0415

    manifest = Shards(path, verify=verify).manifest
    return {
        "kind": "shards",
        "path": str(path),
        "verified": "every byte" if verify else "sizes (every byte with --verify)",
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
    from calojax.shards import Manifest  # noqa: PLC0415
    from calojax.training import checkpoints, metrics, package  # noqa: PLC0415

    manifest, lines = Manifest.read(path), metrics.read(path)
    if (path / package.PARAMS).is_file():
        return {
            "kind": "packaged model",
            "path": str(path),
            "system": manifest.system,
            "trained on": {"rows": manifest.rows, "digest": manifest.digest},
            "config": configuration.read_toml(path / package.CONFIG),
        }
    origin = path / "provenance.json"
    provenance = configuration.read_json(origin) if origin.is_file() else {}
    found = checkpoints.listed(path)
    latest = _versions(path, found) or provenance.get("versions")
    done, steps = (max(found, default=0), provenance.get("steps"))
    finished = done == steps and not checkpoints.latest_meta(path).get("unvalidated")
    values: dict[str, float] = {}
    for line in lines:
        values |= line["values"]
    return {
        "kind": "run",
        "path": str(path),
        "system": manifest.system,
        "state": "finished" if finished else "goes on with --resume from the latest checkpoint",
        "steps": {"saved": done, "of": steps},
        "checkpoints": {
            str(step): "not validated" if loss is None else f"validation loss {loss:.6g}"
            for step, loss in found.items()
        },
        "last line": {key: lines[-1][key] for key in ("step", "phase", "time")} if lines else {},
        "latest values": {name: _number(value) for name, value in values.items()},
        "trained on": {"rows": manifest.rows, "digest": manifest.digest},
        "config": configuration.read_toml(path / "config.toml"),
        "provenance": provenance,
    } | ({} if latest == provenance.get("versions") else {"versions of the latest checkpoint": latest})


def _versions(run: Path, found: dict[int, float | None]) -> dict[str, str] | None:
    """Those that the latest checkpoint was saved with: a run may have been resumed on another machine."""
    from calojax.training import checkpoints  # noqa: PLC0415

    if not found:
        return None
    return configuration.read_json(run / checkpoints.FOLDER / str(max(found)) / "meta" / "metadata").get("versions")


def _number(value: float) -> float:
    """With the digits that mean something to a reader."""
    return float(f"{value:.6g}")


def _judged(path: Path) -> dict[str, Any]:
    from calojax.evaluation import load_metrics, verdicts  # noqa: PLC0415

    found = load_metrics(path)
    lines = verdicts.verdict(found)
    said = {"verdict": [line._asdict() for line in lines], "summary": verdicts.summary(lines)}
    return {"kind": "metrics", "path": str(path), **found.to_table(), **said}
