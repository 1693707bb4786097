"""The correlation matrix of hits: reference, generated, difference."""

import numpy as np

from calojax.evaluation import words
from calojax.evaluation.schema import Metrics
from calojax.report.drawing import Picture, figure, layer_name, number, picture, with_error


def all_rings(metrics: Metrics) -> Picture:
    """Averaged over pairs of rings, all layers."""
    one = metrics["frobenius.occupancy"]
    floor = one.more.get("floor_at_counts") or one.floor
    constant = [int(one.more[f"constant_cells_{s}"] or 0) for s in ("reference", "generated")]
    kind, grid = _kinds(metrics)[0], words.on_grid(metrics)
    cells, sorting = ("crystals", "") if grid else ("cells", f" ({kind} slow, layer fast)")
    caption = (
        f"Pearson matrix of hits, averaged over the {cells} of two {kind}s{sorting}. Frobenius distance "
        f"of the full matrices {with_error(one.value, one.error)} (real showers: {number(floor, 4)}), from "
        f"{one.n_reference} and {one.n_generated} showers; {cells} hit never or always: {constant[0]} and "
        f"{constant[1]}. The common energy rules this matrix: read it together with the correlations at fixed energy."
    )
    n_rings = metrics.curves["geometry.n_rings"]
    ring = np.concatenate([np.arange(n) for n in n_rings])
    order = np.lexsort((np.repeat(np.arange(len(n_rings)), n_rings), ring))
    label = kind if grid else f"{kind} (in each: layer by layer)"
    return _three(metrics, "pearson", order, ring[order], caption, label)


def two_layers(metrics: Metrics) -> Picture:
    """Cell by cell, in two layers at the shower maximum."""
    first, second = (layer_name(metrics, int(x)) for x in metrics.curves["zoom.layers"])
    slow, fast = _kinds(metrics)
    where = f"{first} and {second}, around the shower maximum" if first != second else first
    which = "crystal by crystal" if words.on_grid(metrics) else f"cell by cell in {where}"
    caption = f"The same {which} ({slow} slow, {fast} fast)."
    curves = metrics.curves
    layers = np.unique(curves["zoom.layers"])
    sizes = [int(curves["geometry.n_alpha"][x] * curves["geometry.n_rings"][x]) for x in layers]
    cells = [np.arange(size) for size in sizes]
    ring = np.concatenate([c % curves["geometry.n_rings"][x] for x, c in zip(layers, cells, strict=True)])
    layer = np.repeat(layers, [len(c) for c in cells])
    shown = len(curves["zoom.reference"])  # of large layers only the first cells are kept
    order = np.lexsort((ring[:shown], layer[:shown]))
    return _three(metrics, "zoom", order, ring[order], caption, f"{slow} (in each: {fast})")


def _kinds(metrics: Metrics) -> tuple[str, str]:
    """What the cells of a layer are counted by."""
    return ("column", "row") if words.on_grid(metrics) else ("ring", "alpha")


def _three(metrics: Metrics, stem: str, order: np.ndarray, ring: np.ndarray, caption: str, label: str) -> Picture:
    """Matrices `<stem>.reference` and `.generated` with rows and columns in a new order; ring (n,) of each row."""
    reference, generated = (metrics.curves[f"{stem}.{s}"][np.ix_(order, order)] for s in ("reference", "generated"))
    drawn = figure(13, 4.3)
    starts = np.flatnonzero(np.diff(ring, prepend=-1))
    starts = starts[:: -(-len(starts) // 10)]
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
        for side in (axis.xaxis, axis.yaxis):
            side.set_ticks(starts, ring[starts])
        axis.minorticks_off()
        if axis is not axes[0]:
            drawn.colorbar(shown, ax=axis, pad=0.01, fraction=0.046)
    axes[0].set_ylabel(label)
    return picture(drawn, caption, caption, raster=True)
