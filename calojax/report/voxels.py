"""Layers of rings and sectors drawn: as discs in a row, as slices seen along the shower, and a single event in space.

Energies are in MeV and in colours on a logarithmic scale; a voxel at or below 0 is grey.
"""

from typing import Any

import numpy as np

from calojax.files.atlas import detector
from calojax.geometry import Layered
from calojax.report import wedges
from calojax.report.drawing import Picture, figure, picture

_AZIMUTH, _GAP = -0.95, 1.95  # rad; between the middles of two discs, in radii
_FULL = 2 * np.pi
_DECADES = 4  # of energies told from each other
_PER_ROW = 7
_WIDEST = 14.0  # inches of a row of discs
_ARC = np.pi / 48  # longest straight piece of a circle


def discs(geometry: Layered, energy: dict[str, np.ndarray], what: str) -> Picture:
    """Layers as discs in a row, a row for each kind. energy: by kind (V,) MeV; what: it is, for scale and caption."""
    low, top = _limits(energy)
    colours = wedges.energies(low, top)
    size = min(1.75, _WIDEST / geometry.n_layers)
    drawn = figure(size * geometry.n_layers + 1.8, 1.35 * size * len(energy) + 0.4)
    axes = drawn.subplots(len(energy), 1, squeeze=False)[:, 0]
    cells = _cells(geometry, np.tile((0.0, 0.12), (geometry.n_layers, 1)))
    shift = geometry.layer[cells.index] * _GAP
    for axis, (kind, value) in zip(axes, energy.items(), strict=True):
        wedges.draw(axis, cells, np.maximum(value, 0), colours, _AZIMUTH, shift)
        axis.set_title(kind, loc="left")
        wedges.no_axes(axis)
    wedges.angles(axes[0], _AZIMUTH, 0.0)
    for place, layer in enumerate(geometry.layers):
        words = detector.name(layer.id) if size > 1 else detector.name(layer.id).replace(" ", "\n")
        axes[-1].text(_GAP * place, -1.15, words, ha="center", va="top", fontsize=10 if size > 1 else 8)
    drawn.colorbar(colours, ax=list(axes), label=f"{what} [MeV]", pad=0.01, extend="min", extendfrac=0.03)
    caption = f"Active layers as discs, the shower coming from the left: {what}. {_radii(geometry)}"
    return picture(drawn, caption, caption, raster=True)


def event(geometry: Layered, energy: np.ndarray, title: str) -> Picture:
    """One event in space, every voxel above 0 a wedge in its place; layers are drawn equally deep. energy: (V,) MeV."""
    azimuth, length = -0.6, float(np.clip(0.6 * geometry.n_layers, 2, 4))
    low, top = _limits({"": energy})
    edges = np.linspace(-length / 2, length / 2, geometry.n_layers + 1)
    cells = _cells(geometry, np.stack([edges[:-1], edges[1:]], axis=1))
    drawn = figure(8.5, 5.0)
    axis, colours = drawn.subplots(), wedges.energies(low, top)
    names = [detector.name(layer.id) for layer in (geometry.layers[0], geometry.layers[-1])]
    wedges.outline(axis, length, names, azimuth)
    wedges.angles(axis, azimuth, -length / 2)
    wedges.draw(axis, wedges.hit(cells, energy), energy, colours, azimuth, faint=True)
    wedges.no_axes(axis)
    axis.set_title(title)
    drawn.colorbar(colours, ax=axis, label="voxel energy [MeV]", pad=0.01, extend="min", extendfrac=0.03)
    caption = f"A single event, coming from the left: {title}. Layers are drawn equally deep. {_radii(geometry)}"
    return picture(drawn, caption, caption, raster=True)


def slices(geometry: Layered, energy: np.ndarray, what: str, kind: str) -> Picture:
    """Each layer along the shower: above with true radii, below with rings of equal width. energy: (V,) MeV."""
    low, top = _limits({kind: energy})
    colours, columns = wedges.energies(low, top), min(geometry.n_layers, _PER_ROW)
    blocks = -(-geometry.n_layers // _PER_ROW)
    drawn = figure(2.5 * columns + 1.2, 5.6 * blocks)
    axes = drawn.subplots(2 * blocks, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for place, layer in enumerate(geometry.layers):
        one = slice(*geometry.layer_offsets[place : place + 2])
        block, column = divmod(place, _PER_ROW)
        alpha, value = geometry.alpha_edges[one], energy[one]
        numbers = geometry.ring[one, None] + np.array([0, 1])
        for below, radii in ((0, geometry.r_edges[one]), (1, numbers)):
            axis = axes[2 * block + below, column]
            _slice(axis, radii, alpha, value, colours, "white" if below else "face")
            words = f"{layer.r_edges[-1]:.4g} mm" if not below else f"{layer.n_rings} rings"
            axis.text(0.5, -0.02, words, transform=axis.transAxes, ha="center", va="top", fontsize=9)
        axes[2 * block, column].set_title(f"{detector.name(layer.id)}\n{layer.binning}", fontsize=10)
    drawn.colorbar(
        colours, ax=list(axes.ravel()), label=f"{what} [MeV]", pad=0.01, extend="min", extendfrac=0.02, aspect=40
    )
    caption = (
        f"Layers seen along the shower, {kind}: {what}. Above, radii as they are, up to what is written below each; "
        "below, all rings equally wide. Angles count anticlockwise from the right. Grey: nothing above 0."
    )
    return picture(drawn, caption, caption, raster=True)


def _slice(axis: Any, radii: np.ndarray, alpha: np.ndarray, value: np.ndarray, colours: Any, edges: str) -> None:
    """Cells of one layer: radii (V, 2), alpha (V, 2) rad."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    corners = []
    for (inner, outer), (begin, end) in zip(radii, alpha, strict=True):
        arc = np.linspace(begin, end, max(2, int(np.ceil((end - begin) / _ARC)) + 1))
        ends = np.stack([np.cos(arc), np.sin(arc)], axis=1)
        corners.append(np.concatenate([outer * ends, inner * ends[::-1]]))
    fills = np.where((value > 0)[:, None], colours.to_rgba(np.maximum(value, 1e-30)), (0.86, 0.87, 0.88, 1))
    axis.add_collection(PolyCollection(corners, facecolors=fills, edgecolors=edges, linewidths=0.2))
    reach = 1.03 * radii.max()
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axis.set_aspect("equal")


def _cells(geometry: Layered, along: np.ndarray) -> wedges.Cells:
    """All cells, wide ones in several parts. along (L, 2): where each layer begins and ends in the scene."""
    edges = np.concatenate([layer.r_edges for layer in geometry.layers])
    radii = wedges.radius(geometry.r_edges, float(edges[edges > 0].min()), float(edges.max()))
    span = np.diff(geometry.alpha_edges, axis=1)[:, 0]
    parts = np.maximum(1, np.ceil(span / (_FULL / wedges.SECTORS) - 1e-6)).astype(int)
    index = np.repeat(np.arange(geometry.n_cells), parts)
    piece = np.arange(len(index)) - np.repeat(np.cumsum(parts) - parts, parts)
    width, begin = (span / parts)[index], geometry.alpha_edges[index, 0]
    alpha = np.stack([begin + piece * width, begin + (piece + 1) * width], axis=1)
    alone = geometry.n_alpha[index] == 1
    ends = np.stack([piece == 0, piece == parts[index] - 1], axis=1) & ~alone[:, None]
    return wedges.Cells(radii[index], alpha, along[geometry.layer[index]], ends, index)


def _limits(energy: dict[str, np.ndarray]) -> tuple[float, float]:
    """Of the colours: the largest energy and some decades below it, or the smallest one above 0."""
    values = np.concatenate(list(energy.values()))
    top = float(values.max(initial=0.0)) or 1.0
    return max(float(values[values > 0].min(initial=top)), top / 10**_DECADES) * (1 - 1e-6), top


def _radii(geometry: Layered) -> str:
    """What the drawing shows of the radii, in words."""
    edges = np.concatenate([layer.r_edges for layer in geometry.layers])
    innermost, outermost = float(edges[edges > 0].min()), float(edges.max())
    straight = outermost / innermost <= 30
    return f"Radius up to {outermost:.4g} mm{'' if straight else ', compressed'}."
