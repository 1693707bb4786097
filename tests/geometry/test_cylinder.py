"""Properties of cylinders that hold for every binning."""

import numpy as np
import pytest

from calojax import geometry
from calojax.errors import InputError
from calojax.geometry import Cylinder, Layer

MIXED = Cylinder(
    "mixed",
    (
        Layer(0, (0.0, 5.0, 10.0), 4, 0.0, 2.0),
        Layer(3, (0.0, 5.0, 8.0, 10.0), 4, 2.0, 5.0),
        Layer(4, (1.0, 3.0), 1, 5.0, 6.0),
        Layer(5, (0.0, 2.0), 5, 6.0, 7.0),
    ),
    0.1,
)
ALL = [*(g for g in map(geometry.load, geometry.names()) if isinstance(g, Cylinder)), MIXED]
by_name = pytest.mark.parametrize("cylinder", ALL, ids=lambda c: c.name)


@by_name
def test_cells_are_numbered_by_layer_then_alpha_then_ring(cylinder):
    order = np.lexsort((cylinder.ring, cylinder.alpha, cylinder.layer))
    assert np.array_equal(order, np.arange(cylinder.n_cells))
    for layer, (first, last) in enumerate(zip(cylinder.layer_offsets, cylinder.layer_offsets[1:], strict=False)):
        assert last - first == cylinder.n_alpha[layer] * cylinder.n_rings[layer]
        assert set(cylinder.layer[first:last]) == {layer}


@by_name
def test_as_many_steps_in_alpha_as_there_are_bins_lead_back(cylinder):
    cells = np.flatnonzero(cylinder.n_alpha[cylinder.layer] > 1)
    at, turned = cells, np.zeros(len(cells), int)
    for step in range(1, cylinder.n_alpha.max() + 1):
        at = cylinder.neighbours("alpha")[at]
        assert np.array_equal(cylinder.ring[at], cylinder.ring[cells])
        turned[(at == cells) & (turned == 0)] = step
    assert np.array_equal(turned, cylinder.n_alpha[cylinder.layer[cells]])


@by_name
def test_the_opposite_of_the_opposite_is_the_cell_itself(cylinder):
    opposite = cylinder.neighbours("opposite")
    cells = np.flatnonzero(opposite >= 0)
    assert np.array_equal(opposite[opposite[cells]], cells)
    assert np.allclose(cylinder.centres[opposite[cells], :2], -cylinder.centres[cells, :2], atol=1e-9)
    assert np.array_equal(opposite >= 0, cylinder.n_alpha[cylinder.layer] % 2 == 0)


@by_name
def test_the_neighbour_in_r_lies_farther_out_in_the_same_sector(cylinder):
    outer = cylinder.neighbours("r")
    cells = np.flatnonzero(outer >= 0)
    assert np.all(cylinder.r_mid[outer[cells]] > cylinder.r_mid[cells])
    assert np.array_equal(cylinder.alpha[outer[cells]], cylinder.alpha[cells])
    assert np.array_equal(outer < 0, cylinder.ring == cylinder.n_rings[cylinder.layer] - 1)


@by_name
def test_the_neighbour_in_z_has_the_same_place_in_the_next_layer(cylinder):
    behind = cylinder.neighbours("z")
    cells = np.flatnonzero(behind >= 0)
    assert np.array_equal(cylinder.layer[behind[cells]], cylinder.layer[cells] + 1)
    assert np.allclose(cylinder.centres[behind[cells], :2], cylinder.centres[cells, :2], atol=1e-9)
    assert np.all(cylinder.centres[behind[cells], 2] > cylinder.centres[cells, 2])
    assert np.all(behind[cylinder.layer == cylinder.n_layers - 1] < 0)


def test_layers_of_different_binning_share_only_the_rings_with_equal_edges():
    behind = MIXED.neighbours("z")
    inner = np.flatnonzero((MIXED.layer == 0) & (MIXED.ring == 0))
    assert np.array_equal(behind[inner], MIXED.layer_offsets[1] + 3 * np.arange(4))
    assert np.all(behind[(MIXED.layer == 0) & (MIXED.ring == 1)] == -1)
    assert np.all(behind[MIXED.layer > 0] == -1)


@by_name
def test_no_cell_is_its_own_neighbour(cylinder):
    for direction in ("alpha", "opposite", "r", "z"):
        assert np.all(cylinder.neighbours(direction) != np.arange(cylinder.n_cells))


@by_name
def test_a_geometry_survives_json_and_keeps_its_digest(cylinder):
    again = geometry.from_json(cylinder.to_json())
    assert again == cylinder and again.digest == cylinder.digest
    assert hash(again) == hash(cylinder)


def test_the_digest_depends_on_binning_and_threshold_but_not_on_the_name():
    other = [
        Cylinder("another", MIXED.layers, MIXED.threshold),
        Cylinder("mixed", MIXED.layers[:-1], MIXED.threshold),
        Cylinder("mixed", MIXED.layers, 0.2),
    ]
    assert [each.digest == MIXED.digest for each in other] == [True, False, False]


def test_arrays_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        MIXED.centres[0] = 0.0


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"r_edges": (0.0,)}, "r_edges"),
        ({"r_edges": (0.0, 2.0, 2.0)}, "r_edges"),
        ({"r_edges": (-1.0, 2.0)}, "r_edges"),
        ({"r_edges": (0.0, float("inf"))}, "edges"),
        ({"n_alpha": 0}, "n_alpha"),
        ({"z_max": 0.0}, "z"),
    ],
)
def test_layers_that_make_no_sense_are_refused_with_the_layer_and_the_key(change, key):
    fields = {"id": 7, "r_edges": (0.0, 1.0), "n_alpha": 2, "z_min": 0.0, "z_max": 1.0} | change
    with pytest.raises(InputError, match=f"^layer 7, {key}: "):
        Layer(**fields)


@pytest.mark.parametrize(("layers", "threshold"), [((), 1.0), (MIXED.layers, 0.0), (MIXED.layers, float("nan"))])
def test_a_geometry_needs_layers_and_a_threshold(layers, threshold):
    with pytest.raises(InputError, match=r"^geometry broken: "):
        Cylinder("broken", layers, threshold)
