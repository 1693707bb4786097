"""Names beside points, placed so that they neither cover each other nor points."""

from typing import Any, NamedTuple

import numpy as np

_AWAY = (3, 6, 11, 18, 26, 36, 48, 62)  # from the point, pixels at 100 dots per inch, nearest first
_LINE = 11  # a name that is further away gets a line
_ANGLES = np.deg2rad([0, 180, 45, 315, 135, 225, 90, 270, 20, 160, 340, 200, 70, 110, 250, 290])  # the best first
_CROSSED = 40.0  # square pixels of cover that a line through a name is as bad as, at each of its _STEPS
_STEPS = 12
_ROOM = 3.0  # around a name


class Named(NamedTuple):
    """A point in data coordinates and the text that names it."""

    x: float
    y: float
    text: str
    colour: str
    size: float = 9.5
    weight: str = "normal"
    half: float = 6.0  # the size of the point, in pixels at 100 dots per inch


def place(axis: Any, points: list[Named]) -> None:
    """Write each name near its point, with a line to it where it had to go further; the crowded ones first."""
    from matplotlib.patheffects import withStroke  # noqa: PLC0415  (as everywhere, not before a figure is drawn)

    canvas, around = axis.figure.canvas, [withStroke(linewidth=2.5, foreground="white")]
    scale = axis.figure.dpi / 100
    at = axis.transData.transform([(point.x, point.y) for point in points])
    taken = [np.array([*(xy - p.half * scale), *(xy + p.half * scale)]) for xy, p in zip(at, points, strict=True)]
    inside = np.array(axis.get_window_extent().extents)
    crowd = [np.sum(np.hypot(*(at - xy).T) < 100 * scale) for xy in at]
    for i in sorted(range(len(points)), key=lambda i: -crowd[i]):
        point = points[i]
        look = {"color": point.colour, "fontsize": point.size, "fontweight": point.weight}
        look["path_effects"] = around  # what runs behind a name does not blot it
        text = axis.text(0, 0, point.text, ha="center", va="center", zorder=5, **look)
        size = np.array(text.get_window_extent(canvas.get_renderer()).size) + 2 * _ROOM * scale
        others = [box for k, box in enumerate(taken) if k != i]
        box, away = _best(at[i], size, point.half, others, inside, scale)
        taken.append(box)
        text.set_transform(axis.figure.dpi_scale_trans)
        text.set_position((box[:2] + box[2:]) / 2 / axis.figure.dpi)
        if away > _LINE:
            end = np.clip(at[i], box[:2], box[2:])
            taken += [np.array([*(xy - 1), *(xy + 1)]) for xy in np.linspace(at[i], end, _STEPS)]
            both = np.array([at[i], end]) / axis.figure.dpi
            axis.plot(*both.T, transform=axis.figure.dpi_scale_trans, color=point.colour, lw=0.6, alpha=0.7, zorder=2)


def _best(
    at: np.ndarray, size: np.ndarray, half: float, others: list[np.ndarray], inside: np.ndarray, scale: float
) -> tuple[np.ndarray, float]:
    """(box (x0, y0, x1, y1), distance) of the nearest place that covers and crosses nothing, or least."""
    best, least = (np.zeros(4), 0), np.inf
    for away in _AWAY:
        for angle in _ANGLES:
            towards = np.array([np.cos(angle), np.sin(angle)])
            middle = at + towards * (half + away) * scale + towards * size / 2
            box = np.array([*(middle - size / 2), *(middle + size / 2)])
            out = np.sum(np.maximum(inside[:2] + 3 - box[:2], 0) + np.maximum(box[2:] - inside[2:] + 3, 0))
            cost = sum(_common(box, other) for other in others) + 100 * out
            if away > _LINE:
                line = np.linspace(at, np.clip(at, box[:2], box[2:]), _STEPS)
                cost += _CROSSED * sum(int(((line > o[:2]) & (line < o[2:])).all(1).sum()) for o in others)
            if cost < least:
                best, least = (box, away), cost
        if least == 0:
            break
    return best


def _common(a: np.ndarray, b: np.ndarray) -> float:
    """Area that two boxes share."""
    return float(np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)))
