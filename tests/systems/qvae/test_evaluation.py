"""Latent bits beside each other, and chi2 of energies."""

import jax
import numpy as np
import pytest

from calojax.systems.qvae import evaluation

pytestmark = pytest.mark.slow


def test_chi2_is_about_the_number_of_bins_if_both_are_alike_and_grows_if_not():
    draw = np.random.default_rng(0)
    truth, alike, shifted = (draw.normal(mean, 1.0, 20_000) for mean in (0.0, 0.0, 0.1))
    assert 10 < evaluation.chi2(truth, alike) < 60
    assert evaluation.chi2(truth, shifted) > 100
    assert evaluation.chi2(truth, truth) == 0.0


def test_energies_are_compared_within_octaves():
    draw = np.random.default_rng(0)
    incident = np.exp(draw.uniform(np.log(300), np.log(60_000), 10_000))
    low = incident < 1000
    truth, other = (incident * draw.normal(1.0, 0.1, len(incident)) for _ in range(2))
    worse = np.where(low, 1.1 * other, other)
    assert evaluation.energy_chi2(incident, truth, worse) > 2 * evaluation.energy_chi2(incident, truth, other)


def test_bits_of_posterior_and_prior(model, small, events):
    incident, cells = events[0][:8], events[1][:8]
    shown = evaluation.posterior(model, small, incident, cells, jax.random.key(0))
    drawn = evaluation.prior(model, small, incident, jax.random.key(1))
    assert shown.bits.shape == drawn.bits.shape == (8, 4, small.model.nodes)
    np.testing.assert_array_equal(shown.bits[:, 0], drawn.bits[:, 0])
    again = evaluation.prior(model, small, incident, jax.random.key(1))
    np.testing.assert_array_equal(drawn.bits, again.bits)
    found = evaluation.latent_distances(shown, drawn)
    assert set(found) == {"all", "within.0", "within.1", "within.2", "within.3"}
    assert found["within.0"].value == 0.0


def test_mixing_is_told_in_sweeps(model, small, events):
    found = evaluation.mixing(model, small, events[0][:8], jax.random.key(0), records=50, every=2)
    assert found.tau > 0 and found.error > 0
