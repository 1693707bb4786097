"""The page: sections of figures and tables, one self-contained HTML file."""

import html
import json
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np

from calojax.evaluation.schema import CURVES, Metrics, load_metrics
from calojax.evaluation.verdicts import Line, verdict
from calojax.progress import Progress
from calojax.report import against_energy, matrices, profiles, showers, spectra
from calojax.report.drawing import Picture, number, style, with_error

_FAMILIES = ["e_layer", "ec_eta", "ec_phi", "width_eta", "width_phi", "ec_r", "width_r", "sparsity"]
_LEVELS = ("agrees", "small", "visible", "different")


class Drawing(NamedTuple):
    """A figure to be drawn; fold: the words under which it is folded away, "" to show it."""

    draw: Callable[[Metrics], Picture]
    fold: str = ""


class Section(NamedTuple):
    """A part of the page: figures, and words (HTML) before them."""

    heading: str
    drawings: list[Drawing]
    words: str = ""


def write(out: Path | str, metrics: Metrics | None = None, *, title: str = "", progress: bool = True) -> Path:
    """Write out/index.html of what the judge found, and give its path.

    metrics: by default those saved in `out`. Raises InputError if there are none, or if matplotlib is missing.
    """
    out = Path(out)
    metrics = load_metrics(out) if metrics is None else metrics
    title = title or f"{metrics.inputs['generated']['source']} against {metrics.inputs['reference']['source']}"
    sections = _sections(metrics)
    with style(), Progress(sum(len(s.drawings) for s in sections), "report", unit="figures", enabled=progress) as bar:
        drawn = []
        for section in sections:
            pictures = []
            for drawing in section.drawings:
                pictures.append(_figure(drawing.draw(metrics), drawing.fold))
                bar.advance(1)
            drawn.append(f"<section><h2>{section.heading}</h2>{section.words}{''.join(pictures)}</section>")
    page = _template().substitute(
        title=html.escape(title),
        inputs=_inputs(metrics),
        warnings=_warnings(metrics),
        verdict=_verdict(metrics),
        sections="".join(drawn),
        table=_table(metrics),
        provenance=html.escape(json.dumps(dict(metrics.inputs), indent=1)),
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / ".index.html").write_text(page, encoding="utf-8")
    os.replace(out / ".index.html", out / "index.html")
    return out / "index.html"


def _sections(metrics: Metrics) -> list[Section]:
    """All sections of the page in order."""
    if not metrics.curves:
        return [Section("Figures", [], f"<p>There is no {CURVES} beside these metrics: judge again to draw them.</p>")]
    curves = metrics.curves
    peak = int(np.argmax(curves["longitudinal.reference"][0]))
    some = [("e_layer", layer) for layer in _spread(curves["longitudinal.reference"][0])]
    at_peak = [(f, _nearest(curves[f"histogram.{f}.layers"], peak)) for f in _FAMILIES[1:]]
    at_peak = [(f, column) for f, column in at_peak if column is not None]
    sheets = [_sheet(f) for f in _FAMILIES if len(curves[f"histogram.{f}.layers"])]
    stages = [("hit_layers", 0), ("hit_rings", 0), ("hit_cells", 0)]
    return [
        Section(
            "Response",
            [Drawing(against_energy.response), _histograms(("e_tot", 0)), Drawing(against_energy.e_tot_in_bins)],
        ),
        Section("Energy in the layers", [Drawing(profiles.longitudinal), Drawing(profiles.radial), _histograms(*some)]),
        Section("Every layer", [Drawing(lambda m: spectra.per_layer(m, _FAMILIES)), _histograms(*at_peak), *sheets]),
        Section(
            "Cells and counts",
            [
                Drawing(lambda m: spectra.histograms(m, [("voxel", 0)], log_y=True)),
                _histograms(("n_hits", 0)),
                _histograms(*stages),
                Drawing(against_energy.hits),
            ],
        ),
        Section(
            "Which cells are hit together",
            [
                Drawing(x)
                for x in (against_energy.correlations, profiles.hit_maps, matrices.all_rings, matrices.two_layers)
            ],
        ),
        Section("Memorised showers", [], _memorised(metrics)),
        Section("Single showers", [Drawing(showers.side_views)]),
    ]


def _sheet(family: str) -> Drawing:
    return Drawing(lambda m: spectra.grid(m, family), f"all layers: {spectra.WORDS[family]}")


def _histograms(*chosen: tuple[str, int]) -> Drawing:
    return Drawing(lambda m: spectra.histograms(m, list(chosen)))


def _spread(profile: np.ndarray) -> list[int]:
    """Up to six layers from the first to the last with 1 % of the most energetic one's energy."""
    seen = np.flatnonzero(profile > 0.01 * profile.max())
    chosen = np.unique(np.linspace(0, len(seen) - 1, 6).round().astype(int)) if len(seen) else [0]
    return [int(seen[i]) for i in chosen] if len(seen) else [0]


def _nearest(layers: np.ndarray, wanted: int) -> int | None:
    """Column of the layer nearest to the wanted one."""
    return int(np.argmin(np.abs(layers - wanted))) if len(layers) else None


def _figure(drawn: Picture, fold: str) -> str:
    figure = f'<figure><img src="{drawn.image}" alt="{drawn.alt}"><figcaption>{drawn.caption}</figcaption></figure>'
    return f"<details><summary>{fold}</summary>{figure}</details>" if fold else figure


def _verdict(metrics: Metrics) -> str:
    """The first table: what was measured, against what, how far off, in words."""
    return "".join(_row(line) for line in verdict(metrics))


def _row(line: Line) -> str:
    level = "unknown" if line.level is None else _LEVELS[line.level]
    sigma = "" if line.sigma is None else f" ({line.sigma:+.1f} σ)"
    excess = "–" if line.excess is None else f"{line.excess:+.2g}{sigma}"
    cells = (
        line.title,
        f"<code>{line.name}</code>",
        with_error(line.value, line.error),
        number(line.target),
        number(line.floor),
        excess,
        f'<span class="{level}">{html.escape(line.words)}</span>',
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _memorised(metrics: Metrics) -> str:
    one = metrics["memorisation.share"]
    if one.value is None:
        return f"<p>The share of memorised showers {html.escape(one.reason or '')}.</p>"
    return (
        f"<p>In {one.value:.1%} of {one.n_reference} pairs of equal energy the generated shower is nearer to a training "
        f"shower than the reference shower is: {with_error(one.value, one.error)}, 0.5 expected of a generator that "
        f"neither copies nor misses. Mean squared distance {number(one.more['distance_generated'])} generated, "
        f"{number(one.more['distance_reference'])} reference, to {int(one.more['n_train'] or 0)} training showers. "
        "Showers of poor quality move this number for their own reason: read it beside the other metrics.</p>"
    )


def _inputs(metrics: Metrics) -> str:
    i = metrics.inputs
    sets = [
        f"{n}: {html.escape(i[n]['source'])}, {i[n]['showers']} showers"
        for n in ("reference", "generated", "train")
        if n in i
    ]
    floor = i["floor"]
    sets.append(f"geometry {html.escape(i['geometry']['name'])}")
    sets.append(f"floors: {floor['kind']}, {floor['n_generated']} against {floor['n_reference']}")
    return "".join(f"<li>{one}</li>" for one in sets)


def _warnings(metrics: Metrics) -> str:
    if not metrics.warnings:
        return ""
    return (
        '<div class="warning"><h2>Before reading</h2><ul>'
        + "".join(f"<li>{html.escape(w)}</li>" for w in metrics.warnings)
        + "</ul></div>"
    )


def _table(metrics: Metrics) -> str:
    """Every metric with its numbers."""
    rows = []
    for name in metrics:
        one = metrics[name]
        cells = (
            f"<code>{name}</code>",
            number(one.value, 4),
            number(one.error, 2),
            number(one.floor, 4),
            number(one.more.get("reference"), 4),
            f"{one.n_reference} / {one.n_generated}",
            html.escape(one.reason or ""),
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "".join(rows)


def _template() -> Template:
    return Template(resources.files("calojax.report").joinpath("page.html").read_text(encoding="utf-8"))
