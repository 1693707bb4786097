"""Separation powers, against values of the challenge's public script."""

import dataclasses

import numpy as np
import pytest

from calojax import evaluation, geometry
from calojax.evaluation import digest, features, histograms, inspection, measures, sample
from calojax.geometry import Cylinder, Layer

PUBLIC = {  # first, middle and last layer
    "e_layer": (0.13483895293597623, 0.10939359106112201, 0.08998495407783481),
    "ec_eta": (0.08881003304587162, 0.0750767009520133, 0.09758383062241002),
    "ec_phi": (0.08917710029711332, 0.10586405638185459, 0.11630402671233803),
    "width_eta": (0.08686794065766165, 0.07904981065237782, 0.06837167476548958),
    "ec_r": (0.06209021408214382, 0.06724301065568744, 0.08502474613206851),
    "width_r": (0.054508139140518636, 0.05094761563541432, 0.040403690225401995),
    "sparsity": (0.11079002079002079, 0.09849190094954383, 0.10549912036774305),
}


@pytest.fixture(scope="module")
def separations(array_k):
    """Of events 0 to 499 against 1.02 times events 500 to 999 with every seventh voxel empty, all at 200 GeV."""
    g, energies = geometry.load("ds2"), np.full(500, 2e5)
    reference, generated = array_k("ds2", 0, 500), 1.02 * array_k("ds2", 500, 1000)
    generated[:, ::7] = 0
    edges = histograms.log_edges(g.threshold, reference.max(), 49)
    samples = [
        sample.collect(inspection.read((energies, x), g, name="showers")[0], g, edges) for x in (reference, generated)
    ]
    frame = digest.frame(samples[0], edges, g)
    return measures.separations(*(digest.Digest(frame, one) for one in samples))


@pytest.mark.parametrize("family", PUBLIC)
def test_layers_have_the_separation_powers_of_the_public_script(separations, family):
    found = [separations[f"separation.{family}.{layer}"].value for layer in (0, 10, 44)]
    assert found == pytest.approx(PUBLIC[family], abs=4e-4 if family == "e_layer" else 1e-6)


def test_with_the_script_s_own_edges_layer_energies_have_its_separation_powers(array_k):
    """Its rounding leaves the largest reference energy of layer 10 outside; ours is always inside."""
    g = geometry.load("ds2")
    generated = 1.02 * array_k("ds2", 500, 1000)
    generated[:, ::7] = 0
    energies = [evaluation.layer_moments(x, g).energy for x in (array_k("ds2", 0, 500), generated)]
    for layer, expected in zip((0, 10, 44), PUBLIC["e_layer"], strict=True):
        reference, other = (x[:, layer] for x in energies)
        edges = np.logspace(np.log10(g.threshold), np.log10(reference.max()), 40)
        assert evaluation.separation_power(reference, other, edges) == pytest.approx(expected, abs=1e-9)


def test_whole_showers_have_the_separation_powers_of_the_public_script(separations):
    assert separations["separation.e_tot"].value == pytest.approx(0.44655956179002787, abs=1e-9)
    assert separations["separation.voxel"].value == pytest.approx(0.00011381503730094355, abs=1e-6)


def test_mean_and_max_are_over_the_layers(separations):
    layers = [separations[f"separation.ec_r.{layer}"].value for layer in range(45)]
    assert separations["separation.ec_r.mean"].value == pytest.approx(np.mean(layers))
    assert separations["separation.ec_r.max"].value == max(layers)


def test_equal_samples_are_at_zero_disjoint_ones_at_one_and_symmetric_between():
    rng, edges = np.random.default_rng(0), np.linspace(-5, 5, 21)
    x, y = rng.normal(size=300), rng.normal(0.5, 1, size=200)
    assert evaluation.separation_power(x, x, edges) == 0
    assert evaluation.separation_power(np.full(5, -4.9), np.full(9, 4.9), edges) == 1
    assert evaluation.separation_power(x, y, edges) == pytest.approx(evaluation.separation_power(y, x, edges))
    assert evaluation.separation_power(x, np.full(9, 7.0), edges) == 1
    assert np.isnan(evaluation.separation_power(np.full(9, -7.0), np.full(9, 7.0), edges))


def test_samples_of_one_distribution_are_at_the_expected_floor_with_the_expected_error():
    rng, edges, n, m = np.random.default_rng(1), np.linspace(0, 1, 41), 2000, 500
    values = [evaluation.separation_power(rng.random(n), rng.random(m), edges) for _ in range(200)]
    assert np.mean(values) == pytest.approx(39 / 4 * (1 / n + 1 / m), rel=0.05)


def test_the_last_bin_holds_its_upper_edge_and_outside_is_counted():
    counts = histograms.counts(np.array([[0.0], [1.0], [1.5], [-1.0], [np.nan]]), np.linspace(0, 1, 5)[None], 1)
    assert counts[0, 0].tolist() == [1, 1, 0, 0, 1, 2]


def ends(g):
    """Upper ends of the bins of |EC_eta|, EC_r and width_r, layer by layer."""
    energy = np.ones((3, g.n_layers))
    moments = features.Moments(*[energy] * len(features.Moments._fields))
    found = histograms.families(moments, np.full(3, 1e3), g)
    return [found[name].edges[:, -1].tolist() for name in ("ec_eta", "ec_r", "width_r")]


def test_ranges_follow_from_the_layers_and_not_from_the_name():
    photons = geometry.load("ds1-photons")
    expected = [[100, 100], [500, 500, 500, 500, 1500], [500, 500, 500, 500, 1500]]
    assert ends(photons) == ends(dataclasses.replace(photons, name="mine", threshold=0.01)) == expected
    assert ends(geometry.load("ds2"))[1] == pytest.approx([42.0] * 45)


def test_elsewhere_every_layer_has_bins_of_its_own_size():
    layers = [Layer(i, (0.0, r), 2, float(i), i + 1.0) for i, r in enumerate((41.85, 418.5))]
    assert ends(Cylinder("two", tuple(layers), 0.1)) == [pytest.approx(x) for x in ([30, 300], [42, 420], [20, 200])]
