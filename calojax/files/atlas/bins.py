"""Where the voxels of a file lie: arrays `binstart_` and `binsize_` of `radius` (mm) and `alpha` (rad) for each layer.

Their order is read from them. Letters: V voxels of one layer.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from calojax.errors import InputError
from calojax.files import hdf5
from calojax.files.hdf5 import refused
from calojax.geometry import Cylinder, Layered, RingLayer, layered

KEYS = ("binstart_radius", "binsize_radius", "binstart_alpha", "binsize_alpha")
_LAYER = re.compile(rf"{KEYS[0]}_layer_(\d+)")

Bins = dict[int, layered.Sorted]  # by the number of the layer, increasing


def read(path: Path, file: h5py.File) -> Bins:
    """The bins of every layer that has voxels; InputError names file, layer and what does not fit."""
    ids = sorted(int(found[1]) for key in map(str, file) if (found := _LAYER.fullmatch(key)))
    return {id: _read_layer(path, file, id) for id in ids if getattr(file[f"{KEYS[0]}_layer_{id}"], "size", 1)}


def geometry(bins: Bins, name: str) -> Layered:
    """The layers as a geometry; its cells are in canonical order."""
    return Layered(name, tuple(each.layer for each in bins.values()))


def picks(path: Path, bins: Bins, wanted: Layered | Cylinder) -> dict[int, np.ndarray]:
    """For each layer of a geometry (V,): its cell k of the layer is the file's voxel [k].

    The cells are in the order of the geometry. Raises InputError if a layer is not in the file or has other bins there.
    """
    rings, order = (wanted, None) if isinstance(wanted, Layered) else _flat(wanted)
    found = {}
    for place, layer in enumerate(rings.layers):
        if layer.id not in bins:
            has = ", ".join(map(str, bins)) or "none"
            rule = f"{wanted.name} has this layer; the file has bins of {has}"
            raise refused(f"{path}, {KEYS[0]}_layer_{layer.id}", "is missing", rule, "give another file or geometry")
        there = bins[layer.id]
        if not layer.same_bins(there.layer):
            rule = f"{wanted.name} has {layer.binning} there" + _where_else(layer, there.layer)
            found = f"has {there.layer.binning} bins"
            raise refused(f"{path}, layer {layer.id}", found, rule, "give another file or geometry")
        first, last = rings.layer_offsets[place : place + 2]
        found[layer.id] = there.order if order is None else there.order[order[first:last] - first]
    return found


def from_zero(geometry: Layered) -> Bins:
    """The order that the files have: ring by ring from the innermost, in each by alpha from 0."""
    bins = {}
    for place, layer in enumerate(geometry.layers):
        first, last = geometry.layer_offsets[place : place + 2]
        near = 1e-3 * np.diff(geometry.alpha_edges[first:last]).min()
        alpha = (geometry.alpha_edges[first:last, 0] + near) % (2 * np.pi)
        stored = np.lexsort((alpha, geometry.ring[first:last]))
        bins[layer.id] = layered.Sorted(layer, np.argsort(stored).astype(np.int32))
    return bins


def arrays(bins: Bins) -> dict[str, np.ndarray]:
    """What `read` reads: each (V,) float32, by key, in the order of the file."""
    found = {}
    for id, (layer, order) in bins.items():
        rings = Layered("one", (layer,))
        r, alpha = rings.r_edges, rings.alpha_edges
        begin = np.where(rings.n_alpha == 1, 0, (alpha[:, 0] + 1e-6) % (2 * np.pi) - 1e-6)
        stored = np.argsort(order)
        for key, values in zip(KEYS, (r[:, 0], r[:, 1] - r[:, 0], begin, alpha[:, 1] - alpha[:, 0]), strict=True):
            found[f"{key}_layer_{id}"] = np.where(np.abs(values) < 1e-6, 0, values)[stored].astype(np.float32)
    return found


def copied(file: h5py.File, bins: Bins) -> dict[str, np.ndarray]:
    """The arrays of these layers as a file has them, by key."""
    keys = [f"{key}_layer_{id}" for id in bins for key in KEYS]
    return {key: np.asarray(file[key]) for key in keys}


def refuse_other(path: Path, bins: Mapping[int, layered.Sorted], first: Path, known: Mapping[int, layered.Sorted]):
    """InputError if two files differ in layers, bins or the order of voxels."""
    for id in sorted({*bins, *known}):
        if id not in bins or id not in known:
            found, rule = ("has no bins", "has some") if id not in bins else ("has bins", "has none")
            raise refused(f"{path}, layer {id}", found, f"{first} {rule}", "give files of one geometry")
        here, there = bins[id], known[id]
        if not here.layer.same_bins(there.layer) or not np.array_equal(here.order, there.order):
            rule = f"{first} has {there.layer.binning}{_where_else(there.layer, here.layer)}"
            rule += "" if np.array_equal(here.order, there.order) else " in another order"
            raise refused(f"{path}, layer {id}", f"has {here.layer.binning} bins", rule, "give files of one geometry")


def _read_layer(path: Path, file: h5py.File, id: int) -> layered.Sorted:
    found = []
    for key in KEYS:
        dataset = hdf5.dataset(path, file, f"{key}_layer_{id}", layout=f"{', '.join(KEYS)} of each layer")
        try:
            found.append(np.asarray(dataset[()], np.float64))
        except (OSError, RuntimeError) as error:
            raise hdf5.unreadable(path, f"{key}_layer_{id}", "all", error) from None
    try:
        return layered.from_bins(id, *found)
    except InputError as error:
        raise error.inside(str(path)) from None


def _flat(cylinder: Cylinder) -> tuple[Layered, np.ndarray]:
    rings = layered.from_cylinder(cylinder)
    return rings, rings.cylinder()[1]


def _where_else(layer: RingLayer, other: RingLayer) -> str:
    """Where two layers with equal numbers of bins differ, in words."""
    if layer.n_alpha != other.n_alpha:
        return ""
    if len(layer.r_edges) == len(other.r_edges):
        apart = np.abs(np.subtract(layer.r_edges, other.r_edges))
        edge = int(np.argmax(apart))
        if apart[edge] > 1e-2:
            return f" with edge {edge} of the rings at {layer.r_edges[edge]:g} mm, not {other.r_edges[edge]:g} mm"
    return " with other edges of the sectors"
