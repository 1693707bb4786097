"""Linearity and resolution: mean and width of E_tot/E_inc against the incident energy."""

from typing import NamedTuple

import numpy as np

from calojax.evaluation import arrays
from calojax.evaluation.energy import Energies
from calojax.evaluation.jackknife import Estimate


class MeanAndWidth(NamedTuple):
    """Per bin (n,): mean and standard deviation with their errors; number of showers (n,); nan where too few."""

    mean: Estimate
    width: Estimate
    count: np.ndarray


def response(energy: np.ndarray, incident_energy: np.ndarray, bins: Energies) -> MeanAndWidth:
    """Mean and standard deviation of energy / incident_energy in bins of incident energy.

    energy (N,): total visible energy, MeV; incident_energy (N,), MeV.
    """
    energy = arrays.series(energy, "energies")
    incident_energy = arrays.incident_energies(incident_energy, len(energy))
    return mean_and_width(energy / incident_energy, incident_energy, bins)


def mean_and_width(values: np.ndarray, incident_energy: np.ndarray, bins: Energies) -> MeanAndWidth:
    """Mean and standard deviation of values (N,) in bins of incident energy (N,), with errors from the moments.

    error(mean)^2 = s^2/n,   error(s)^2 = (m4 - s^4)/(4 n s^2)
    """
    place = bins.place(incident_energy)
    rows = [values[place == b] for b in range(bins.n_bins)]
    parts = np.array([_one(v) for v in rows])
    mean, mean_error, width, width_error = parts.T
    return MeanAndWidth(Estimate(mean, mean_error), Estimate(width, width_error), bins.count(incident_energy))


def _one(values: np.ndarray) -> tuple[float, float, float, float]:
    n = len(values)
    if n < 2:
        return (values[0] if n else np.nan, np.nan, np.nan, np.nan)
    mean = values.mean()
    second, fourth = np.mean((values - mean) ** 2), np.mean((values - mean) ** 4)
    width = np.sqrt(second * n / (n - 1))
    error = np.sqrt(max(fourth - second**2, 0.0) / (4 * n * second)) if second > 0 else 0.0
    return mean, width / np.sqrt(n), width, error
