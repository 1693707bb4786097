"""Bins in incident energy: around each energy if there are few different ones, else equal in ln E."""

from typing import NamedTuple

import numpy as np

from calojax.evaluation import arrays

_LINES = 32  # different energies at most, for a spectrum to be one of lines

_MOST = 32  # different energies that are a spectrum of lines


class Energies(NamedTuple):
    """Edges (n + 1,) in MeV; a shower at an outer edge is inside. lines: there is a bin around each energy."""

    edges: np.ndarray
    lines: bool = False

    @property
    def n_bins(self) -> int:
        """n, the number of bins."""
        return len(self.edges) - 1

    def place(self, incident_energy: np.ndarray) -> np.ndarray:
        """Bin of each shower (N,): 0..n - 1, or -1 outside the range."""
        bins = np.searchsorted(self.edges, incident_energy, side="right") - 1
        bins[incident_energy == self.edges[-1]] = self.n_bins - 1
        return np.where(bins < self.n_bins, bins, -1)

    def count(self, incident_energy: np.ndarray) -> np.ndarray:
        """Showers in each bin, (n,)."""
        place = self.place(incident_energy)
        return np.bincount(place[place >= 0], minlength=self.n_bins)


def energy_bins(incident_energy: np.ndarray, n_bins: int = 4) -> Energies:
    """n_bins bins equal in ln E between the smallest and largest of the energies (N,), MeV; one bin if all are equal.

    Of at most 32 different energies, with two showers each or more on average, there is a bin around each. The outer
    edges are a millionth wider, so that the same energies written in float32 stay inside.
    """
    incident_energy = arrays.incident_energies(incident_energy, np.size(incident_energy))
    different = np.unique(incident_energy)
    low, high = different[0] * (1 - 1e-6), different[-1] * (1 + 1e-6)
    if different[-1] <= different[0] * (1 + 1e-5):
        return Energies(np.array([low, high]))
    if len(different) <= min(_LINES, len(incident_energy) / 2):
        return Energies(np.array([low, *np.sqrt(different[1:] * different[:-1]), high]), lines=True)
    return Energies(np.geomspace(low, high, n_bins + 1))
