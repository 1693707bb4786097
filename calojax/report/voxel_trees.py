"""The report on a tree of ATLAS voxel files: a page with figures, the figures as files, and all numbers as JSON."""

import base64
import html
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax import writing
from calojax.errors import InputError
from calojax.files.atlas import describing, reading, wording
from calojax.files.atlas.describing import Found
from calojax.progress import Progress
from calojax.report import frame, sub_voxels, tree_figures, voxels
from calojax.report.drawing import Picture, style


class Drawn(NamedTuple):
    """A figure, the name of its file, and the section it is in."""

    name: str
    section: str
    picture: Picture


def write(root: Path | str, out: Path | str, *, jobs: int | None = None, progress: bool = True) -> Path:
    """Read a tree and write its report into a new or empty folder.

    It holds index.html, report.json, a file for each figure, and where jobs have probabilities of sub-voxels
    probabilities.npz: (J, V, 4) for each folder, kind and layer, voxels in canonical order.

    jobs: how many job folders there have to be, default: as the largest number says. Gives the path of the page. Raises
    InputError for what `describing.gather` and `describing.compare` refuse, and without matplotlib.
    """
    root, out = Path(root), Path(out)
    writing.refuse_full(out)
    gathered = describing.gather(root, jobs=jobs, progress=progress)
    if not any(each.complete or each.jobs for each in gathered):
        rule = "a report is on raw files, rebuilt ones or jobs"
        raise InputError(where=str(root), found="holds none of them", rule=rule, remedy="give the tree they came from")
    found = describing.to_json(root, gathered)
    compared = describing.compare(gathered)
    partial = writing.partial(out)
    shutil.rmtree(partial, ignore_errors=True)
    with writing.refusals(out):
        partial.mkdir(parents=True)
        try:
            _fill(partial, found, compared, gathered, progress)
            if out.exists():
                out.rmdir()
            os.replace(partial, out)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return out / frame.PAGE


def figures(gathered: list[Found]) -> Iterator[Drawn]:
    """Every figure of the report, one after another; to be drawn within `drawing.style()`."""
    yield Drawn("active_layers", "Layers", tree_figures.active_layers(gathered))
    yield Drawn("incident_energy", "Energies", tree_figures.spectrum(gathered))
    for found in _some(gathered):
        name = found.folder.name
        for form, files in (("complete", found.complete), ("rebuilt", found.jobs)):
            if files:
                title = f"{name}, {form}"
                yield Drawn(f"{name}_sums_{form}", "Energies", tree_figures.sums(files, title))
                yield Drawn(f"{name}_negatives_{form}", "Negative voxels", tree_figures.negatives(files, title))
        for kind, shares in found.shares.items():
            if shares:
                active = found.jobs[kind].active
                picture = sub_voxels.probabilities(shares, active, f"{name}, {kind}")
                yield Drawn(f"{name}_probabilities_{kind}", "Sub-voxels", picture)
        yield from _showers(found)


def _showers(found: Found) -> Iterator[Drawn]:
    """The average of all events and a single one, of the complete files or else of the jobs together."""
    files, name = found.complete or found.jobs, found.folder.name
    if not files or not next(iter(files.values())).active:
        return
    what = "mean energy of a voxel"
    coarse = {kind: one for kind, one in files.items() if kind != "fine"} or files
    first = next(iter(coarse.values()))
    geometry = first.geometry.select(first.active)
    mean = {kind: _mean(one, first.active) for kind, one in coarse.items()}
    yield Drawn(f"{name}_discs", "Average shower", voxels.discs(geometry, mean, what))
    for kind, one in files.items():
        cells = one.geometry.select(one.active)
        picture = voxels.slices(cells, _mean(one, one.active), what, f"{name}, {kind}")
        yield Drawn(f"{name}_slices_{kind}", "Average shower", picture)
    if found.complete:
        kind, path = next(iter(found.folder.files().items()))
        cells = found.complete[kind].geometry.select(found.complete[kind].active)
        incident = found.complete[kind].incident
        row = int(np.argsort(incident)[int(0.8 * (len(incident) - 1))])
        energy = reading.read(path, cells, slice(row, row + 1), dtype=np.float64).showers[0]
        title = f"{kind}, event {row:,}: {incident[row] / 1000:.3g} GeV, {np.count_nonzero(energy > 0)} voxels above 0"
        yield Drawn(f"{name}_event", "Single event", voxels.event(cells, energy, title))


def _mean(one: Any, layers: tuple[int, ...]) -> np.ndarray:
    """(V,) MeV of the voxels of some layers."""
    sizes = {layer.id: layer.n_cells for layer in one.geometry.layers}
    return np.concatenate([one.voxels.get(id, np.zeros(sizes[id])) for id in layers]) / one.events


def _fill(folder: Path, found: dict, compared: dict, gathered: list[Found], progress: bool) -> None:
    """Write figures, numbers and the page into a folder."""
    sections: dict[str, list[str]] = {}
    with style(), Progress(None, "report", unit="figures", enabled=progress) as line:
        for drawn in figures(gathered):
            kind, _, data = drawn.picture.image.partition(";base64,")
            suffix = "png" if kind.endswith("png") else "svg"
            (folder / f"{drawn.name}.{suffix}").write_bytes(base64.b64decode(data))
            sections.setdefault(drawn.section, []).append(frame.figure(drawn.picture))
            line.advance(1)
    whole = found | {"comparison": compared}
    writing.text(folder / "report.json", json.dumps(whole, indent=1))
    if shares := _shares(gathered):
        np.savez_compressed(folder / "probabilities.npz", **shares)
    told = f"<pre>{html.escape(wording.tree(found))}</pre>"
    body = [frame.contents([*sections, "All numbers"])]
    body += [frame.section(heading, drawn) for heading, drawn in sections.items()]
    numbers = frame.folded("comparison of the types", f"<pre>{html.escape(json.dumps(compared, indent=1))}</pre>")
    body.append(frame.section("All numbers", words=f"{told}{numbers}<p>Everything is in report.json.</p>"))
    about = [f"folders: {len(gathered)}", f"files: {len(found['files'])}"]
    frame.save(folder / frame.PAGE, title=f"Voxel files of {Path(found['path']).name}", about=about, body="".join(body))


def _shares(gathered: list[Found]) -> dict[str, Any]:
    """(J, V, 4) of every folder, kind and layer: shares of the sub-voxels of each voxel in each job."""
    return {
        f"{found.folder.name}.{kind}.layer_{layer}": shares
        for found in gathered
        for kind, layers in found.shares.items()
        for layer, shares in layers.items()
    }


def _some(gathered: list[Found]) -> list[Found]:
    """The first and the last folder of each binning."""
    of_binning = [[f for f in gathered if f.folder.binning == binning] for binning in ("regular", "default")]
    ends = {f.folder.name: f for found in of_binning if found for f in (found[0], found[-1])}
    return list(ends.values())
