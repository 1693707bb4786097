"""Where the energy goes and which cells are hit: profiles along and across the shower, and maps."""

import html
import itertools
from collections.abc import Mapping

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report.drawing import (
    COLOURS,
    FILL,
    NAMES,
    Picture,
    figure,
    layer_name,
    layer_ticks,
    look,
    number,
    picture,
    ratio_panels,
)
from calojax.report.spectra import samples, says


def longitudinal(metrics: Metrics) -> Picture:
    """Mean share of the incident energy per layer."""
    drawn, [(upper, lower)] = ratio_panels(1, 1, 5.6, 4.4)
    curves = samples(metrics, "longitudinal")
    layers = np.arange(curves["reference"].shape[1])
    _profile(upper, lower, np.append(layers, len(layers)) - 0.5, curves, curves["reference"][0])
    upper.set(ylabel=r"mean $E_\mathrm{layer}/E_\mathrm{inc}$")
    upper.legend()
    lower.set_ylabel("ratio")
    layer_ticks(metrics, lower)
    mean = metrics["separation.e_layer.mean"]
    peak = int(np.argmax(curves["reference"][0]))
    shares = ", ".join(f"{NAMES[s]} {c[0, peak]:.4f}" for s, c in curves.items())
    caption = f"Longitudinal profile. At its maximum, {layer_name(metrics, peak)}: {shares}. "
    return picture(
        drawn,
        caption + f"Spectra of the layers: mean {says(metrics, 'separation.e_layer.mean')}."
        if mean.value is not None
        else caption,
        caption,
    )


def sparsity(metrics: Metrics, others: Mapping[str, Metrics] | None = None) -> Picture:
    """Mean share of empty cells of each layer, with its spread over showers; others: further generators, by name."""
    drawn, [(upper, lower)] = ratio_panels(1, 1, 7.2, 4.6)
    curves = samples(metrics, "sparsity")
    curves |= {f"{i}:{name}": one.curves["sparsity.generated"] for i, (name, one) in enumerate((others or {}).items())}
    base, layers = curves["reference"], np.arange(curves["reference"].shape[1])
    upper.bar(layers, 2 * base[2], 1.0, base[0] - base[2], color=FILL, label="reference, mean and spread")
    upper.hlines(base[0], layers - 0.5, layers + 0.5, color=COLOURS["reference"], lw=1)
    lower.bar(layers, 2 * base[1], 1.0, -base[1], color=FILL)
    drawn_ones = {sample: curve for sample, curve in curves.items() if sample != "reference"}
    shifts = np.linspace(-0.25, 0.25, len(drawn_ones) + 2)[1:-1]
    for shift, (sample, (mean, error, spread)) in zip(shifts, drawn_ones.items(), strict=True):
        seen = look(sample)
        upper.errorbar(layers + shift, mean, spread, fmt="o", ms=3, lw=0.8, color=seen.colour, label=seen.name)
        lower.errorbar(layers + shift, mean - base[0], error, fmt="o", ms=3, lw=0.8, color=seen.colour)
    upper.set(ylabel="share of empty cells")
    upper.legend(fontsize=9)
    lower.axhline(0, color="black", lw=0.7)
    lower.set_ylabel("difference")
    layer_ticks(metrics, lower)
    off = {look(sample).name: float(np.abs(c[0] - base[0]).max()) for sample, c in drawn_ones.items()}
    said = "; ".join(f"{name} {number(size)}" for name, size in off.items())
    caption = (
        "Share of empty cells in each layer: mean and spread over showers (bars), below the difference of the means "
        f"from the reference's with its error. Largest difference: {html.escape(said)}."
    )
    return picture(drawn, caption, f"Share of empty cells against layer. Largest difference: {said}.")


def radial(metrics: Metrics) -> Picture:
    """Mean share of the incident energy per area and ring, for each kind of layer."""
    curves, starts, rings = samples(metrics, "rings"), _ring_starts(metrics), metrics.curves["geometry.r_edges"]
    groups = _kinds(rings)
    columns = min(len(groups), 4)
    drawn, places = ratio_panels(-(-len(groups) // columns), columns, *((5.6, 4.4) if columns == 1 else (3.3, 3.4)))
    for empty in places[len(groups) :]:
        empty[0].set_axis_off()
        empty[1].set_axis_off()
    said = []
    for (upper, lower), (edges, layers) in zip(places, groups.items(), strict=False):
        columns = np.array([np.arange(starts[x], starts[x] + len(edges) - 1) for x in layers])
        area = np.pi * np.diff(np.square(edges))
        summed = {
            s: np.stack([c[0][columns].sum(0), np.sqrt((c[1][columns] ** 2).sum(0))]) / area for s, c in curves.items()
        }
        _profile(upper, lower, np.asarray(edges), summed, summed["reference"][0])
        upper.set(ylabel=r"mean energy share / mm$^2$")
        title = "all layers" if len(groups) == 1 else ", ".join(layer_name(metrics, x) for x in layers)
        upper.set_title(title)
        lower.set(xlabel="r [mm]", ylabel="ratio")
        if layers[0] == 0:
            upper.legend()
        said.append(f"{title} {_extremes(summed)}")
    caption = f"Radial profile. Generated over reference per ring, where known to 30 %: {'; '.join(said)}."
    return picture(drawn, caption, caption)


def _extremes(curves: dict[str, np.ndarray]) -> str:
    """The smallest and the largest ratio of generated to reference values (2, n) that is known well enough."""
    base = np.where(curves["reference"][0] > 0, curves["reference"][0], np.nan)
    ratio, error = curves["generated"] / base
    known = ratio[np.hypot(error, curves["reference"][1] / base) < 0.3]
    return f"{known.min():.3f} to {known.max():.3f}" if len(known) else "nowhere"


def n_kinds(metrics: Metrics) -> int:
    """How many different radial binnings the layers have."""
    return len(_kinds(metrics.curves["geometry.r_edges"]))


def _kinds(r_edges: np.ndarray) -> dict[tuple, list[int]]:
    """Layers by their edges in r."""
    groups: dict[tuple, list[int]] = {}
    for layer, edges in enumerate(r_edges):
        groups.setdefault(tuple(edges[np.isfinite(edges)]), []).append(layer)
    return groups


def hit_maps(metrics: Metrics) -> Picture:
    """Hit probability of cells, layer by ring, averaged over alpha: reference, generated, difference."""
    maps = {s: _map(metrics, metrics.curves[f"probability.{s}"]) for s in ("reference", "generated")}
    difference = maps["generated"] - maps["reference"]
    drawn = figure(12.5, 3.6)
    axes = drawn.subplots(1, 3)
    for axis, (title, image) in zip(axes, maps.items(), strict=False):
        shown = axis.imshow(
            image.T, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest"
        )
        axis.set_title(f"hit probability, {title}")
    drawn.colorbar(shown, ax=axes[:2], pad=0.01)
    size = max(float(np.nanmax(np.abs(difference))), 1e-6)
    shown = axes[2].imshow(
        difference.T, origin="lower", aspect="auto", vmin=-size, vmax=size, cmap="RdBu_r", interpolation="nearest"
    )
    axes[2].set_title("generated − reference")
    drawn.colorbar(shown, ax=axes[2], pad=0.01)
    for axis in axes:
        layer_ticks(metrics, axis)
        axis.minorticks_off()
    axes[0].set_ylabel("ring")
    caption = (
        "Probability that a cell is hit, by layer and ring (mean over alpha). Largest difference "
        f"{size:.3f}, mean {np.nanmean(np.abs(difference)):.4f}."
    )
    return picture(drawn, caption, caption, raster=True)


def _profile(upper, lower, edges: np.ndarray, curves: dict[str, np.ndarray], base: np.ndarray) -> None:
    """Values (2, n) in bins, by sample; ratio to `base` below."""
    middle = (edges[1:] + edges[:-1]) / 2
    base = np.where(base > 0, base, np.nan)
    floor = max(np.nanmin(base, initial=np.inf) / 3, np.nanmax(base, initial=0.0) * 1e-7)
    for sample, (value, error) in curves.items():
        value = np.where(value > 0, value, np.nan)
        if sample == "reference":
            upper.stairs(np.nan_to_num(value), edges, fill=True, color="#d9d9d9", baseline=floor)
            upper.stairs(np.nan_to_num(value), edges, color=COLOURS[sample], lw=1, label=NAMES[sample], baseline=floor)
            spread = np.nan_to_num(error / base)
            lower.stairs(1 + spread, edges, baseline=1 - spread, fill=True, color="#d9d9d9")
        elif sample == "train":
            upper.stairs(
                np.nan_to_num(value), edges, color=COLOURS[sample], ls="--", label=NAMES[sample], baseline=None
            )
            lower.stairs(value / base, edges, color=COLOURS[sample], ls="--", lw=1, baseline=None)
        else:
            style = {"fmt": "o", "ms": 3, "lw": 1, "color": COLOURS[sample]}
            upper.errorbar(middle, value, error, label=NAMES[sample], **style)
            lower.errorbar(middle, value / base, error / base, **style)
    lower.axhline(1, color="black", lw=0.7)
    if np.isfinite(floor):
        upper.set_yscale("log")
        upper.set_ylim(floor, 8 * np.nanmax(base))
    upper.set_xlim(edges[0], edges[-1])
    ratio = curves["generated"][0] / base
    spread = float(np.nanmax(np.abs(ratio - 1), initial=0.0))
    lower.set_ylim(1 - min(max(1.3 * spread, 0.03), 0.5), 1 + min(max(1.3 * spread, 0.03), 0.5))


def _ring_starts(metrics: Metrics) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(metrics.curves["geometry.n_rings"])])


def _map(metrics: Metrics, values: np.ndarray) -> np.ndarray:
    """Values per ring as (L, largest number of rings), nan where a layer has fewer."""
    starts = _ring_starts(metrics)
    out = np.full((len(starts) - 1, int(np.diff(starts).max())), np.nan)
    for layer, (first, last) in enumerate(itertools.pairwise(starts)):
        out[layer, : last - first] = values[first:last]
    return out
