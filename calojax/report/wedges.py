"""Cells drawn as wedges in space, from the side and a little from the front.

Scene: x along the shower, y up, the outermost radius is 1.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from calojax.report.drawing import palette

_ELEVATION = 0.35  # rad
_STEPS = 3  # points of an arc
SECTORS = 16  # a wedge spans a 16th of the circle at most, so that it hides its back
_LARGEST_RATIO = 2.0  # ratios told from larger ones


class Cells(NamedTuple):
    """Wedges (C): radii (C, 2), angles (C, 2), places along the shower (C, 2), all in the scene; ends (C, 2): whether
    the cell ends there in alpha; index (C,) of each in the geometry."""

    r: np.ndarray
    alpha: np.ndarray
    x: np.ndarray
    ends: np.ndarray
    index: np.ndarray


def turned(points: np.ndarray, azimuth: float) -> np.ndarray:
    """Points (..., 3) of the scene as a reader sees them: right, up, towards."""
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(_ELEVATION), np.sin(_ELEVATION)
    return points @ np.array([[ca, 0, -sa], [-se * sa, ce, -se * ca], [ce * sa, se, ce * ca]]).T


def point(r: Any, alpha: Any, x: Any) -> np.ndarray:
    """(..., 3)."""
    return np.stack(np.broadcast_arrays(x, r * np.sin(alpha), -r * np.cos(alpha)), axis=-1)


def _faces(cells: Cells) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Shade, polygons (C, P, 3) and whether there is one (C,) of the six faces; seen from outside they run
    anticlockwise."""
    (r0, r1), (x0, x1) = cells.r.T[..., None], cells.x.T[..., None]
    arc = np.linspace(cells.alpha[:, 0], cells.alpha[:, 1], _STEPS + 1, axis=1)  # (C, P / 2)
    back = arc[:, ::-1]
    first, last = arc[:, :1], arc[:, -1:]
    join = lambda *parts: np.concatenate([point(*part) for part in parts], axis=1)
    always, (begins, ends) = np.ones(len(cells.index), bool), cells.ends.T
    return [
        (1.0, join((r1, back, x0), (r0, arc, x0)), always),
        (1.0, join((r0, back, x1), (r1, arc, x1)), always),
        (0.88, join((r1, arc, x0), (r1, back, x1)), always),
        (0.8, join((r0, back, x0), (r0, arc, x1)), always),
        (0.75, join((r0, first, x0), (r1, first, x0), (r1, first, x1), (r0, first, x1)), begins),
        (0.75, join((r0, last, x1), (r1, last, x1), (r1, last, x0), (r0, last, x0)), ends),
    ]


def draw(
    axis: Any,
    cells: Cells,
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
    centre = point(cells.r.mean(1), cells.alpha.mean(1), cells.x.mean(1))
    order = np.argsort(turned(centre, azimuth)[:, 2], kind="stable")
    polygons, fills, cell, shift = [], [], [], np.broadcast_to(shift, len(order))
    for shade, corners, there in _faces(cells):
        x, y = np.moveaxis(turned(corners, azimuth)[..., :2], -1, 0)
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


def energies(low: float, top: float) -> Any:
    """Colours of energies on a logarithmic scale."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415
    from matplotlib.colors import ListedColormap, LogNorm  # noqa: PLC0415

    return ScalarMappable(LogNorm(low, top, clip=True), ListedColormap(palette(256)))


def ratios() -> Any:
    """Colours of ratios: white for 1."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415
    from matplotlib.colors import LogNorm  # noqa: PLC0415

    return ScalarMappable(LogNorm(1 / _LARGEST_RATIO, _LARGEST_RATIO, clip=True), "RdBu_r")


def line(axis: Any, points: np.ndarray, azimuth: float, colour: str = "#b8bcc0") -> None:
    """Through points (n, 3) of the scene."""
    x, y, _ = turned(points, azimuth).T
    axis.plot(x, y, color=colour, lw=0.7, zorder=0)


def hit(cells: Cells, value: np.ndarray) -> Cells:
    """The cells whose value is above 0, a little apart from each other."""
    kept = value[cells.index] > 0
    r, alpha, x, ends, index = (field[kept] for field in cells)
    return Cells(r, alpha, x + 0.06 * (x[:, ::-1] - x), ends, index)


def radius(r: np.ndarray, innermost: float, outermost: float) -> np.ndarray:
    """Radii in mm as drawn; compressed where the innermost ring could not be seen, as in the viewer."""
    if outermost / innermost <= 30:
        return r / outermost
    return np.arcsinh(r / innermost) / np.arcsinh(outermost / innermost)


def outline(axis: Any, length: float, names: Iterable[str], azimuth: float) -> None:
    """A whole cylinder of this length: both ends with their names, and the axis."""
    around, half = np.linspace(-np.pi, np.pi, 97), length / 2
    for end in (-half, half):
        line(axis, point(1.0, around, end), azimuth, "#8a8f94")
    for alpha in (-np.pi / 2, 0, np.pi / 2, np.pi):
        line(axis, point(np.ones(2), alpha, np.array([-half, half])), azimuth)
    line(axis, point(np.zeros(2), 0.0, np.array([-half, half])), azimuth)
    for end, name in zip((-half, half), names, strict=True):
        x, y, _ = turned(point(1.12, -np.pi / 2, end), azimuth)
        axis.text(x, y, name, ha="center", va="top", fontsize=9)


def angles(axis: Any, azimuth: float, x: float) -> None:
    """Where phi is counted from, around a disc at x."""
    for alpha, words, side in ((0, r"$\phi=0$", "right"), (np.pi / 2, r"$\phi=\pi/2$", "center")):
        right, up, _ = turned(point(1.08, alpha, x), azimuth)
        axis.text(right, up, words, ha=side, va="center", fontsize=9)


def no_axes(axis: Any) -> None:
    """Nothing but what is drawn, as wide as high."""
    axis.set_aspect("equal")
    axis.autoscale_view()
    axis.set_axis_off()
