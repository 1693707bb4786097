"""Several generators side by side: one table, one set of overlays; published results as context."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from calojax.evaluation import words
from calojax.evaluation.published import published
from calojax.evaluation.schema import Metric, Metrics
from calojax.report import frame, spectra
from calojax.report.drawing import Picture, number, picture, ratio_panels, with_error

COLUMNS = (  # heading, metric, factor
    ("AUC low", "classifier.low.auc", 1),
    ("AUC high", "classifier.high.auc", 1),
    ("AUC CNN", "classifier.cnn.auc", 1),
    ("FPD · 10³", "fpd", 1e3),
    ("KPD · 10³", "kpd", 1e3),
    ("chi² of E_tot/E_inc", "chi2.e_tot.mean", 1),
    ("cells, Frobenius", "frobenius.voxel", 1),
    ("hits, Frobenius", "frobenius.occupancy", 1),
    ("S: E_tot", "separation.e_tot", 1),
    ("layer energies", "separation.e_layer.mean", 1),
    ("cell energies", "separation.voxel", 1),
    ("centre eta", "separation.ec_eta.mean", 1),
    ("centre r", "separation.ec_r.mean", 1),
    ("width eta", "separation.width_eta.mean", 1),
    ("width r", "separation.width_r.mean", 1),
    ("sparsity", "separation.sparsity.mean", 1),
    ("precision", "prdc.precision", 1),
    ("recall", "prdc.recall", 1),
    ("density", "prdc.density", 1),
    ("coverage", "prdc.coverage", 1),
    ("memorised", "memorisation.share", 1),
)
_OF_CRYSTALS = {
    "layer energies": "total energy",
    "cell energies": "crystal energies",
    "centre eta": "centre x",
    "width eta": "width x",
}
_SOURCE = (
    "Published: the CaloChallenge's results (arXiv:2410.21611), rounded; of other showers in the same cells, at the "
    "challenge's numbers. The row Geant4 is simulated showers against others; FPD and KPD of other numbers of showers "
    "cannot be compared."
)
_OVERLAYS = ("e_tot", "voxel", "n_hits", "ec_r", "width_r", "sparsity")


def table(generators: Mapping[str, Metrics], *, context: bool) -> str:
    """A row for each generator, then what real showers give; with `context` the published rows of the geometry.

    generators: by name, the page's own first; metrics that none of them has are left out. Those that were judged with
    other numbers of showers, at another level or with another floor than the first come last, each with its floors.
    """
    first = next(iter(generators.values()))
    renamed = _OF_CRYSTALS if words.on_grid(first) else {}
    columns = [
        (renamed.get(heading, heading), name, factor)
        for heading, name, factor in COLUMNS
        if any(name in one for one in generators.values())
    ]
    head = "<th>generator</th>" + "".join(f"<th>{html.escape(heading)}</th>" for heading, _, _ in columns)
    alike = {name: one for name, one in generators.items() if _conditions(one) == _conditions(first)}
    rows = [_row(name, one, columns) for name, one in alike.items()]
    rows.append(_floors("real showers (floor)", first, columns))
    for name in (name for name in generators if name not in alike):
        said = f"real showers (floor of {html.escape(name)})"
        rows += [_row(name, generators[name], columns), _floors(said, generators[name], columns)]
    published_rows, said = _published(first.inputs["geometry"]["name"], columns) if context else ([], "")
    rows += published_rows
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="bins">{body}</table></div>{said}'


def drawable(metrics: Metrics) -> bool:
    """Whether there are the curves that overlays need."""
    return all(f"histogram.{family}.generated" in metrics.curves for family in _OVERLAYS)


def overlays(generators: Mapping[str, Metrics]) -> Picture:
    """Histograms of the whole shower and at its most energetic layer: the reference and every generator."""
    first, *others = generators.values()
    names = list(generators)[1:]
    peak = int(np.argmax(first.curves["longitudinal.reference"][0]))
    drawn, places = ratio_panels(2, 3, 4.3, 3.9)
    for place, family in zip(places, _OVERLAYS, strict=True):
        layers = first.curves[f"histogram.{family}.layers"]
        column = int(np.argmin(np.abs(layers - peak)))
        key = f"histogram.{family}.{{}}"
        shares = {s: first.curves[key.format(s)][:, column] for s in ("reference", "generated")}
        for i, (name, other) in enumerate(zip(names, others, strict=True)):
            shares[f"{i}:{name}"] = other.curves[key.format("generated")][:, column]
        spectra.panel(
            *place,
            first.curves[f"histogram.{family}.edges"][column],
            shares,
            spectra.axis_label(first, family),
            title=spectra.layer_name(first, int(layers[column])) if layers[column] >= 0 else "",
            log_x=family in spectra.LOGARITHMIC,
            log_y=family == "voxel",
            legend=place is places[0],
        )
    said = f"{next(iter(generators))} (generated) and {', '.join(names)} against the same reference."
    return picture(drawn, html.escape(said), f"Histograms of several generators: {said}")


def _conditions(metrics: Metrics) -> tuple[Any, ...]:
    """What floors depend on."""
    given = metrics.inputs
    return metrics.digests.get("train"), given["floor"], given["generated"]["showers"], given.get("level")


def _row(name: str, metrics: Metrics, columns: list[tuple[str, str, float]]) -> str:
    counts = f"{metrics.inputs['generated']['showers']:,} showers, {metrics.inputs.get('level', 'level unknown')}"
    return frame.row(
        [f'{html.escape(name)}<br><span class="ref">{counts}</span>']
        + [_cell(metrics.metrics.get(key), factor) for _, key, factor in columns]
    )


def _cell(one: Metric | None, factor: float) -> str:
    if one is None or one.value is None:
        return "–"
    return with_error(one.value * factor, None if one.error is None else one.error * factor)


def _floors(said: str, metrics: Metrics, columns: list[tuple[str, str, float]]) -> str:
    """What real showers give, at the numbers of a generator."""
    cells = [f'<span class="ref">{said}</span>']
    for _, key, factor in columns:
        one = metrics.metrics.get(key)
        floor = None if one is None else one.more.get("floor_at_counts", one.floor)
        cells.append(f'<span class="ref">{number(None if floor is None else floor * factor)}</span>')
    return frame.row(cells)


def _published(geometry: str, columns: list[tuple[str, str, float]]) -> tuple[list[str], str]:
    """Rows of the results on a geometry, and a paragraph on them."""
    submissions = published(geometry)
    if not submissions:
        return [], f"<p>There are no published results on {html.escape(geometry)}.</p>"
    rows = []
    for name, found in submissions.items():
        cells = [f'<span class="ref">{html.escape(name)}, published: other data</span>']
        for _, key, factor in columns:
            value, error = found.get(key, (None, None))
            said = with_error(*(None if x is None else x * factor for x in (value, error)))
            cells.append(f'<span class="ref">{said}</span>')
        rows.append(frame.row(cells))
    return rows, f"<p>{_SOURCE}</p>"
