"""Showers drawn as cylinders, from the side and a little from the front: the average one and a single one."""

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report import wedges
from calojax.report.drawing import Picture, figure, layer_name, number, picture

_LARGEST_ERROR = 0.3  # relative, of the means whose ratio is drawn
_DISC_AZIMUTH, _GAP = -0.95, 1.95  # rad; between the middles of two discs, in radii
_SAMPLES = ("reference", "generated")


def average(metrics: Metrics) -> Picture:
    """Mean energy share of every cell in some layers: reference, generated, and their ratio."""
    (reference, error), (generated, generated_error) = (metrics.curves[f"average.{s}"] for s in _SAMPLES)
    values = {"reference": reference, "generated": generated}
    layers = _some_layers(metrics)
    cells, shift = _discs(metrics, layers)
    known = (error < _LARGEST_ERROR * reference) & (generated_error < _LARGEST_ERROR * generated)
    ratio = np.divide(generated, reference, where=known, out=np.full(len(known), np.nan))
    top = max(float(v.max()) for v in values.values()) or 1.0
    shown = np.concatenate([v[cells.index] for v in values.values()])
    low = max(float(shown[shown > 0].min(initial=top)), top * 1e-4)
    drawn = figure(1.6 * len(layers) + 1.6, 6.6)
    axes = drawn.subplots(3, 1)
    shares, ratios = wedges.energies(low, top), wedges.ratios()
    rows = [*((name, value, shares) for name, value in values.items()), ("generated / reference", ratio, ratios)]
    for axis, (name, value, colours) in zip(axes, rows, strict=True):
        wedges.draw(axis, cells, value, colours, _DISC_AZIMUTH, shift)
        axis.set_title(name, loc="left")
        wedges.no_axes(axis)
    wedges.angles(axes[0], _DISC_AZIMUTH, 0.0)
    for place, layer in enumerate(layers):
        axes[2].text(_GAP * place, -1.12, layer_name(metrics, int(layer)), ha="center", va="top", fontsize=11)
    drawn.colorbar(shares, ax=list(axes[:2]), label=r"mean $E_\mathrm{cell}/E_\mathrm{inc}$", pad=0.01, panchor="C")
    bar = drawn.colorbar(ratios, ax=axes[2], label="ratio", pad=0.01, panchor="C", extend="both")
    bar.ax.minorticks_off()
    bar.ax.set_yticks([0.5, 0.7, 1, 1.4, 2], ["0.5", "0.7", "1", "1.4", "2"])
    seen = np.unique(cells.index)
    close = np.abs(ratio[seen] - 1) < 0.1
    weight = reference[seen]
    share = float(weight[close].sum() / weight.sum()) if weight.sum() > 0 else float("nan")
    caption = (
        f"The average shower in {len(layers)} of {len(metrics.curves['geometry.id'])} layers: mean share of the "
        "incident energy in each cell, the shower coming from the left. "
        + ("" if not np.isfinite(share) else f"Cells with {number(100 * share)} % of this energy agree within 10 %. ")
        + f"Grey: not known to {100 * _LARGEST_ERROR:.0f} % in both. {_scale(metrics)}"
    )
    return picture(drawn, caption, caption, raster=True)


def single(metrics: Metrics) -> Picture:
    """One reference shower and the generated one of the nearest energy, every hit cell a wedge in its place."""
    curves, azimuth = metrics.curves, -0.6
    pair = int(0.6 * len(curves["viewer.reference.energy"]))
    found = {}
    for name in _SAMPLES:
        hits = slice(*curves[f"viewer.{name}.offsets"][pair : pair + 2])
        value = np.zeros(int(np.sum(curves["geometry.n_rings"] * curves["geometry.n_alpha"])))
        value[curves[f"viewer.{name}.cell"][hits]] = curves[f"viewer.{name}.deposit"][hits]
        found[name] = value
    threshold = float(curves["geometry.threshold"])
    top = max(*(float(value.max()) for value in found.values()), 10 * threshold)
    low = max(threshold, top / 1000)
    drawn = figure(12.5, 4.6)
    axes, colours, cells = drawn.subplots(1, 2), wedges.energies(low, top), _cells(metrics)
    ends = [f"z = {z:.4g} mm" for z in curves["geometry.z_edges"][[0, -1], [0, 1]]]
    said = []
    for axis, (name, value) in zip(axes, found.items(), strict=True):
        wedges.outline(axis, _length(metrics), ends, azimuth)
        wedges.angles(axis, azimuth, -_length(metrics) / 2)
        wedges.draw(axis, wedges.hit(cells, value), value, colours, azimuth, faint=True)
        wedges.no_axes(axis)
        incident = float(curves[f"viewer.{name}.energy"][pair]) / 1000
        words = f"{incident:.3g} GeV, {np.count_nonzero(value)} hit cells with {value.sum() / 1000:.3g} GeV"
        axis.set_title(f"{name}: {words}", fontsize=11)
        said.append(f"{name} {words}")
    drawn.colorbar(colours, ax=list(axes), label="cell energy [MeV]", pad=0.01)
    caption = f"A pair of single showers, coming from the left: {'; '.join(said)}. {_scale(metrics)}"
    return picture(drawn, caption, caption, raster=True)


# ---- geometry


def _cells(metrics: Metrics) -> wedges.Cells:
    """All cells; of wide alpha bins several parts."""
    curves = metrics.curves
    length, front = _length(metrics), float(curves["geometry.z_edges"][0, 0])
    depth = float(curves["geometry.z_edges"][-1, 1]) - front
    parts, first = [], 0
    for edges, n_alpha, z in zip(*(curves[f"geometry.{x}"] for x in ("r_edges", "n_alpha", "z_edges")), strict=True):
        edges = _radius(metrics, edges[np.isfinite(edges)])
        n_rings, cut = len(edges) - 1, -(-wedges.SECTORS // int(n_alpha))
        angles = np.linspace(-np.pi, np.pi, int(n_alpha) * cut + 1)
        ring, sector = (part.ravel() for part in np.meshgrid(np.arange(n_rings), np.arange(len(angles) - 1)))
        x = np.broadcast_to(((z - front) / depth - 0.5) * length, (len(ring), 2))
        both, piece = np.array([0, 1]), sector % cut
        ends = np.stack([piece == 0, piece == cut - 1], axis=1) & (n_alpha > 1)
        index = first + sector // cut * n_rings + ring
        parts.append(wedges.Cells(edges[ring[:, None] + both], angles[sector[:, None] + both], x, ends, index))
        first += n_rings * int(n_alpha)
    return wedges.Cells(*map(np.concatenate, zip(*parts, strict=True)))


def _discs(metrics: Metrics, layers: np.ndarray) -> tuple[wedges.Cells, np.ndarray]:
    """The cells of these layers as thin discs, and how far to the right (C,) each is drawn."""
    cells = _cells(metrics)
    sizes = metrics.curves["geometry.n_rings"] * metrics.curves["geometry.n_alpha"]
    layer = np.repeat(np.arange(len(sizes)), sizes)[cells.index]
    kept = np.isin(layer, layers)
    r, alpha, x, ends, index = (field[kept] for field in cells)
    discs = wedges.Cells(r, alpha, np.broadcast_to((0, 0.12), x.shape), ends, index)
    return discs, np.searchsorted(layers, layer[kept]) * _GAP


def _some_layers(metrics: Metrics) -> np.ndarray:
    """All of up to seven layers, else seven from the first to the last with 1 % of the most energetic one's energy."""
    profile = metrics.curves["longitudinal.reference"][0]
    seen = np.flatnonzero(profile >= 0.01 * profile.max()) if len(profile) > 7 else np.arange(len(profile))
    return np.unique(seen[np.linspace(0, len(seen) - 1, 7).round().astype(int)])


def _radius(metrics: Metrics, r: np.ndarray) -> np.ndarray:
    """Radii in mm as drawn; compressed where the innermost ring could not be seen, as in the viewer."""
    edges = metrics.curves["geometry.r_edges"]
    return wedges.radius(r, float(np.nanmin(edges[edges > 0])), float(np.nanmax(edges)))


def _length(metrics: Metrics) -> float:
    """Of the cylinder as drawn, in outermost radii: between 2 and 4."""
    z = metrics.curves["geometry.z_edges"]
    return float(np.clip((z[-1, 1] - z[0, 0]) / np.nanmax(metrics.curves["geometry.r_edges"]), 2, 4))


def _scale(metrics: Metrics) -> str:
    """What the drawing shows of the geometry, in words."""
    edges, z = metrics.curves["geometry.r_edges"], metrics.curves["geometry.z_edges"]
    outermost = float(np.nanmax(edges))
    straight = np.isclose(_radius(metrics, np.array(outermost / 2)), 0.5)
    return (
        f"Radius up to {outermost:.4g} mm{'' if straight else ', compressed'}; depth from {z[0, 0]:.4g} to "
        f"{z[-1, 1]:.4g} mm."
    )
