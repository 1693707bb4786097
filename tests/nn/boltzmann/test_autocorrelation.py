import numpy as np
import pytest

from calojax.nn.boltzmann import autocorrelation


def autoregressive(rho, length, chains, seed=0):
    """x_t = rho x_(t-1) + noise, whose tau is (1 + rho) / (1 - rho), about a mean of each chain's own."""
    noise = np.random.default_rng(seed).standard_normal((length, chains))
    x = np.zeros_like(noise)
    x[0] = noise[0] / np.sqrt(1 - rho**2)
    for t in range(1, length):
        x[t] = rho * x[t - 1] + noise[t]
    return x + 10 * np.arange(chains)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_tau_of_a_known_process_within_its_error(rho):
    found = autocorrelation.integrated_time(autoregressive(rho, 2000, 40))
    assert abs(found.tau - (1 + rho) / (1 - rho)) < 4 * found.error + 0.02 * found.tau
    assert found.long_enough and found.window >= 5 * found.tau - 1


def test_a_short_series_is_said_to_be_short_and_one_that_is_constant_has_no_end():
    assert not autocorrelation.integrated_time(autoregressive(0.9, 100, 40)).long_enough
    found = autocorrelation.integrated_time(np.ones((50, 3)))
    assert found.tau == np.inf and not found.long_enough


def test_correlations_by_their_definition():
    x = autoregressive(0.5, 30, 2)
    centred = x - x.mean(0)
    expected = [np.mean(np.sum(centred[: 30 - k] * centred[k:], 0)) for k in range(30)]
    np.testing.assert_allclose(autocorrelation.autocorrelation(x), np.array(expected) / expected[0], atol=1e-10)
