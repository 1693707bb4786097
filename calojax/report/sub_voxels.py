"""How the energy of a voxel is shared among its four sub-voxels, drawn layer by layer."""

import numpy as np

from calojax.files.atlas import detector
from calojax.report.drawing import Picture, figure, picture

_NAMES = ("inner, lower", "inner, upper", "outer, lower", "outer, upper")
_COLOURS = ("#1a1a1a", "#c8102e", "#2f6f9f", "#d77a00")


def probabilities(shares: dict[int, np.ndarray], active: tuple[int, ...], title: str) -> Picture:
    """Shares of the sub-voxels (J, V, 4) by layer: mean over voxels in each job, and where 68 % of the voxels lie.

    active: layers with energy; the others lie on a grey ground.
    """
    layers = sorted(shares)
    drawn = figure(0.48 * len(layers) + 2.2, 4.4)
    axis = drawn.subplots()
    for place, layer in enumerate(layers):
        if layer not in active:
            axis.axvspan(place - 0.5, place + 0.5, color="#e9ebed", lw=0, zorder=0)
        jobs = shares[layer].mean(axis=1)  # (J, 4)
        low, high = np.quantile(shares[layer].mean(axis=0), [0.16, 0.84], axis=0)
        for part, colour in enumerate(_COLOURS):
            x = place + 0.18 * (part - 1.5)
            label = _NAMES[part] if place == 0 else None
            axis.plot([x, x], [low[part], high[part]], color=colour, lw=2.4, alpha=0.35, solid_capstyle="butt")
            axis.plot(np.full(len(jobs), x), jobs[:, part], "o", ms=2.6, color=colour, label=label, alpha=0.8)
    axis.axhline(0.25, color="#62666b", lw=0.8, ls=":", zorder=1)
    axis.set_xticks(range(len(layers)), [detector.name(layer) for layer in layers], rotation=90)
    axis.tick_params(axis="x", which="both", length=0)
    axis.set(ylabel="share of the voxel's energy", xlim=(-0.5, len(layers) - 0.5))
    low, high = axis.get_ylim()
    axis.set_ylim(max(0.0, low), high + 0.18 * (high - low))
    axis.legend(ncols=4, loc="upper center", title="half in radius and in angle")
    axis.set_title(title, loc="left")
    inactive = [layer for layer in layers if layer not in active]
    flat = all(np.abs(shares[layer] - 0.25).max() < 1e-6 for layer in inactive)
    caption = (
        f"Shares of the four sub-voxels, {title}. Points: mean over the voxels of a layer in each of "
        f"{len(shares[layers[0]])} jobs; bars: 68 % of the voxels. Grey: layers without energy"
        + (", where all shares are 1/4." if flat and inactive else ".")
    )
    return picture(drawn, caption, caption)
