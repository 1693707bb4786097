"""Errors from leaving blocks of showers out."""

import numpy as np
import pytest

from calojax.evaluation import histograms
from calojax.evaluation.jackknife import BLOCKS, jackknife
from calojax.evaluation.separation import separation_of_counts


def test_the_error_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(3, 2, (100_000, 8))
    sums = values.reshape(-1, BLOCKS, 8).sum(axis=0)
    found = jackknife(lambda total, n: total / n, sums, np.full((BLOCKS, 1), 100_000 / BLOCKS))
    assert found.value == pytest.approx(values.mean(axis=0))
    assert np.mean(found.error) == pytest.approx(2 / np.sqrt(100_000), rel=0.15)


def test_the_error_of_a_separation_power_is_the_spread_of_repetitions():
    rng, edges = np.random.default_rng(1), np.linspace(0, 1, 11)[None]

    def repeat():
        counts = [histograms.counts(rng.beta(2, b, (1000, 1)), edges)[:, 0, 1:-1] for b in (2.0, 2.5)]
        return jackknife(separation_of_counts, *counts)

    found = [repeat() for _ in range(100)]
    errors, values = [one.error for one in found], [one.value for one in found]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)
