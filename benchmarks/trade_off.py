"""Quality against time: how well generators pass for the simulation, and what a shower costs, ours and published ones.

    python -m benchmarks.trade_off JUDGED RESULTS.json --out FILE.png

JUDGED: folder of `calojax evaluate`; RESULTS: file of `calojax bench generation`; FILE: PNG, SVG or PDF. Published
points (benchmarks/published_times.json, calojax/evaluation/published.json) are of other showers on other machines.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import by_hand, files, labels
from calojax import evaluation
from calojax.errors import InputError
from calojax.evaluation.published import published
from calojax.report import drawing

PLACES = (("cpu", 1), ("cpu", 100), ("gpu", 100))  # of the panels, from left to right
KINDS = {  # of published generators: marker, colour
    "diffusion or flow matching": ("s", "#2f6f9f"),
    "flow": ("o", "#d77a00"),
    "autoencoder": ("^", "#3b7d3b"),
    "adversarial": ("v", "#7b4ea3"),
    "other": ("D", "#6b4a2b"),
}
OURS = "calojax pyramid"
_AUC, _FPD = "classifier.low.auc", "fpd"
_TIMES = Path(__file__).parent / "published_times.json"
_BATCHES = (1, 100, 10_000)  # of the numbers in it
_DPI = 130  # names are as wide as they were measured at this alone
_COMPATIBLE = 2.0  # errors: an excess below that is shown as an upper limit


class Point(NamedTuple):
    """A generator: AUC, FPD above that of real showers, both with errors, and ms per shower by place and batch.

    kind: one of KINDS; None for ours.
    """

    name: str
    kind: str | None
    auc: tuple[float, float]
    fpd: tuple[float, float]
    ms: dict[tuple[str, int], float]


def others(geometry: str) -> list[Point]:
    """Published generators on ds2 or ds3 that were timed."""
    times, results = json.loads(_TIMES.read_text()).get(geometry, {}), published(geometry)
    points = []
    for name, about in times.items():
        found = results[name]
        ms = {
            (place, batch): value
            for place in ("cpu", "gpu")
            for batch, value in zip(_BATCHES, about[place], strict=True)
            if value is not None
        }
        points.append(Point(name, about["kind"], _error(found[_AUC]), _above(found[_FPD], results["Geant4"][_FPD]), ms))
    return points


def ours(judged: Path, results: Path) -> tuple[Point, str, str]:
    """What was judged and timed, on which geometry and which machine. InputError where a number is missing."""
    metrics, found = evaluation.load_metrics(judged), files.read(results)
    for name in (_AUC, _FPD):
        if name not in metrics or metrics[name].value is None:
            raise InputError(
                where=str(judged),
                found=f"has no {name}",
                rule="the figure shows AUC and FPD",
                remedy="judge with `calojax evaluate` at the level standard or full",
            )
    row = lambda place, batch: f"generation/float32/{'one' if place == 'cpu' else place}/batch={batch}/arrays"
    rows = {where: found["results"].get(row(*where)) for where in PLACES}
    ms = {where: one["value"]["median"] for where, one in rows.items() if one}
    if not ms:
        raise InputError(
            where=str(results),
            found="has no time of a shower",
            rule="the figure shows ms per shower in arrays",
            remedy="make it with `calojax bench generation`",
        )
    auc, fpd = ((metrics[name].value or 0.0, metrics[name].error) for name in (_AUC, _FPD))
    floor = metrics[_FPD].floor or 0.0, metrics[_FPD].more.get("floor_error")
    machine = f"{found['machine']['cpu']}, one thread"
    return Point(OURS, None, _error(auc), _above(fpd, floor), ms), metrics.inputs["geometry"]["name"], machine


def _error(found: tuple[float, float | None]) -> tuple[float, float]:
    return found[0], found[1] or 0.0


def _above(found: tuple[float, float | None], floor: tuple[float, float | None]) -> tuple[float, float]:
    """FPD above that of real showers at the same numbers: its bias depends on these, and falls out."""
    return found[0] - floor[0], float(np.hypot(found[1] or 0.0, floor[1] or 0.0))


def draw(point: Point, published_ones: list[Point], machine: str) -> Any:
    """AUC above, FPD below, against the time on a CPU at batches of 1 and 100 and on a GPU; to be drawn and
    saved in one `drawing.style`, as names are placed for its fonts."""
    drawn = drawing.figure(15.5, 9.4)
    drawn.set_dpi(_DPI)
    axes = drawn.subplots(2, len(PLACES), sharex=True, sharey="row")
    named = {
        axis: _panel(axis, quality, place, [*published_ones, point])
        for row, quality in zip(axes, ("auc", "fpd"), strict=True)
        for axis, place in zip(row, PLACES, strict=True)
    }
    for axis, (place, batch) in zip(axes[0], PLACES, strict=True):
        axis.set_title(f"{place.upper()}, {'a single shower' if batch == 1 else f'{batch} showers at once'}", size=13)
    for axis in axes[1]:
        axis.set_xlabel("time per shower [ms]")
    axes[0][0].set_ylabel("AUC of a classifier on cell energies")
    axes[1][0].set_ylabel("FPD above that of real showers")
    _legend(drawn, published_ones, machine)
    drawn.canvas.draw()
    drawn.set_layout_engine("none")  # names are measured where the axes are now
    for axis, points in named.items():
        labels.place(axis, points)
    return drawn


def _panel(axis: Any, quality: str, place: tuple[str, int], points: list[Point]) -> list[labels.Named]:
    """Draws the points that were timed there; what is to be named."""
    named = []
    for point in points:
        if place not in point.ms:
            continue
        x, (y, error) = point.ms[place], getattr(point, quality)
        ours = point.kind is None
        marker, colour = KINDS[point.kind] if point.kind else ("*", drawing.COLOURS["generated"])
        limit = quality == "fpd" and y < _COMPATIBLE * error
        y = max(y, 0.0) + _COMPATIBLE * error if limit else y
        look = {"color": colour, "marker": marker, "ms": 17 if ours else 7, "mfc": colour if ours else "white"}
        axis.errorbar(x, y, 0.35 * y if limit else error, uplims=limit, lw=1.2, capsize=2, zorder=4, **look)
        size = {"size": 12.5, "weight": "bold", "half": 12.0} if ours else {}
        named.append(labels.Named(x, y, point.name, colour, **size))
    axis.set(xscale="log", xlim=(0.1, 3e6))
    if quality == "auc":
        axis.axhline(0.5, color=drawing.COLOURS["independent"], ls="--", lw=1)
        said = {"ha": "right", "size": 9.5, "color": drawing.COLOURS["independent"]}
        axis.text(0.97, 0.47, "0.5: cannot be told from simulation", transform=axis.get_yaxis_transform(), **said)
        axis.set_ylim(0.45, 1.03)
    else:
        axis.set(yscale="log", ylim=(5e-3, 10))
    if place not in points[-1].ms:
        red = drawing.COLOURS["generated"]
        axis.text(0.97, 0.32, f"{points[-1].name}: not measured", ha="right", color=red, transform=axis.transAxes)
    return named


def _legend(drawn: Any, points: list[Point], machine: str) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    mark = lambda marker, colour, size, face: Line2D([], [], ls="", marker=marker, color=colour, ms=size, mfc=face)
    red = drawing.COLOURS["generated"]
    shown = {f"{OURS} on {machine}": mark("*", red, 15, red)}
    kinds = [kind for kind in KINDS if kind in {point.kind for point in points}]
    shown |= {kind: mark(*KINDS[kind], 7, "white") for kind in kinds}
    title = (
        "open: published (CaloChallenge, arXiv:2410.21611), other data, other hardware; "
        f"arrow: no excess seen, {_COMPATIBLE:.0f} errors above it"
    )
    drawn.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=len(shown), title=title, fontsize=11.5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trade_off", description=str(__doc__).splitlines()[0])
    parser.add_argument("judged", type=Path, help="folder of `calojax evaluate`")
    parser.add_argument("results", type=Path, help="file of `calojax bench generation`")
    parser.add_argument("--out", type=Path, required=True, help="figure: PNG, SVG or PDF")
    args = parser.parse_args()
    point, geometry, machine = ours(args.judged, args.results)
    with drawing.style():
        draw(point, others(geometry), machine).savefig(args.out, dpi=_DPI)


if __name__ == "__main__":
    by_hand.call(main)
