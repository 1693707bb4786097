"""Bins in incident energy, equal in ln E."""

from typing import NamedTuple

import numpy as np

from calojax.evaluation import arrays


class Energies(NamedTuple):
    """Edges (n + 1,) in MeV; a shower at an outer edge is inside."""

    edges: np.ndarray

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

    The outer edges are a millionth wider, so that the same energies written in float32 stay inside.
    """
    incident_energy = arrays.incident_energies(incident_energy, np.size(incident_energy))
    low, high = float(np.min(incident_energy)), float(np.max(incident_energy))
    if high <= low * (1 + 1e-5):
        n_bins = 1
    return Energies(np.geomspace(low * (1 - 1e-6), high * (1 + 1e-6), n_bins + 1))


def fine_bins(incident_energy: np.ndarray, n_bins: int = 12) -> Energies:
    """Bins for curves against energy: one around each energy if there are few different ones, else equal in ln E."""
    different = np.unique(incident_energy)
    if 1 < len(different) <= 32:
        middles = np.sqrt(different[1:] * different[:-1])
        return Energies(np.concatenate([[different[0] * (1 - 1e-6)], middles, [different[-1] * (1 + 1e-6)]]))
    return energy_bins(incident_energy, n_bins)
