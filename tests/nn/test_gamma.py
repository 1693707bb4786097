import jax
import numpy as np
import pytest
from scipy import stats

from calojax.nn import gamma

N = 200_000


@pytest.mark.parametrize("k", [0.1, 0.5, 1.0, 3.0, 100.0])
def test_variables_have_the_distribution_mean_and_variance_of_theirs(k):
    drawn = np.asarray(jax.jit(gamma.relative)(jax.random.key(1), np.full(N, k, np.float32)), np.float64)
    assert stats.kstest(k * drawn, stats.gamma(k).cdf).statistic < 0.004 + 1.5 / np.sqrt(N)
    assert abs(drawn.mean() - 1) < 0.002 + 5 / np.sqrt(k * N)
    spread = np.sqrt((2 + 6 / k) / N)  # of the variance times k, in units of its standard error
    assert abs(k * drawn.var() - 1) < 0.003 + 5 * spread


def test_extreme_shapes_are_finite():
    """Without spread every variable is 1; with nothing but spread nearly all are 0."""
    k = np.array([1e-3, 1e30], np.float32).repeat(10_000)
    drawn = np.asarray(jax.jit(gamma.relative)(jax.random.key(2), k)).reshape(2, -1)
    assert np.isfinite(drawn).all() and (drawn >= 0).all()
    assert np.median(drawn[0]) < 1e-30 and (drawn[1] == 1).all()
