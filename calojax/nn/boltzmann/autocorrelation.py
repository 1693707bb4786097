"""How many sweeps apart two states of a chain are independent: the integrated autocorrelation time.

    tau = 1 + 2 sum_(k = 1)^M rho_k

of a quantity recorded along chains; T records of it are worth T / tau independent ones. The window M is the first one
of at least `WINDOW` tau, and the error is tau sqrt(2 (2 M + 1) / records). Sources: N. Madras and A. Sokal, J. Stat.
Phys. 50 (1988) 109; U. Wolff, hep-lat/0306017.
"""

from typing import NamedTuple

import numpy as np

WINDOW = 5.0
ENOUGH = 50  # a series shorter than so many tau underestimates it


class Time(NamedTuple):
    """tau with its error, in records, and the window M; long_enough: whether the series can tell."""

    tau: float
    error: float
    window: int
    long_enough: bool


def integrated_time(series: np.ndarray) -> Time:
    """Of series (T, C) of C chains that are equally distributed about their own means (energies, say, T >= 2).

    A quantity that never changes has tau infinite.
    """
    rho = autocorrelation(series)
    if not np.isfinite(rho).all():
        return Time(np.inf, np.inf, len(series), False)
    taus = 1 + 2 * np.cumsum(rho[1:])
    wide = np.arange(1, len(rho)) >= WINDOW * taus
    window = int(np.argmax(wide)) if wide.any() else len(taus) - 1
    tau = float(max(taus[window], 1 / len(series)))  # alternating chains may come out below 0
    error = tau * np.sqrt(2 * (2 * (window + 1) + 1) / series.size)
    return Time(tau, float(error), window + 1, len(series) >= ENOUGH * tau)


def autocorrelation(series: np.ndarray) -> np.ndarray:
    """rho_k (T,), averaged over chains: (T, C) -> 1 at k = 0; not finite where nothing changes."""
    length = len(series)
    apart = np.asarray(series, np.float64) - np.mean(series, 0, dtype=np.float64)
    spectrum = np.fft.rfft(apart, 2 * length, axis=0)
    covariance = np.fft.irfft(np.mean(np.abs(spectrum) ** 2, 1), 2 * length)[:length] / length
    with np.errstate(invalid="ignore", divide="ignore"):
        return covariance / covariance[0]
