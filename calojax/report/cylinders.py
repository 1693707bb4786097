"""Showers drawn as cylinders, from the side and a little from the front: the average one and a single one.

Scene: x along the shower, y up, the outermost radius is 1; every cell is a wedge.
"""

from typing import Any, NamedTuple

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report.drawing import Picture, figure, layer_name, number, palette, picture

_ELEVATION = 0.35  # rad
_STEPS, _SECTORS = 3, 16  # points of an arc; a wedge spans a 16th of the circle at most, so that it hides its back
_LARGEST_RATIO, _LARGEST_ERROR = 2.0, 0.3  # ratios told from larger ones; relative, of the means in those drawn
_DISC_AZIMUTH, _GAP = -0.95, 1.95  # rad; between the middles of two discs, in radii
_SAMPLES = ("reference", "generated")


class _Cells(NamedTuple):
    """Wedges (C): radii (C, 2), angles (C, 2), places along the shower (C, 2), all in the scene; ends (C, 2): whether
    the cell ends there in alpha; index (C,) of each in the geometry."""

    r: np.ndarray
    alpha: np.ndarray
    x: np.ndarray
    ends: np.ndarray
    index: np.ndarray


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
    shares, ratios = _shares(low, top), _ratios()
    rows = [*((name, value, shares) for name, value in values.items()), ("generated / reference", ratio, ratios)]
    for axis, (name, value, colours) in zip(axes, rows, strict=True):
        _draw(axis, cells, value, colours, _DISC_AZIMUTH, shift)
        axis.set_title(name, loc="left")
        _frame(axis)
    _angles(axes[0], _DISC_AZIMUTH, 0.0)
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
    axes, colours, cells = drawn.subplots(1, 2), _shares(low, top), _cells(metrics)
    said = []
    for axis, (name, value) in zip(axes, found.items(), strict=True):
        _outline(axis, metrics, azimuth)
        _angles(axis, azimuth, -_length(metrics) / 2)
        _draw(axis, _hit(cells, value), value, colours, azimuth, faint=True)
        _frame(axis)
        incident = float(curves[f"viewer.{name}.energy"][pair]) / 1000
        words = f"{incident:.3g} GeV, {np.count_nonzero(value)} hit cells with {value.sum() / 1000:.3g} GeV"
        axis.set_title(f"{name}: {words}", fontsize=11)
        said.append(f"{name} {words}")
    drawn.colorbar(colours, ax=list(axes), label="cell energy [MeV]", pad=0.01)
    caption = f"A pair of single showers, coming from the left: {'; '.join(said)}. {_scale(metrics)}"
    return picture(drawn, caption, caption, raster=True)


# ---- geometry


def _cells(metrics: Metrics) -> _Cells:
    """All cells; of wide alpha bins several parts."""
    curves = metrics.curves
    length, front = _length(metrics), float(curves["geometry.z_edges"][0, 0])
    depth = float(curves["geometry.z_edges"][-1, 1]) - front
    parts, first = [], 0
    for edges, n_alpha, z in zip(*(curves[f"geometry.{x}"] for x in ("r_edges", "n_alpha", "z_edges")), strict=True):
        edges = _radius(metrics, edges[np.isfinite(edges)])
        n_rings, cut = len(edges) - 1, -(-_SECTORS // int(n_alpha))
        angles = np.linspace(-np.pi, np.pi, int(n_alpha) * cut + 1)
        ring, sector = (part.ravel() for part in np.meshgrid(np.arange(n_rings), np.arange(len(angles) - 1)))
        x = np.broadcast_to(((z - front) / depth - 0.5) * length, (len(ring), 2))
        both, piece = np.array([0, 1]), sector % cut
        ends = np.stack([piece == 0, piece == cut - 1], axis=1) & (n_alpha > 1)
        index = first + sector // cut * n_rings + ring
        parts.append(_Cells(edges[ring[:, None] + both], angles[sector[:, None] + both], x, ends, index))
        first += n_rings * int(n_alpha)
    return _Cells(*map(np.concatenate, zip(*parts, strict=True)))


def _hit(cells: _Cells, value: np.ndarray) -> _Cells:
    """The cells whose value is above 0, a little apart from each other."""
    hit = value[cells.index] > 0
    r, alpha, x, ends, index = (field[hit] for field in cells)
    return _Cells(r, alpha, x + 0.06 * (x[:, ::-1] - x), ends, index)


def _discs(metrics: Metrics, layers: np.ndarray) -> tuple[_Cells, np.ndarray]:
    """The cells of these layers as thin discs, and how far to the right (C,) each is drawn."""
    cells = _cells(metrics)
    sizes = metrics.curves["geometry.n_rings"] * metrics.curves["geometry.n_alpha"]
    layer = np.repeat(np.arange(len(sizes)), sizes)[cells.index]
    kept = np.isin(layer, layers)
    r, alpha, x, ends, index = (field[kept] for field in cells)
    discs = _Cells(r, alpha, np.broadcast_to((0, 0.12), x.shape), ends, index)
    return discs, np.searchsorted(layers, layer[kept]) * _GAP


def _some_layers(metrics: Metrics) -> np.ndarray:
    """All of up to seven layers, else seven from the first to the last with 1 % of the most energetic one's energy."""
    profile = metrics.curves["longitudinal.reference"][0]
    seen = np.flatnonzero(profile >= 0.01 * profile.max()) if len(profile) > 7 else np.arange(len(profile))
    return np.unique(seen[np.linspace(0, len(seen) - 1, 7).round().astype(int)])


def _radius(metrics: Metrics, r: np.ndarray) -> np.ndarray:
    """Radii in mm as drawn; compressed where the innermost ring could not be seen, as in the viewer."""
    edges = metrics.curves["geometry.r_edges"]
    outermost, innermost = float(np.nanmax(edges)), float(np.nanmin(edges[edges > 0]))
    if outermost / innermost <= 30:
        return r / outermost
    return np.arcsinh(r / innermost) / np.arcsinh(outermost / innermost)


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


# ---- drawing


def _turned(points: np.ndarray, azimuth: float) -> np.ndarray:
    """Points (..., 3) of the scene as a reader sees them: right, up, towards."""
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(_ELEVATION), np.sin(_ELEVATION)
    return points @ np.array([[ca, 0, -sa], [-se * sa, ce, -se * ca], [ce * sa, se, ce * ca]]).T


def _point(r: Any, alpha: Any, x: Any) -> np.ndarray:
    """(..., 3)."""
    return np.stack(np.broadcast_arrays(x, r * np.sin(alpha), -r * np.cos(alpha)), axis=-1)


def _faces(cells: _Cells) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Shade, polygons (C, P, 3) and whether there is one (C,) of the six faces; seen from outside they run
    anticlockwise."""
    (r0, r1), (x0, x1) = cells.r.T[..., None], cells.x.T[..., None]
    arc = np.linspace(cells.alpha[:, 0], cells.alpha[:, 1], _STEPS + 1, axis=1)  # (C, P / 2)
    back = arc[:, ::-1]
    first, last = arc[:, :1], arc[:, -1:]
    join = lambda *parts: np.concatenate([_point(*part) for part in parts], axis=1)
    always, (begins, ends) = np.ones(len(cells.index), bool), cells.ends.T
    return [
        (1.0, join((r1, back, x0), (r0, arc, x0)), always),
        (1.0, join((r0, back, x1), (r1, arc, x1)), always),
        (0.88, join((r1, arc, x0), (r1, back, x1)), always),
        (0.8, join((r0, back, x0), (r0, arc, x1)), always),
        (0.75, join((r0, first, x0), (r1, first, x0), (r1, first, x1), (r0, first, x1)), begins),
        (0.75, join((r0, last, x1), (r1, last, x1), (r1, last, x0), (r0, last, x0)), ends),
    ]


def _draw(
    axis: Any,
    cells: _Cells,
    value: np.ndarray,
    colours: Any,
    azimuth: float,
    shift: Any = 0.0,
    *,
    faint: bool = False,
) -> None:
    """Cells in the colours of their values (V,), the far ones first, shifted to the right; faint: small values are
    transparent."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    shown = value[cells.index]
    empty = (0.92, 0.92, 0.92, 1.0) if np.isfinite(shown).all() else (0.78, 0.8, 0.82, 1.0)
    rgba = np.where((shown > 0)[:, None], colours.to_rgba(np.where(shown > 0, shown, 1.0)), empty)
    if faint:
        rgba[:, 3] = 0.25 + 0.75 * np.clip(colours.norm(shown) / 0.75, 0, 1) ** 1.5
    centre = _point(cells.r.mean(1), cells.alpha.mean(1), cells.x.mean(1))
    order = np.argsort(_turned(centre, azimuth)[:, 2], kind="stable")
    polygons, fills, cell, shift = [], [], [], np.broadcast_to(shift, len(order))
    for shade, corners, there in _faces(cells):
        x, y = np.moveaxis(_turned(corners, azimuth)[..., :2], -1, 0)
        facing = there & (np.sum(x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y, axis=1) > 1e-9)
        polygons += list(np.stack([x + shift[:, None], y], axis=-1)[facing])
        fills.append(rgba[facing] * (shade, shade, shade, 1))
        cell.append(np.flatnonzero(facing))
    cell = np.concatenate(cell)
    rank = np.argsort(np.argsort(order)[cell], kind="stable")
    fills, whole = np.concatenate(fills)[rank], (cells.ends[:, :1] & cells.ends[:, 1:])[cell[rank]]
    edges = "none" if faint else fills * np.where(whole, (0.85, 0.85, 0.85, 1), 1)  # parts have no edges
    axis.add_collection(
        PolyCollection([polygons[i] for i in rank], facecolors=fills, edgecolors=edges, linewidths=0 if faint else 0.3)
    )


def _shares(low: float, top: float) -> Any:
    """Colours of energies on a logarithmic scale."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415
    from matplotlib.colors import ListedColormap, LogNorm  # noqa: PLC0415

    return ScalarMappable(LogNorm(low, top, clip=True), ListedColormap(palette(256)))


def _ratios() -> Any:
    """Colours of ratios: white for 1."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415
    from matplotlib.colors import LogNorm  # noqa: PLC0415

    return ScalarMappable(LogNorm(1 / _LARGEST_RATIO, _LARGEST_RATIO, clip=True), "RdBu_r")


def _line(axis: Any, points: np.ndarray, azimuth: float, colour: str = "#b8bcc0") -> None:
    x, y, _ = _turned(points, azimuth).T
    axis.plot(x, y, color=colour, lw=0.7, zorder=0)


def _outline(axis: Any, metrics: Metrics, azimuth: float) -> None:
    """The whole cylinder: both ends, the axis, and the ends in z."""
    around, half = np.linspace(-np.pi, np.pi, 97), _length(metrics) / 2
    for end in (-half, half):
        _line(axis, _point(1.0, around, end), azimuth, "#8a8f94")
    for alpha in (-np.pi / 2, 0, np.pi / 2, np.pi):
        _line(axis, _point(np.ones(2), alpha, np.array([-half, half])), azimuth)
    _line(axis, _point(np.zeros(2), 0.0, np.array([-half, half])), azimuth)
    for end, z in zip((-half, half), metrics.curves["geometry.z_edges"][[0, -1], [0, 1]], strict=True):
        x, y, _ = _turned(_point(1.12, -np.pi / 2, end), azimuth)
        axis.text(x, y, f"z = {z:.4g} mm", ha="center", va="top", fontsize=9)


def _angles(axis: Any, azimuth: float, x: float) -> None:
    """Where phi is counted from, around a disc at x."""
    for alpha, words, side in ((0, r"$\phi=0$", "right"), (np.pi / 2, r"$\phi=\pi/2$", "center")):
        right, up, _ = _turned(_point(1.08, alpha, x), azimuth)
        axis.text(right, up, words, ha=side, va="center", fontsize=9)


def _frame(axis: Any) -> None:
    axis.set_aspect("equal")
    axis.autoscale_view()
    axis.set_axis_off()
