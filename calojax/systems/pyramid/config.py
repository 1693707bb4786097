"""What can be set for the pyramid. Imports no JAX, so that the command line can list every field at once."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from calojax import errors
from calojax.generation.config import Generation, Precision
from calojax.training.config import Training

Coupling = Literal["gumbel-mixture", "rqs"]
Dequantisation = Literal["conditional", "published"]


@dataclass(frozen=True)
class Data:
    """What showers are read, and how."""

    geometry: Annotated[str, "ds1-photons, ds1-pions, ds2, ds3 or a CaloChallenge binning XML"] = "ds2"
    threshold: Annotated[float | None, "energy (MeV) from which a cell counts as hit; default: the geometry's"] = None
    rows: Annotated[int | None, "showers read, from the first on; default: all"] = None
    rows_per_shard: Annotated[int, "showers in one shard file"] = 4096
    most_energy: Annotated[
        float, "largest total energy of a shower, in units of its incident energy; above it a file is refused"
    ] = 10.0  # well above what fluctuates at low energies, well below a mistake of units
    pseudo_counts: Annotated[float, "counts shared out over the numbers of hits that a position never showed"] = 0.5

    def __post_init__(self):
        for name in ("rows", "rows_per_shard"):
            if (value := getattr(self, name)) is not None:
                errors.check_least("data", name, value, 1)
        if self.threshold is not None and not 0 < self.threshold < math.inf:
            raise errors.field("data", "threshold", self.threshold, "it must be above 0 MeV")
        if not self.most_energy > 0:
            raise errors.field("data", "most_energy", self.most_energy, "it must be above 0")
        if not 0 < self.pseudo_counts < math.inf:
            raise errors.field("data", "pseudo_counts", self.pseudo_counts, "it must be above 0")


@dataclass(frozen=True)
class Model:
    """Sizes of the four stages."""

    coupling: Annotated[
        Coupling,
        "how hit patterns are modelled: every cell placed once, or the published spline flow on Gumbel variables",
    ] = "gumbel-mixture"
    dequantisation: Annotated[Dequantisation, "of hit patterns into Gumbel variables (coupling rqs only)"] = (
        "conditional"
    )
    hidden: Annotated[int, "width of the networks of layers and rings"] = 64
    cell_hidden: Annotated[int, "width of the networks that run once per cell: most of the time goes here"] = 64
    components: Annotated[int, "components of each mixture of logistics"] = 10
    couplings: Annotated[int, "couplings of each spline flow (coupling rqs only)"] = 8
    bins: Annotated[int, "bins of each spline (coupling rqs only)"] = 8
    bound: Annotated[float, "splines act on [-bound, bound] in units of standard deviations (rqs only)"] = 6.0
    pooled: Annotated[int, "width of the set context, the mean over a shower's elements (rqs only)"] = 32
    turn: Annotated[bool, "turn and mirror showers at random in training; false for an asymmetric detector"] = True
    neighbours: Annotated[bool, "cells see the neighbouring rings; false only to compare"] = True
    precision: Annotated[Precision, "of the products of matrices; everything else is float32 in any case"] = "float32"

    def __post_init__(self):
        for name in ("hidden", "cell_hidden", "components", "couplings", "bins", "pooled"):
            errors.check_least("model", name, getattr(self, name), 1)
        if not 0 < self.bound < math.inf:
            raise errors.field("model", "bound", self.bound, "it must be above 0")
        errors.check_choice("model", "coupling", self.coupling, get_args(Coupling))
        errors.check_choice("model", "dequantisation", self.dequantisation, get_args(Dequantisation))
        errors.check_choice("model", "precision", self.precision, get_args(Precision))


@dataclass(frozen=True)
class Config:
    """The pyramid."""

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    generation: Generation = field(default_factory=Generation)
