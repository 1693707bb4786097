"""Layers of rings and sectors: read from bins in any order, to a cylinder and to a rectangular grid and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calojax import geometry
from calojax.errors import InputError
from calojax.geometry import Layered, layered

FULL = 2 * np.pi


def bins(r_edges, sectors, origin=0.0, offset=0.0):
    """Four arrays (V,), ring-major: sectors: how many in each ring; offset: of every ring against the one within."""
    parts = []
    for ring, n in enumerate(sectors):
        alpha = origin + ring * offset + np.arange(n) * FULL / n
        r = np.full(n, r_edges[ring])
        parts.append((r, np.full(n, r_edges[ring + 1]) - r, alpha, np.full(n, FULL / n)))
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def middles(arrays, order):
    """Radius and angle, in [-pi, pi), of the voxels in this order."""
    r, dr, alpha, width = (values[order] for values in arrays)
    return r + dr / 2, (alpha + width / 2 + np.pi) % FULL - np.pi


def check(arrays, expected_sectors):
    layer, order = layered.from_bins(3, *arrays)
    one = Layered("one", (layer,))
    assert layer.n_alpha == tuple(expected_sectors) and sorted(order) == list(range(one.n_cells))
    r, alpha = middles(arrays, order)
    assert np.allclose(r, one.r_edges.mean(1), atol=1e-2)
    apart = (alpha - one.alpha_edges.mean(1) + np.pi) % FULL - np.pi
    assert np.abs(apart[one.n_alpha > 1]).max(initial=0) < 1e-2  # an undivided ring has no direction
    assert np.all(np.diff(one.ring) >= 0) and np.all(one.alpha_edges[:, 0] >= -np.pi - 1e-9)
    return layer, order


@given(
    st.lists(st.sampled_from([1, 2, 3, 4, 8, 14, 16]), min_size=1, max_size=9),
    st.sampled_from([0.0, -np.pi, 0.3]),
    st.sampled_from(["f4", "f8"]),
    st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_the_order_of_voxels_is_found_whatever_it_is(sectors, origin, kind, random):
    edges = np.cumsum([0.0, *(random.uniform(1, 60) for _ in sectors)])
    arrays = [values.astype(kind) for values in bins(edges, sectors, origin)]
    shuffled = list(range(sum(sectors)))
    random.shuffle(shuffled)
    layer, order = check([values[shuffled] for values in arrays], sectors)
    straight, unshuffled = check(arrays, sectors)
    assert layer == straight
    assert [shuffled[k] for k in order] == list(unshuffled)


@pytest.mark.parametrize(("rings", "sectors"), [(31, 16), (62, 8)])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_the_fine_layers_5_and_6_are_told_by_their_radii(rings, sectors, kind):
    """496 voxels both; the alpha starts of neighbouring rings differ in their last bits."""
    arrays = bins(np.linspace(0, 900, rings + 1), [sectors] * rings)
    arrays[2] = arrays[2] + 2e-6 * (np.arange(496) // sectors % 2)
    assert len(np.unique(arrays[2].astype(kind)[:16])) == 16  # what misled a count of rings by the alpha starts alone
    layer, _ = check([values.astype(kind) for values in arrays], [sectors] * rings)
    assert layer.binning == f"{rings} x {sectors}" and not layer.why_irregular
    exact, _ = layered.from_bins(3, *bins(np.linspace(0, 900, rings + 1), [sectors] * rings))
    assert layer == exact if kind == "f8" else layer.same_bins(exact)


def test_rings_that_are_turned_against_each_other_stay_layered():
    layer, _ = check(bins([0.0, 10, 20, 30], [8, 8, 8], offset=0.2), [8, 8, 8])
    with pytest.raises(InputError, match="layer 3: has sectors in ring 1 that are not equally wide from -pi on"):
        Layered("turned", (layer,)).cylinder()


def test_sectors_of_different_widths_that_tile_the_circle_are_read():
    widths = np.array([1.0, 2.0, FULL - 3.0])
    arrays = [np.zeros(3), np.full(3, 5.0), np.array([0.5, 1.5, 3.5]), widths]
    layer, order = layered.from_bins(0, *arrays)
    one = Layered("one", (layer,))
    assert np.allclose((one.alpha_edges[:, 1] - one.alpha_edges[:, 0]), widths[order])
    assert layer.why_irregular


@pytest.mark.parametrize("origin", [0.0, -np.pi])
def test_a_cell_of_the_cylinder_has_the_angle_that_the_cylinder_says(origin):
    arrays = bins([0.0, 5, 15, 40], [14, 14, 14], origin)
    order_in_file = np.random.default_rng(2).permutation(42)
    arrays = [values[order_in_file] for values in arrays]
    layer, order = layered.from_bins(12, *arrays)
    cylinder, flat = Layered("one", (layer,)).cylinder()
    r, alpha = middles(arrays, order[flat])
    assert np.allclose(r, cylinder.r_mid) and np.allclose(alpha, cylinder.alpha_mid)
    assert cylinder.layers[0].id == 12 and np.array_equal(cylinder.ring[:3], [0, 1, 2])


def test_a_cylinder_and_its_layers_are_each_others_and_both_orders_undo_each_other():
    ds = geometry.load("ds1-photons")
    rings = layered.from_cylinder(ds)
    back, order = rings.cylinder()
    assert [(a.id, a.r_edges, a.n_alpha) for a in back.layers] == [(a.id, a.r_edges, a.n_alpha) for a in ds.layers]
    assert np.array_equal(rings.layer[order], ds.layer) and np.array_equal(rings.ring[order], ds.ring)
    assert np.array_equal(rings.alpha[order], ds.alpha)
    cells = np.arange(ds.n_cells)
    assert np.array_equal(cells[order][np.argsort(order)], cells)


def test_an_undivided_innermost_ring_keeps_a_layer_from_being_a_cylinders():
    layer, _ = check(bins([0.0, 5, 15, 40, 90], [1, 4, 8, 8]), [1, 4, 8, 8])
    assert layer.binning == "1 x 1 + 1 x 4 + 2 x 8"
    with pytest.raises(InputError, match=r"layer 3: has 1 x 1 \+ 1 x 4 \+ 2 x 8 bins"):
        Layered("default", (layer,)).cylinder()


def test_a_geometry_survives_json_and_the_digest_sees_bins_and_not_the_name_or_the_order_of_voxels():
    arrays = bins([0.0, 5, 15], [1, 4])
    one = Layered("a", (layered.from_bins(0, *arrays).layer,))
    assert layered.from_json(one.to_json()) == one
    turned = [values[::-1].astype("f4") for values in arrays]
    assert Layered("b", (layered.from_bins(0, *turned).layer,)).digest == one.digest
    other = Layered("a", (layered.from_bins(0, *bins([0.0, 6, 15], [1, 4])).layer,))
    assert other.digest != one.digest and not other.layers[0].same_bins(one.layers[0])


def ragged():
    shapes = [[14] * 6, [1, 4, 4], [4] * 9, [1, 2, 8, 16]]
    found = [layered.from_bins(i, *bins(np.arange(len(s) + 1.0), s)).layer for i, s in enumerate(shapes)]
    return Layered("ragged", tuple(found))


@pytest.mark.parametrize("kind", ["f4", "f8", "bool"])
def test_a_shower_comes_back_from_the_rectangular_grid_bit_for_bit(kind):
    cells = ragged()
    rectangle = geometry.rectangle(cells)
    assert rectangle.shape == (4, 16, 9) and len(set(rectangle.place)) == cells.n_cells
    random = np.random.default_rng(3)
    showers = random.normal(size=(7, cells.n_cells)) * (random.uniform(size=(7, cells.n_cells)) < 0.5)
    showers = showers.astype(kind)
    grid = rectangle.to_grid(showers)
    assert grid.dtype == showers.dtype and rectangle.from_grid(grid).tobytes() == showers.tobytes()
    assert not grid[:, ~rectangle.there].any() and np.array_equal(rectangle.cell >= 0, rectangle.there)
    assert np.array_equal(rectangle.cell.ravel()[rectangle.place], np.arange(cells.n_cells))


def test_a_traced_shower_comes_back_as_well():
    import jax  # noqa: PLC0415

    rectangle = geometry.rectangle(ragged())
    showers = np.random.default_rng(3).normal(size=(3, ragged().n_cells)).astype("f4")
    grid = jax.jit(rectangle.to_grid)(showers)
    assert np.array_equal(grid, rectangle.to_grid(showers))
    assert np.array_equal(jax.jit(rectangle.from_grid)(grid), showers)


def test_on_the_rectangular_grid_a_cell_lies_in_its_layer_ring_and_direction():
    cells = ragged()
    rectangle = geometry.rectangle(cells)
    layer, sector, ring = np.unravel_index(rectangle.place, rectangle.shape)
    assert np.array_equal(layer, cells.layer) and np.array_equal(ring, cells.ring)
    wide = FULL / rectangle.shape[1]
    middle = cells.alpha_edges.mean(1)
    assert np.all(np.abs(-np.pi + (sector + 0.5) * wide - middle) <= wide / 2 + 1e-9)


def test_of_a_regular_cylinder_the_grid_is_its_flat_order():
    cylinder = geometry.load("ds2")
    rectangle = geometry.rectangle(cylinder)
    showers = np.random.default_rng(4).uniform(size=(2, cylinder.n_cells))
    assert rectangle.there.all() and rectangle.is_flat_order
    assert np.array_equal(rectangle.to_grid(showers), showers.reshape(2, 45, 16, 9))
    assert np.array_equal(rectangle.from_grid(rectangle.to_grid(showers)), showers)


def changed(part, voxel, by):
    arrays = bins([0.0, 5, 15], [4, 4])
    arrays[part][voxel] += by
    return arrays


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (changed(2, 5, 0.3), "layer 3, ring 1: leaves a gap of 0.3 rad behind voxel 4"),
        (changed(3, 1, 0.2), "layer 3, ring 0: leaves an overlap of 0.2 rad behind voxel 1"),
        (changed(2, 6, FULL / 4), "layer 3, ring 1: leaves .* rad behind voxel"),
        ([values[:-1] for values in bins([0.0, 5, 15], [4, 4])], "layer 3, ring 1: leaves a gap of 1.571 rad"),
        (changed(1, 2, 1.0), "layer 3, ring 0, voxel 2: reaches from 0 to 6 mm, but the others .* from 0 to 5 mm"),
        ([*bins([0.0, 5, 15], [4, 4])[:3], np.ones(3)], r"layer 3, alpha, width: has the shape \(3,\)"),
        (changed(0, 2, np.nan), "layer 3, radius, begin, voxel 2: is nan"),
        (changed(1, 2, -5.0), "layer 3, radius, width, voxel 2: is 0"),
        (changed(0, 2, -5.0), "layer 3, radius, begin, voxel 2: is -5"),
    ],
)
def test_bins_that_are_no_rings_of_sectors_are_refused_by_name(arrays, said):
    with pytest.raises(InputError, match=said):
        layered.from_bins(3, *arrays)


def test_rings_with_a_gap_between_them_are_refused():
    arrays = bins([0.0, 5, 15], [4, 4])
    arrays[0][4:] += 2
    with pytest.raises(InputError, match="layer 3, ring 1: begins at 7 mm, but the ring within ends at 5 mm"):
        layered.from_bins(3, *arrays)


def test_layers_are_chosen_by_their_ids():
    chosen = ragged().select([2, 0])
    assert chosen.ids == (0, 2) and chosen.n_cells == 14 * 6 + 36
    with pytest.raises(InputError, match="geometry ragged: has no layer 7, but it has 0, 1, 2, 3"):
        ragged().select([0, 7])
