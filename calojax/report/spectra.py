"""Histograms: reference filled, generated in colour, training showers dashed, with a ratio panel below."""

from typing import Any

import numpy as np

from calojax.evaluation import words
from calojax.evaluation.schema import Metrics
from calojax.report.drawing import (
    COLOURS,
    FILL,
    Picture,
    figure,
    layer_name,
    layer_ticks,
    look,
    number,
    panels,
    picture,
    ratio_panels,
    rounded,
    with_error,
)

_LABELS = {
    "e_tot": r"$E_\mathrm{tot}/E_\mathrm{inc}$",
    "e_layer": "layer energy [MeV]",
    "ec_eta": "centre in $\\eta$ (x) [mm]",
    "ec_phi": "centre in $\\phi$ (y) [mm]",
    "width_eta": "width in $\\eta$ (x) [mm]",
    "width_phi": "width in $\\phi$ (y) [mm]",
    "ec_r": "centre in r [mm]",
    "width_r": "width in r [mm]",
    "sparsity": "share of empty cells",
    "voxel": "cell energy [MeV]",
    "n_hits": "hit cells per shower",
    "hit_layers": "hit layers per shower",
    "hit_rings": "hit rings per hit layer",
    "hit_cells": "hit cells per hit ring",
}
_OF_CRYSTALS = {
    "e_layer": "total energy [MeV]",
    "ec_eta": "centre in x [mm]",
    "ec_phi": "centre in y [mm]",
    "width_eta": "width in x [mm]",
    "width_phi": "width in y [mm]",
    "sparsity": "share of empty crystals",
    "voxel": "crystal energy [MeV]",
    "n_hits": "hit crystals per shower",
    "hit_rings": "hit columns per shower",
    "hit_cells": "hit crystals per hit column",
}
LOGARITHMIC = ("e_layer", "voxel")
_LARGEST_ERROR = 0.3  # of a ratio that is drawn


def axis_label(metrics: Metrics, family: str) -> str:
    """Of the axis of a histogram."""
    return (_LABELS | (_OF_CRYSTALS if words.on_grid(metrics) else {}))[family]


def samples(metrics: Metrics, stem: str) -> dict[str, np.ndarray]:
    """Curves `<stem>.<sample>` of every sample there is, reference first."""
    return {
        s: metrics.curves[f"{stem}.{s}"] for s in ("reference", "train", "generated") if f"{stem}.{s}" in metrics.curves
    }


def says(metrics: Metrics, name: str) -> str:
    """The number of a figure: S with its error, and the floor."""
    one = metrics[name]
    if one.value is None:
        return f"S cannot be computed: {one.reason}"
    floor = one.more.get("floor_at_counts") or one.floor
    outside = one.more.get("outside_generated") or 0.0
    theirs = one.more.get("outside_reference") or 0.0
    tail = (
        f"; outside the range: {outside:.1%} generated, {theirs:.1%} reference" if max(outside, theirs) >= 1e-3 else ""
    )
    return f"S = {with_error(one.value, one.error)} (real showers: {rounded(floor, one.error)}){tail}"


def histograms(metrics: Metrics, chosen: list[tuple[str, int]], *, log_y: bool = False) -> Picture:
    """One panel with ratio for each chosen (family, column), in rows of up to four."""
    per_row = len(chosen) if len(chosen) < 4 else 4 if len(chosen) in (4, 7, 8) else 3
    rows, alike = -(-len(chosen) // per_row), len(chosen) > 1 and len({family for family, _ in chosen}) == 1
    drawn, places = ratio_panels(rows, per_row, (5.6, 4.6, 4.3, 3.3)[per_row - 1], 3.4 if per_row > 3 else 3.9)
    said, named = [], words.families(metrics)
    for place, (family, column) in zip(places, chosen, strict=False):
        layer = int(metrics.curves[f"histogram.{family}.layers"][column])
        shares = {s: c[:, column] for s, c in samples(metrics, f"histogram.{family}").items()}
        title = layer_name(metrics, layer) if layer >= 0 else ""
        panel(
            *place,
            metrics.curves[f"histogram.{family}.edges"][column],
            shares,
            axis_label(metrics, family),
            title=title,
            log_x=family in LOGARITHMIC,
            log_y=log_y,
            legend=place is places[0] and len(places) == len(chosen),
        )
        name = f"separation.{family}" + (f".{layer}" if layer >= 0 else "")
        whole = f"{named[family]}, {title}" if title else named[family]
        said.append(f"{title if alike else whole}: {says(metrics, name)}")
    for empty in places[len(chosen) :]:
        empty[0].set_axis_off()
        empty[1].set_axis_off()
        empty[0].legend(*places[0][0].get_legend_handles_labels(), loc="center")
    lead = f"{named[chosen[0][0]]}. " if alike else ""
    caption = _sentence(lead + "; ".join(said))
    return picture(drawn, caption, f"Histograms. {caption}")


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."


def panel(
    upper: Any,
    lower: Any,
    edges: np.ndarray,
    shares: dict[str, np.ndarray],
    label: str,
    *,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    legend: bool = True,
) -> None:
    """Histograms (2, B) by sample over bins `edges`, ratio to the reference below."""
    width = 1.0 if log_x else np.diff(edges)
    low, high = _range(edges, shares, 0.0 if log_y else 1e-3)
    for sample, (value, error) in shares.items():
        _steps(upper, edges, value / width, sample)
        ratio, ratio_error = _ratio(value, error, shares["reference"])
        if sample == "reference":
            _band(lower, edges, ratio_error)
        elif sample == "train":
            lower.stairs(ratio, edges, baseline=None, color=look(sample).colour, ls="--", lw=1)
        else:
            middle = np.sqrt(edges[1:] * edges[:-1]) if log_x else (edges[1:] + edges[:-1]) / 2
            lower.errorbar(middle, ratio, ratio_error, fmt="o", ms=2.5, lw=0.9, color=look(sample).colour)
    lower.axhline(1, color="black", lw=0.7)
    half = _ratio_range(edges, shares, low, high)
    lower.set(ylim=(1 - half, 1 + half), yticks=(1 - half / 2, 1, 1 + half / 2), xlim=(low, high), xlabel=label)
    lower.set_ylabel("ratio", fontsize=10)
    upper.set_ylabel("share per bin" if log_x else "density")
    if log_x:
        upper.set_xscale("log")
    if log_y and any(value.any() for value, _ in shares.values()):
        upper.set_yscale("log")
    else:
        upper.set_ylim(0, upper.get_ylim()[1] * (1 + 0.2 * len(shares) if legend else 1.1))  # room for it
    if title:
        upper.set_title(title, loc="right")
    if legend:
        upper.legend(handlelength=1.6, loc="best")


def per_layer(metrics: Metrics, families: list[str]) -> Picture:
    """Separation power against the layer for each family, with the floor."""
    drawn, axes = panels(2, 4, 3.3, 2.6)
    named = words.families(metrics)
    for axis, family in zip(axes, families, strict=True):
        layers = metrics.curves[f"histogram.{family}.layers"]
        value, error, floor = _columns(metrics, family, layers)
        axis.errorbar(layers, value, error, fmt="o", ms=3, lw=0.8, color=COLOURS["generated"], label="generated")
        axis.plot(layers, floor, "--", color=COLOURS["train"], label="real showers")
        axis.set_title(named[family])
        top = np.nanmax(np.concatenate([value, floor]), initial=0)
        axis.set_ylim(0, top * 1.15 if top > 0 else 1)
    for axis in axes[4:]:
        layer_ticks(metrics, axis)
    for axis in axes[::4]:
        axis.set_ylabel("separation power S")
    axes[0].legend()
    means = "; ".join(f"{named[f]} {says(metrics, f'separation.{f}.mean')}" for f in families)
    return picture(
        drawn,
        f"Separation power S layer by layer. Means over the layers: {means}.",
        f"Separation power against layer for eight feature families. Means: {means}",
    )


def _columns(metrics: Metrics, family: str, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S, its error and its floor of each layer, nan where unknown."""
    found = [metrics[f"separation.{family}.{layer}"] for layer in layers]
    rows = [(m.value, m.error, m.more.get("floor_at_counts") or m.floor) for m in found]
    table = np.array([[np.nan if x is None else x for x in row] for row in rows], float).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def grid(metrics: Metrics, family: str) -> Picture:
    """All layers of a family as small histograms on one sheet."""
    edges, layers = (metrics.curves[f"histogram.{family}.{part}"] for part in ("edges", "layers"))
    shares = {s: c[0] for s, c in samples(metrics, f"histogram.{family}").items()}
    per_row = 9 if len(layers) > 12 else max(min(len(layers), 5), 1)
    n_rows = -(-len(layers) // per_row)
    drawn = figure(1.55 * per_row + 0.2, 1.3 * n_rows + 0.3)
    axis = drawn.add_subplot()
    corners = [np.array([place % per_row * 1.06, -(place // per_row) * 1.2]) for place in range(len(layers))]
    outlines = {sample: [] for sample in shares}
    for place, layer in enumerate(layers):
        here = {s: c[place] for s, c in shares.items()}
        for sample, outline in _outlines(edges[place], here, family in LOGARITHMIC).items():
            outlines[sample].append(outline + corners[place])
        value = metrics[f"separation.{family}.{layer}"].value
        plain = "unknown" if value is None else f"{value:.1e}" if value < 1e-3 else f"{value:.2g}"
        axis.text(*corners[place] + (0.03, 1.03), f"{layer_name(metrics, layer)}   S {plain}", fontsize=6.5)
    _collect(axis, outlines, [np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]) + corner for corner in corners])
    axis.set_axis_off()
    axis.set(xlim=(-0.02, per_row * 1.06), ylim=(-(n_rows - 1) * 1.2 - 0.03, 1.18))
    named = words.families(metrics)[family]
    caption = (
        f"{named}, every layer, each over its own range: mean {says(metrics, f'separation.{family}.mean')}, "
        f"largest S {number(metrics[f'separation.{family}.max'].value)}"
    )
    return picture(drawn, _sentence(caption), _sentence(caption), raster=True, dpi=110)


def _outlines(edges: np.ndarray, shares: dict[str, np.ndarray], logarithmic: bool) -> dict[str, np.ndarray]:
    """Steps (n, 2) of the histograms (B,) of one layer, in a unit square."""
    low, high = _range(edges, {s: c[None] for s, c in shares.items()})
    bins = np.log(edges / low) / np.log(high / low) if logarithmic else (edges - low) / (high - low)
    top = max(float(c.max()) for c in shares.values()) or 1.0
    keep = (bins[:-1] > -1e-9) & (bins[1:] < 1 + 1e-9)
    x = np.repeat(np.append(bins[:-1][keep], 1.0), 2)
    return {s: np.stack([x, np.pad(np.repeat(0.95 * c[keep] / top, 2), 1)], axis=1) for s, c in shares.items()}


def _collect(axis: Any, outlines: dict[str, list[np.ndarray]], frames: list[np.ndarray]) -> None:
    """Many small histograms in few artists: drawing is several times faster."""
    from matplotlib.collections import LineCollection, PolyCollection  # noqa: PLC0415

    for sample, lines in outlines.items():
        if sample == "reference":
            axis.add_collection(PolyCollection(lines, facecolor=FILL))
        else:
            colour, _, dash = look(sample)
            axis.add_collection(LineCollection(lines, colors=colour, linewidths=0.8, linestyles=dash))
    axis.add_collection(LineCollection(frames, colors="black", linewidths=0.5))


def _steps(axis: Any, edges: np.ndarray, heights: np.ndarray, sample: str) -> None:
    """One histogram in the look of its sample."""
    colour, name, dash = look(sample)
    if sample == "reference":
        axis.stairs(heights, edges, fill=True, color=FILL)
        axis.stairs(heights, edges, color=colour, lw=1, label=name)
    else:
        axis.stairs(heights, edges, color=colour, ls=dash, label=name)


def _ratio(value: np.ndarray, error: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and error over the reference; nan where there are too few entries to say anything."""
    base = np.where(reference[0] > 0, reference[0], np.nan)
    ratio, ratio_error = value / base, error / base
    enough = (ratio_error < _LARGEST_ERROR) & (reference[1] / base < _LARGEST_ERROR)
    return np.where(enough, ratio, np.nan), np.where(enough, ratio_error, np.nan)


def _ratio_range(edges: np.ndarray, shares: dict[str, np.ndarray], low: float, high: float) -> float:
    """How far from 1 ratios are shown: 0.5, or 1 where the generated ones do not fit."""
    value, error = shares["generated"]
    ratio, _ = _ratio(value, error, shares["reference"])
    shown = ratio[(edges[:-1] >= low) & (edges[1:] <= high) & np.isfinite(ratio)]
    return 1.0 if len(shown) and np.mean(np.abs(shown - 1) > 0.5) > 0.1 else 0.5


def _band(axis: Any, edges: np.ndarray, error: np.ndarray) -> None:
    """The reference's own error around 1."""
    error = np.nan_to_num(error)
    axis.stairs(1 + error, edges, baseline=1 - error, fill=True, color=FILL)


def _range(edges: np.ndarray, shares: dict[str, np.ndarray], tail: float = 1e-3) -> tuple[float, float]:
    """The part of the bins that every sample has all its entries in but a share `tail` at each end."""
    below = np.stack([np.cumsum(c[0]) for c in shares.values()])  # (samples, B)
    seen = (below > tail).any(axis=0) & (below - np.stack([c[0] for c in shares.values()]) < 1 - tail).any(axis=0)
    filled = np.flatnonzero(seen)
    if len(filled) == 0 or below.max() == 0:
        return float(edges[0]), float(edges[-1])
    return float(edges[filled[0]]), float(edges[filled[-1] + 1])
