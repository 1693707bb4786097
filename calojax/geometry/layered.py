"""Layers whose rings are cut into sectors each in its own way, read from the bins of every voxel.

A file lists for every voxel of a layer where it begins in radius and alpha, and how wide it is there. The order of the
voxels is derived from that, never assumed. Canonical order of the cells: layer slowest, then ring from the innermost
out, then sector, fastest; sector 0 of a ring is the first that begins at -pi or after. Layers differ in their rings,
and rings of a layer may differ in the number of their sectors, such as an undivided innermost ring.
Letters: L layers, V cells, B rings of one layer, A sectors of one ring.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np

from calojax import digests
from calojax.errors import InputError
from calojax.geometry.binning import DEFAULT_THRESHOLD, NOMINAL_DEPTH
from calojax.geometry.cylinder import Cylinder, Layer

_TOLERANCE = 0.01  # of the narrowest bin: edges that differ by less are one edge
_FULL = 2 * np.pi
_DIGITS_R, _DIGITS_ALPHA = 3, 6  # edges are kept to 1 um and 1 urad: files hold them in float32


@dataclass(frozen=True)
class RingLayer:
    """One layer: its number in the detector, edges of its B rings (B + 1,) mm, and for each ring the edges (A + 1,) of
    its sectors, rad, from -pi or after and once around."""

    id: int
    r_edges: tuple[float, ...]
    alpha_edges: tuple[tuple[float, ...], ...]

    @property
    def n_rings(self) -> int:
        """B."""
        return len(self.alpha_edges)

    @property
    def n_alpha(self) -> tuple[int, ...]:
        """(B,): A of each ring."""
        return tuple(len(edges) - 1 for edges in self.alpha_edges)

    @property
    def n_cells(self) -> int:
        """Sum of all A."""
        return sum(self.n_alpha)

    @property
    def binning(self) -> str:
        """Rings times sectors from the innermost out: `24 x 14`, or `1 x 1 + 3 x 8` with an undivided one."""
        return " + ".join(f"{len(list(rings))} x {sectors}" for sectors, rings in groupby(self.n_alpha))

    def same_bins(self, other: "RingLayer") -> bool:
        """Whether all edges agree to 1 % of the narrowest bin; the id does not enter."""
        if self.n_alpha != other.n_alpha:
            return False
        pairs = [(self.r_edges, other.r_edges), *zip(self.alpha_edges, other.alpha_edges, strict=True)]
        return all(np.abs(np.subtract(a, b)).max() <= _TOLERANCE * np.diff(a).min() for a, b in pairs)

    @property
    def why_irregular(self) -> str:
        """Why the layer is none of a `Cylinder`, "" if it is: each ring has the same sectors, the first from -pi."""
        if len(set(self.n_alpha)) > 1:
            return f"has {self.binning} bins"
        for ring, edges in enumerate(self.alpha_edges):
            wanted = np.linspace(-np.pi, np.pi, len(edges))
            if np.abs(np.subtract(edges, wanted)).max() > _TOLERANCE * (wanted[1] - wanted[0]):
                return f"has sectors in ring {ring} that are not equally wide from -pi on"
        return ""


class Sorted(NamedTuple):
    """layer; order (V,) int32: cell k of the layer, canonical, is voxel order[k] of the file."""

    layer: RingLayer
    order: np.ndarray


def from_bins(
    id: int, r_start: np.ndarray, r_size: np.ndarray, alpha_start: np.ndarray, alpha_size: np.ndarray
) -> Sorted:
    """A layer from the begin and width of its voxels, each (V,): radii in mm, angles in rad with any origin.

    Edges that differ by less than 1 % of the narrowest bin are one. Raises InputError if widths are not positive, rings
    do not follow on one another, or the sectors of a ring do not tile the circle.
    """
    bins = [np.asarray(values, np.float64) for values in (r_start, r_size, alpha_start, alpha_size)]
    _check_bins(id, bins)
    r_start, r_size, alpha_start, alpha_size = bins
    near = _TOLERANCE * r_size.min()
    by_radius = np.argsort(r_start, kind="stable")
    rings = np.split(by_radius, 1 + np.flatnonzero(np.diff(r_start[by_radius]) > near))
    r_edges = _ring_edges(id, rings, r_start, r_size, near)
    sectors = [_sectors(f"layer {id}, ring {b}", ring, alpha_start, alpha_size) for b, ring in enumerate(rings)]
    order = np.concatenate([order for order, _ in sectors]).astype(np.int32)
    return Sorted(RingLayer(id, r_edges, tuple(edges for _, edges in sectors)), order)


def _check_bins(id: int, bins: Sequence[np.ndarray]) -> None:
    names = ("radius, begin", "radius, width", "alpha, begin", "alpha, width")
    for name, values in zip(names, bins, strict=True):
        place = f"layer {id}, {name}"
        if values.ndim != 1 or len(values) == 0 or len(values) != len(bins[0]):
            shapes = ", ".join(str(each.shape) for each in bins)
            raise _refused(place, f"has the shape {values.shape}", f"all bins are (V,); here they are {shapes}")
        low = -np.inf if name == "alpha, begin" else 0.0
        bad = ~(np.isfinite(values) & (values > low if name.endswith("width") else values >= low))
        if bad.any():
            voxel = int(np.argmax(bad))
            rule = "bins are finite, radii not negative, widths above 0"
            raise _refused(f"{place}, voxel {voxel}", f"is {values[voxel]:g}", rule)


def _ring_edges(id: int, rings: Sequence[np.ndarray], r_start: np.ndarray, r_size: np.ndarray, near: float) -> tuple:
    """(B + 1,) edges of rings that follow on one another."""
    begins = np.array([np.median(r_start[ring]) for ring in rings])
    ends = begins + [np.median(r_size[ring]) for ring in rings]
    for b, ring in enumerate(rings):
        off = np.abs(r_start[ring] + r_size[ring] - ends[b])
        if off.max() > near or np.ptp(r_start[ring]) > near:
            voxel = ring[np.argmax(off)]
            found = f"reaches from {r_start[voxel]:.6g} to {r_start[voxel] + r_size[voxel]:.6g} mm"
            rule = f"the others of its ring reach from {begins[b]:.6g} to {ends[b]:.6g} mm"
            raise _refused(f"layer {id}, ring {b}, voxel {voxel}", found, rule)
    apart = np.abs(begins[1:] - ends[:-1])
    if apart.max(initial=0.0) > near:
        b = int(np.argmax(apart > near))
        found = f"begins at {begins[b + 1]:.6g} mm"
        raise _refused(f"layer {id}, ring {b + 1}", found, f"the ring within ends at {ends[b]:.6g} mm")
    return tuple(round(float(edge), _DIGITS_R) for edge in (*begins, ends[-1]))


def _sectors(place: str, ring: np.ndarray, start: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    """The voxels of a ring in canonical order, and the edges (A + 1,) of its sectors."""
    near = _TOLERANCE * size[ring].min()
    begins = (start[ring] + np.pi + near) % _FULL - np.pi - near
    by_alpha = np.argsort(begins, kind="stable")
    ring, begins = ring[by_alpha], begins[by_alpha]
    widths = size[ring]
    follows = np.append(begins[1:], begins[0] + _FULL)
    gap = follows - (begins + widths)
    if np.abs(gap).max() > near:
        a = int(np.argmax(np.abs(gap)))
        what = "a gap" if gap[a] > 0 else "an overlap"
        found = f"leaves {what} of {abs(gap[a]):.4g} rad behind voxel {ring[a]}, whose sector begins at {begins[a]:.4g}"
        raise _refused(place, found, "the sectors of a ring tile the circle")
    if np.ptp(widths) <= near:
        return ring, _equal_sectors(begins)
    return ring, tuple(round(float(edge), _DIGITS_ALPHA) for edge in (*begins, begins[0] + _FULL))


def _equal_sectors(begins: np.ndarray) -> tuple[float, ...]:
    """Edges of equally wide sectors; a first edge near to -pi, or half a sector off it, is there exactly."""
    n, width = len(begins), _FULL / len(begins)
    shift = 0.0 if n == 1 else float(np.mean(begins + np.pi - np.arange(n) * width))  # an undivided ring has no origin
    half_sectors = round(2 * shift / width)
    snaps = abs(shift - half_sectors * width / 2) <= _TOLERANCE * width
    return _around(n, half_sectors * width / 2 if snaps else round(shift, _DIGITS_ALPHA))


def _around(n: int, shift: float = 0.0) -> tuple[float, ...]:
    """Edges of n equally wide sectors, the first at -pi plus shift."""
    return tuple(float(edge) for edge in shift - np.pi + np.arange(n + 1) * (_FULL / n))


@dataclass(frozen=True)
class Layered:
    """Layers by increasing id, and the energy (MeV) from which a cell counts as hit. Arrays are read-only."""

    name: str
    layers: tuple[RingLayer, ...]
    threshold: float = DEFAULT_THRESHOLD

    def __post_init__(self):
        ids = self.ids
        if not ids or any(a >= b for a, b in pairwise(ids)):
            found = f"has the layers {', '.join(map(str, ids)) or 'none'}"
            raise _refused(f"geometry {self.name}", found, "there is one at least, and ids increase")
        if not 0 < self.threshold < np.inf:
            found = f"has the threshold {self.threshold} MeV"
            raise _refused(f"geometry {self.name}", found, "it must be above 0 and finite")

    @property
    def ids(self) -> tuple[int, ...]:
        """(L,): numbers of the layers in the detector."""
        return tuple(layer.id for layer in self.layers)

    @property
    def n_layers(self) -> int:
        """L."""
        return len(self.layers)

    @property
    def n_cells(self) -> int:
        """V."""
        return int(self.layer_offsets[-1])

    @cached_property
    def layer_offsets(self) -> np.ndarray:
        """(L + 1,) int32: the cells of layer l are [l] up to [l + 1]."""
        return _whole(np.cumsum([0, *(layer.n_cells for layer in self.layers)]))

    @cached_property
    def layer(self) -> np.ndarray:
        """(V,) int32: position of the cell's layer in `layers` (not its id)."""
        return _whole(np.repeat(np.arange(self.n_layers), np.diff(self.layer_offsets)))

    @cached_property
    def ring(self) -> np.ndarray:
        """(V,) int32: number of the ring in its layer, innermost 0."""
        return _whole(np.concatenate([np.repeat(np.arange(each.n_rings), each.n_alpha) for each in self.layers]))

    @cached_property
    def alpha(self) -> np.ndarray:
        """(V,) int32: number of the sector in its ring; 0 is the first that begins at -pi or after."""
        return _whole(np.concatenate([np.arange(n) for each in self.layers for n in each.n_alpha]))

    @cached_property
    def n_alpha(self) -> np.ndarray:
        """(V,) int32: sectors of the cell's ring."""
        return _whole(np.concatenate([np.repeat(each.n_alpha, each.n_alpha) for each in self.layers]))

    @cached_property
    def r_edges(self) -> np.ndarray:
        """(V, 2) float64 mm: where each cell begins and ends."""
        edges = [np.stack([each.r_edges[:-1], each.r_edges[1:]], axis=1) for each in self.layers]
        return _fixed(
            np.concatenate([np.repeat(e, each.n_alpha, axis=0) for e, each in zip(edges, self.layers, strict=True)])
        )

    @cached_property
    def alpha_edges(self) -> np.ndarray:
        """(V, 2) float64 rad: where each cell begins, in [-pi, pi), and ends."""
        rings = [np.asarray(edges) for each in self.layers for edges in each.alpha_edges]
        return _fixed(np.concatenate([np.stack([edges[:-1], edges[1:]], axis=1) for edges in rings]))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of layers and threshold; the name does not enter."""
        return digests.of_table({key: value for key, value in asdict(self).items() if key != "name"})

    def to_json(self) -> dict[str, Any]:
        """Everything, as a JSON writer takes it; `from_json` undoes it."""
        return json.loads(json.dumps(asdict(self)))

    def select(self, ids: Iterable[int]) -> "Layered":
        """The same with these layers alone; InputError if one is not there."""
        wanted = sorted(set(ids))
        if missing := [str(id) for id in wanted if id not in self.ids]:
            rule = f"it has {', '.join(map(str, self.ids))}"
            raise _refused(f"geometry {self.name}", f"has no layer {', '.join(missing)}", rule)
        return replace(self, layers=tuple(layer for layer in self.layers if layer.id in wanted))

    def cylinder(self) -> tuple[Cylinder, np.ndarray]:
        """The `Cylinder` of the same cells with nominal depths, and order (V,) int32: its cell k is our cell order[k].

        So `showers[:, order]` are in the flat order of the cylinder, and `flat[:, np.argsort(order)]` in ours again.
        Raises InputError for a layer whose rings have different sectors, or none that begins at -pi.
        """
        layers, order = [], []
        for place, (each, first) in enumerate(zip(self.layers, self.layer_offsets, strict=False)):
            if why := each.why_irregular:
                rule = "layers of a cylinder have the same sectors in every ring, the first from -pi"
                raise _refused(f"geometry {self.name}, layer {each.id}", why, rule, "leave this layer out")
            depth = place * NOMINAL_DEPTH
            layers.append(Layer(each.id, each.r_edges, each.n_alpha[0], depth, depth + NOMINAL_DEPTH))
            order.append(first + np.arange(each.n_cells).reshape(each.n_rings, -1).T.ravel())
        return Cylinder(self.name, tuple(layers), self.threshold), _whole(np.concatenate(order))


def from_cylinder(cylinder: Cylinder) -> Layered:
    """The same cells as layers of rings; `Layered.cylinder` gives their order."""
    layers = []
    for each in cylinder.layers:
        edges = (_around(each.n_alpha),) * each.n_rings
        layers.append(RingLayer(each.id, tuple(map(float, each.r_edges)), edges))
    return Layered(cylinder.name, tuple(layers), cylinder.threshold)


def from_json(table: dict[str, Any]) -> Layered:
    """The geometry that `Layered.to_json` described; InputError if it did not."""
    try:
        layers = (
            RingLayer(each["id"], tuple(each["r_edges"]), tuple(tuple(edges) for edges in each["alpha_edges"]))
            for each in table["layers"]
        )
        return Layered(table["name"], tuple(layers), table["threshold"])
    except (KeyError, TypeError) as error:
        raise _refused(
            "geometry", f"is incomplete or wrong ({error})", "it has a name, layers and a threshold"
        ) from None


def around(fine: Layered, coarse: Layered) -> np.ndarray | None:
    """(V of fine,) int32: the cell of `coarse` in which each cell of `fine` lies; None if one lies across an edge.

    Both have the same layers.
    """
    found = np.full(fine.n_cells, -1, np.int32)
    for place, (inner, outer) in enumerate(zip(fine.layers, coarse.layers, strict=True)):
        first, last = fine.layer_offsets[place : place + 2]
        radii, angles = fine.r_edges[first:last], fine.alpha_edges[first:last]
        ring = np.searchsorted(outer.r_edges, radii.mean(1)) - 1
        reach = np.array(outer.r_edges)
        near = _TOLERANCE * np.diff(inner.r_edges).min()
        if ring.min() < 0 or ring.max() >= outer.n_rings:
            return None
        across = (radii[:, 0] < reach[ring] - near) | (radii[:, 1] > reach[ring + 1] + near)
        begins = coarse.layer_offsets[place] + np.cumsum([0, *outer.n_alpha])
        for b in np.unique(ring):
            cells = np.flatnonzero(ring == b)
            edges, width = np.array(outer.alpha_edges[b]), angles[cells, 1] - angles[cells, 0]
            middle = (angles[cells].mean(1) - edges[0]) % _FULL + edges[0]
            sector = np.clip(np.searchsorted(edges, middle) - 1, 0, len(edges) - 2)
            near = _TOLERANCE * width.min()
            across[cells] |= middle - width / 2 < edges[sector] - near
            across[cells] |= middle + width / 2 > edges[sector + 1] + near
            found[first + cells] = begins[b] + sector
        if across.any():
            return None
    return _whole(found)


def _refused(where: str, found: str, rule: str, remedy: str = "correct the bins, or give another file") -> InputError:
    return InputError(where=where, found=found, rule=rule, remedy=remedy)


def _whole(values: Any) -> np.ndarray:
    return _fixed(np.asarray(values, np.int32))


def _fixed(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
