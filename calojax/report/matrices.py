"""The correlation matrix of hits: reference, generated, difference."""

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report.drawing import Picture, figure, layer_name, number, picture, with_error


def all_rings(metrics: Metrics) -> Picture:
    """Averaged over pairs of rings, all layers."""
    one = metrics["frobenius.occupancy"]
    floor = one.more.get("floor_at_counts") or one.floor
    constant = [int(one.more[f"constant_cells_{s}"] or 0) for s in ("reference", "generated")]
    caption = (
        f"Pearson matrix of hits, averaged over the cells of two rings (rings ordered by layer). Frobenius distance of "
        f"the full matrices {with_error(one.value, one.error)} (real showers: {number(floor, 4)}), from "
        f"{one.n_reference} and {one.n_generated} showers; cells hit never or always: {constant[0]} and "
        f"{constant[1]}. The common energy rules this matrix: read it together with the correlations at fixed energy."
    )
    axis_label = "ring (layer by layer)"
    return _three(metrics.curves["pearson.reference"], metrics.curves["pearson.generated"], caption, axis_label)


def two_layers(metrics: Metrics) -> Picture:
    """Cell by cell, in two layers at the shower maximum."""
    first, second = (layer_name(metrics, int(x)) for x in metrics.curves["zoom.layers"])
    caption = f"The same cell by cell in {first} and {second}, around the shower maximum (alpha slow, r fast)."
    return _three(metrics.curves["zoom.reference"], metrics.curves["zoom.generated"], caption, "cell")


def _three(reference: np.ndarray, generated: np.ndarray, caption: str, label: str) -> Picture:
    drawn = figure(13, 4.3)
    axes = drawn.subplots(1, 3)
    off = ~np.eye(len(reference), dtype=bool)
    size = max(float(np.abs(reference[off]).max(initial=0)), 0.05)
    difference = generated - reference
    spread = max(float(np.quantile(np.abs(difference[off]), 0.999)) if off.any() else 0.0, 0.01)
    for axis, title, image, limit in (
        (axes[0], "reference", reference, size),
        (axes[1], "generated", generated, size),
        (axes[2], "generated − reference", difference, spread),
    ):
        shown = axis.imshow(image, vmin=-limit, vmax=limit, cmap="RdBu_r", interpolation="nearest")
        axis.set(title=title, xlabel=label)
        axis.minorticks_off()
        if axis is not axes[0]:
            drawn.colorbar(shown, ax=axis, pad=0.01, fraction=0.046)
    axes[0].set_ylabel(label)
    return picture(drawn, caption, caption, raster=True)
