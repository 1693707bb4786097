"""Quantities against the incident energy: response, number of hits, hit correlations."""

from typing import Any

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report.drawing import COLOURS, NAMES, Picture, panels, picture, ratio_panels, with_error
from calojax.report.spectra import axis_label, panel, samples
from calojax.report.tables import by_bin, energy_range

_DIRECTIONS = {
    "alpha": "next in alpha",
    "opposite": "opposite cell",
    "z": "next layer",
    "r": "next ring",
    "x": "next in x",
    "y": "next in y",
}


def response(metrics: Metrics) -> Picture:
    """Linearity and resolution with their ratio to the reference."""
    drawn, (left, right) = ratio_panels(1, 2, 5.4, 4.6)
    curves, edges = samples(metrics, "response"), metrics.curves["bins.fine"]
    _curve(*left, edges, {s: c[:2] for s, c in curves.items()}, r"mean of $E_\mathrm{tot}/E_\mathrm{inc}$")
    relative = {s: c[2:] / np.where(c[0] > 0, c[0], np.nan) for s, c in curves.items()}
    _curve(*right, edges, relative, "width / mean of $E_\\mathrm{tot}/E_\\mathrm{inc}$", log_y=True, legend=False)
    said = "Linearity and resolution: mean and width of the visible over the incident energy."
    table = by_bin(metrics, {"mean": "response.{}.mean", "width": "response.{}.width"})
    return picture(drawn, said + table, said)


def hits(metrics: Metrics) -> Picture:
    """Mean and spread of the number of hits."""
    drawn, (left, right) = ratio_panels(1, 2, 5.4, 4.6)
    curves, edges = samples(metrics, "hits"), metrics.curves["bins.fine"]
    _curve(*left, edges, {s: c[:2] for s, c in curves.items()}, "mean number of hits", log_y=True)
    axis = _curve(*right, edges, {s: c[2:] for s, c in curves.items()}, "spread at fixed energy / mean", legend=False)
    _alone(axis, metrics.curves["bins.edges"], metrics.curves["independent.hits"])
    axis.legend()
    said = (
        "Number of hit cells: mean, and spread around its quadratic in ln E over the mean. Dotted: what cells drawn "
        "independently would give."
    )
    table = by_bin(metrics, {"mean": "hits.{}.mean", "spread / mean": "hits.{}.width"})
    return picture(drawn, said + table, said)


def correlations(metrics: Metrics) -> Picture:
    """Hit correlations at fixed energy against the energy bin, one panel for each direction."""
    directions = {d: words for d, words in _DIRECTIONS.items() if f"independent.{d}" in metrics.curves}
    drawn, axes = panels(1, len(directions), 3.3, 3.5)
    edges = metrics.curves["bins.edges"]
    middle = np.sqrt(edges[1:] * edges[:-1]) / 1000
    for axis, (direction, words) in zip(axes, directions.items(), strict=True):
        found = [metrics[f"correlation.hits.{direction}.{b}"] for b in range(len(middle))]
        for sample, value, error, shift in (
            ("reference", "reference", "reference_error", 0.96),
            ("generated", "value", "error", 1.04),
        ):
            pairs = [(m.to_table().get(value), m.to_table().get(error)) for m in found]
            y, dy = np.array([[np.nan if x is None else x for x in pair] for pair in pairs], float).T
            axis.errorbar(middle * shift, y, dy, fmt="o", ms=4, color=COLOURS[sample], label=NAMES[sample])
        floor = [np.nan if m.floor is None else m.floor for m in found]
        axis.plot(middle, floor, "--", color=COLOURS["train"], label="real showers")
        _alone(axis, edges, metrics.curves[f"independent.{direction}"])
        axis.set(xscale="log", title=words, xlabel=r"$E_\mathrm{inc}$ [GeV]", xlim=_limits(edges))
        axis.margins(y=0.15)
    axes[0].set_ylabel("mean correlation of hits")
    axes[0].legend()
    said = (
        "Correlation of the hits of a cell and its neighbour at fixed energy, mean over the pairs of cells. Dotted: "
        "what cells drawn independently, with the right probabilities, would give."
    )
    table = by_bin(metrics, {words: f"correlation.hits.{d}.{{}}" for d, words in directions.items()})
    return picture(drawn, said + table, said)


def e_tot_in_bins(metrics: Metrics) -> Picture:
    """E_tot/E_inc in each energy bin."""
    edges = metrics.curves["bins.edges"]
    n_bins = len(edges) - 1
    drawn, places = ratio_panels(1, n_bins, 3.6, 4.0)
    shares = samples(metrics, "e_tot_in_bins")
    for b in range(n_bins):
        title = energy_range(edges[b], edges[b + 1])
        bins = metrics.curves["e_tot_in_bins.edges"][b]
        inside = {s: c[:, b] for s, c in shares.items()}
        panel(*places[b], bins, inside, axis_label(metrics, "e_tot"), title=title, legend=b == 0)
    widths = [metrics[f"response.{b}.width"] for b in range(n_bins)]
    said = ", ".join(
        f"{with_error(w.value, w.error)} ({with_error(w.more['reference'], w.more['reference_error'])})" for w in widths
    )
    caption = f"E<sub>tot</sub>/E<sub>inc</sub> in bins of incident energy. Widths, generated (reference): {said}."
    return picture(drawn, caption, "Histograms of E_tot/E_inc in bins of incident energy")


def _curve(
    upper: Any,
    lower: Any,
    edges: np.ndarray,
    curves: dict[str, np.ndarray],
    label: str,
    *,
    log_y: bool = False,
    legend: bool = True,
) -> Any:
    """Values with errors (2, n) by sample against energy, their ratio to the reference below; the upper axes."""
    middle = np.sqrt(edges[1:] * edges[:-1]) / 1000
    base = np.where(curves["reference"][0] > 0, curves["reference"][0], np.nan)
    for sample, (value, error) in curves.items():
        ratio, ratio_error = value / base, np.abs(error / base)
        if sample == "train":
            upper.plot(middle, value, "--", color=COLOURS[sample], label=NAMES[sample])
            lower.plot(middle, ratio, "--", color=COLOURS[sample], lw=1)
            continue
        marker = "s" if sample == "reference" else "o"
        face = "white" if sample == "reference" else COLOURS[sample]
        style = {"fmt": marker, "ms": 5, "mfc": face, "color": COLOURS[sample], "lw": 1}
        upper.errorbar(middle, value, error, label=NAMES[sample], **style)
        if sample == "reference":
            lower.fill_between(middle, 1 - ratio_error, 1 + ratio_error, color="#d9d9d9", lw=0)
        else:
            lower.errorbar(middle, ratio, ratio_error, **style)
    lower.axhline(1, color="black", lw=0.7)
    upper.set(xscale="log", ylabel=label, xlim=_limits(edges))
    if log_y and any((value > 0).any() for value, _ in curves.values()):
        upper.set_yscale("log")
    lower.set(xlabel=r"$E_\mathrm{inc}$ [GeV]", ylabel="ratio")
    if legend:
        upper.legend()
    return upper


def _limits(edges: np.ndarray) -> tuple[float, float]:
    """The range of the energy bins, MeV, with a little margin, GeV."""
    return float(edges[0]) / 1050, float(edges[-1]) / 950


def _alone(axis: Any, edges: np.ndarray, values: np.ndarray) -> None:
    """The level of independent cells, bin by bin."""
    values = np.asarray(values, float)
    if np.isfinite(values).any():
        axis.stairs(
            np.nan_to_num(values),
            edges / 1000,
            baseline=None,
            color=COLOURS["independent"],
            lw=1.2,
            ls=":",
            label="independent cells",
        )
