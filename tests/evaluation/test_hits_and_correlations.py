"""Hits: what the plain correlation matrix sees, and what only correlations at fixed energy see."""

import numpy as np
import pytest

from calojax import evaluation, geometry
from calojax.evaluation import fixed_energy, inspection, sample


@pytest.fixture(scope="module")
def hits(draw, toy):
    """Energies and hits of a reference and of two generators: an honest one, and one of independent cells."""
    incident, showers = draw(3000, 4)
    other_energy, other = draw(3000, 5)
    bins = evaluation.energy_bins(incident)
    independent = fixed_energy.independent_cells(showers >= toy.threshold, incident, bins, np.random.default_rng(6))
    return bins, (incident, showers >= toy.threshold), (other_energy, other >= toy.threshold), (incident, independent)


@pytest.fixture(scope="module")
def correlations(hits, toy):
    bins, *samples = hits
    reference = evaluation.fixed_energy_correlations(samples[0][1], samples[0][0], toy, bins)
    others = [evaluation.fixed_energy_correlations(h, e, toy, bins, reference.pairs) for e, h in samples[1:]]
    return [reference.values, *(one.values for one in others)]


@pytest.mark.parametrize("direction", ["alpha", "opposite", "z", "r"])
def test_an_honest_generator_has_the_correlations_of_the_reference(correlations, direction):
    reference, honest, _ = (values[direction] for values in correlations)
    error = np.hypot(reference.error, honest.error)
    assert np.all(np.abs(reference.value - honest.value) < 4.5 * error)


@pytest.mark.parametrize("direction", ["alpha", "z", "r"])
def test_independent_cells_have_no_correlation_at_fixed_energy(correlations, direction):
    reference, _, independent = (values[direction] for values in correlations)
    assert np.all(np.abs(independent.value) < 4.5 * independent.error + 0.01)
    assert np.all(reference.value > 10 * np.abs(independent.value))


def test_independent_cells_pass_the_plain_matrix_and_fail_at_fixed_energy(toy):
    """Cells that are hit more often at higher energies, each a little like its neighbour in alpha."""
    rng = np.random.default_rng(0)

    def draw():
        incident = np.exp(rng.uniform(0, 4, 400))
        noise = rng.normal(size=(400, 5, 6, 4))
        noise = (noise + 0.4 * np.roll(noise, 1, axis=2)).reshape(400, -1)
        return incident, noise + (np.log(incident) - 2)[:, None] > 0

    (incident, reference), (_, honest) = draw(), draw()
    bins = evaluation.energy_bins(incident, 1)
    independent = fixed_energy.independent_cells(reference, incident, bins, rng)
    floor = evaluation.frobenius_occupancy(reference, honest)
    plain = evaluation.frobenius_occupancy(reference, independent)
    assert plain.value < 1.1 * floor.value
    values = [
        evaluation.fixed_energy_correlations(hits, incident, toy, bins).values["alpha"]
        for hits in (reference, independent)
    ]
    assert values[0].value[0] > 0.1 > 0.03 > abs(values[1].value[0])
    assert values[0].value[0] - values[1].value[0] > 8 * np.hypot(values[0].error[0], values[1].error[0])


def test_the_matrix_is_numpys_and_its_distance_is_over_all_cells(hits, toy):
    _, (_, reference), (_, other), _ = hits
    assert np.allclose(evaluation.hit_pearson(reference), np.corrcoef(reference.T), atol=1e-9)
    expected = np.linalg.norm(np.corrcoef(reference.T) - np.corrcoef(other.T))
    assert evaluation.frobenius_occupancy(reference, other).value == pytest.approx(expected, rel=1e-6)


def test_a_cell_that_never_changes_has_no_correlation():
    hits = np.random.default_rng(0).random((100, 16)) < 0.5
    hits[:, 3] = False
    matrix = evaluation.hit_pearson(hits)
    assert np.all(matrix[3] == 0) and np.all(matrix[:, 3] == 0)
    assert evaluation.frobenius_occupancy(hits, hits).value == 0


def test_a_mean_over_few_pairs_is_not_given(hits, toy):
    bins, (incident, reference), *_ = hits
    pairs = evaluation.fixed_energy_correlations(reference, incident, toy, bins).pairs
    few = {d: [(left[:9], right[:9]) for left, right in pairs[d]] for d in pairs}
    found = evaluation.fixed_energy_correlations(reference, incident, toy, bins, few).values
    assert all(np.all(np.isnan(values.value)) for values in found.values())


def test_stages_count_hit_layers_rings_and_cells(toy):
    hits = np.zeros((1, toy.n_cells), bool)
    hits[0, toy.layer_offsets[1] + np.array([0, 4, 8, 1])] = True  # three cells of ring 0, one of ring 1
    counts = evaluation.hit_counts(hits, toy, n_blocks=1)
    assert counts.hit_layers[0].tolist() == [0, 1, 0, 0, 0, 0]
    assert counts.hit_rings[0].tolist() == [0, 0, 1, 0, 0]
    assert counts.hit_cells[0].tolist() == [0, 1, 0, 1, 0, 0, 0]


def test_the_spread_of_hits_is_the_one_around_the_trend():
    rng = np.random.default_rng(0)
    incident = np.exp(rng.uniform(np.log(1e3), np.log(1e4), 20000))
    n_hits = 100 * np.log(incident) + rng.normal(0, 7, len(incident))
    found = evaluation.hits_at_energy(n_hits, incident, evaluation.energy_bins(incident))
    assert found.width.value * found.mean.value == pytest.approx(np.full(4, 7), rel=0.05)
    assert found.width.error * found.mean.value == pytest.approx(np.full(4, 7 / np.sqrt(10000)), rel=0.1)


TABLE = {  # validation showers, low to high energy
    "alpha": (0.302, 0.181, 0.113, 0.080),
    "opposite": (0.019, 0.026, 0.023, 0.022),
    "z": (0.135, 0.085, 0.056, 0.045),
    "r": (0.080, 0.078, 0.078, 0.076),
}


def test_simulated_showers_have_the_published_correlations(data):
    g = geometry.load("ds2")
    found = sample.collect(
        inspection.read(data / "egs_ds2_val.hdf5", g, name="reference")[0], g, np.geomspace(0.01, 1e4, 5)
    )
    bins = evaluation.energy_bins(found.incident_energy)
    values = evaluation.fixed_energy_correlations(found.patterns, found.incident_energy, g, bins).values
    for direction, expected in TABLE.items():
        assert values[direction].value == pytest.approx(expected, abs=0.0015)
    width = evaluation.hits_at_energy(found.patterns.counts(), found.incident_energy, bins).width.value
    assert width == pytest.approx((0.084, 0.070, 0.056, 0.046), abs=0.001)
