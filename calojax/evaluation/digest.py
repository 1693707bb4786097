"""What the judge derives from a sample: histograms, response, hits, correlations, all in the reference's bins."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from calojax.evaluation import energy, features, fixed_energy, histograms, hits
from calojax.evaluation.energy import Energies
from calojax.evaluation.energy_response import MeanAndWidth, response
from calojax.evaluation.fixed_energy import FixedEnergyCorrelations, Pairs
from calojax.evaluation.histograms import Family
from calojax.evaluation.sample import Sample

STAGES = ("hit_layers", "hit_rings", "hit_cells")


@dataclass(frozen=True)
class Frame:
    """What the reference fixes for everyone: histograms by name, energy bins (four, and fine ones), pairs of cells."""

    geometry: Any
    families: dict[str, Family]
    bins: Energies
    fine: Energies
    pairs: Pairs


def frame(reference: Sample, spectrum_edges: np.ndarray, geometry: Any) -> Frame:
    """The bins that follow from the reference. spectrum_edges: the voxel energies' bins it was collected with."""
    families = histograms.families(reference.moments, reference.incident_energy, geometry)
    whole = np.array([-1])
    families["voxel"] = Family("voxel", whole, spectrum_edges[None], "MeV", logarithmic=True)
    top = max(int(reference.patterns.counts().max(initial=1)), 1)
    n_bins = min(50, top)
    families["n_hits"] = Family("n_hits", whole, np.linspace(0, top, n_bins + 1)[None], "")
    sizes = (geometry.n_layers, int(np.max(geometry.n_rings)), int(np.max(geometry.n_alpha)))
    for stage, size in zip(STAGES, sizes, strict=True):
        if stage == "hit_layers" and geometry.n_layers == 1:
            continue  # there is nothing to count
        families[stage] = Family(stage, whole, np.arange(-0.5, size + 1)[None], "")
    bins = energy.energy_bins(reference.incident_energy)
    pairs = fixed_energy.fixed_energy_correlations(reference.patterns, reference.incident_energy, geometry, bins).pairs
    return Frame(geometry, families, bins, energy.fine_bins(reference.incident_energy), pairs)


@dataclass(frozen=True)
class Digest:
    """A sample seen in a frame; every part is made when it is first asked for."""

    frame: Frame
    sample: Sample

    def __len__(self) -> int:
        return len(self.sample)

    @cached_property
    def histograms(self) -> dict[str, np.ndarray]:
        """Counts (K, C, B + 2) of every family of the frame; the first and last bin are what lies outside."""
        sample, counts = self.sample, {}
        for name in histograms.FAMILIES:
            counts[name] = histograms.counts(self.values(name), self.frame.families[name].edges, sample.n_blocks)
        counts["voxel"] = sample.spectrum[:, None]
        counts["n_hits"] = histograms.counts(
            self.values("n_hits"), self.frame.families["n_hits"].edges, sample.n_blocks
        )
        stages = hits.hit_counts(sample.patterns, self.frame.geometry, sample.n_blocks)
        for stage in (one for one in STAGES if one in self.frame.families):
            counts[stage] = np.pad(getattr(stages, stage), ((0, 0), (1, 1)))[:, None]
        return counts

    def values(self, family: str) -> np.ndarray:
        """What a family of quantities that every shower has histograms: (N, C) float64."""
        if family == "n_hits":
            return self.n_hits[:, None].astype(float)
        layers = self.frame.families[family].layers
        return histograms.values(family, self.sample.moments, self.sample.incident_energy, layers)

    @cached_property
    def n_hits(self) -> np.ndarray:
        """Hits per shower (N,)."""
        return self.sample.patterns.counts()

    @cached_property
    def features(self) -> np.ndarray:
        """The protocol's feature vectors (N, F)."""
        return features.of_moments(self.sample.moments, self.sample.incident_energy, self.frame.geometry)

    @cached_property
    def e_tot(self) -> np.ndarray:
        """Total energy per shower (N,), MeV."""
        return self.sample.moments.energy.sum(axis=1)

    def response(self, bins: Energies) -> MeanAndWidth:
        """Mean and width of E_tot/E_inc in bins of incident energy."""
        return response(self.e_tot, self.sample.incident_energy, bins)

    def hits(self, bins: Energies) -> MeanAndWidth:
        """Mean and relative width at fixed energy of the number of hits."""
        return hits.hits_at_energy(self.n_hits, self.sample.incident_energy, bins)

    @cached_property
    def correlations(self) -> FixedEnergyCorrelations:
        """Hit correlations at fixed energy, over the reference's pairs."""
        f, s = self.frame, self.sample
        return fixed_energy.fixed_energy_correlations(
            s.patterns, s.incident_energy, f.geometry, f.bins, f.pairs, s.n_blocks
        )
