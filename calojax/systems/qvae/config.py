"""What can be set for the qvae. Imports no JAX, so that the command line can list every field at once."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from calojax import errors
from calojax.generation import config as generation
from calojax.systems.qvae.models.config import Model
from calojax.training.config import Training

Negatives = Literal["refuse", "clip"]
Couplings = Literal["zephyr", "full"]
Latent = Literal["prior", "naive", "posterior"]


@dataclass(frozen=True)
class Data:
    """What showers are read, and how."""

    geometry: Annotated[
        str | None, "of CaloChallenge files, e.g. ds2; default: the layers of an ATLAS file that have energy in them"
    ] = None
    negatives: Annotated[Negatives, "voxels below 0: refused, or set to 0 and counted"] = "refuse"
    rows: Annotated[int | None, "showers read, from the first on; default: all"] = None
    rows_per_shard: Annotated[int, "showers in one shard file"] = 4096

    def __post_init__(self):
        errors.check_choice("data", "negatives", self.negatives, get_args(Negatives))
        for name in ("rows", "rows_per_shard"):
            if (value := getattr(self, name)) is not None:
                errors.check_least("data", name, value, 1)


@dataclass(frozen=True)
class Prior:
    """The Boltzmann machine over the latent bits, and how it is trained."""

    couplings: Annotated[Couplings, "between partitions: those of an annealer's Zephyr graph, or all"] = "zephyr"
    steps: Annotated[int, "training steps of the phase `prior`; 0: none, as for a naive prior alone"] = 2_000
    chains: Annotated[int, "persistent Gibbs chains"] = 256
    sweeps: Annotated[int, "Gibbs sweeps of every chain in a training step"] = 20
    learning_rate: Annotated[float, "of Adam, with the warm-up and cosine of [training]"] = 3e-3
    decay: Annotated[float, "share of every parameter that a step takes away"] = 0.0

    def __post_init__(self):
        errors.check_choice("prior", "couplings", self.couplings, get_args(Couplings))
        errors.check_least("prior", "steps", self.steps, 0)
        for name in ("chains", "sweeps"):
            errors.check_least("prior", name, getattr(self, name), 1)
        if not 0 < self.learning_rate < math.inf:
            raise errors.field("prior", "learning_rate", self.learning_rate, "it must be above 0")
        if not 0 <= self.decay < 1:
            raise errors.field("prior", "decay", self.decay, "it must be at least 0 and below 1")


@dataclass(frozen=True)
class Losses:
    """Weights of the terms of the loss, beside 1 for the hits."""

    energy: Annotated[float, "of the deviance of the energies"] = 0.01
    entropy: Annotated[float, "of minus the entropy of the posterior; 0: not regularised"] = 1e-3
    prior_energy: Annotated[float, "of the prior's energy of the posterior's samples; joint training only"] = 0.0

    def __post_init__(self):
        for name in ("energy", "entropy", "prior_energy"):
            if not 0 <= getattr(self, name) < math.inf:
                raise errors.field("losses", name, getattr(self, name), "it must be at least 0 and finite")


@dataclass(frozen=True)
class Smoothing:
    """When the smoothed bits become sharp, as shares of the steps of the autoencoder."""

    hold: Annotated[float, "until where the sharpness stays 1"] = 0.01
    end: Annotated[float, "from where on it is 100; linear in between"] = 0.6

    def __post_init__(self):
        if not 0 <= self.end <= 1:
            raise errors.field("smoothing", "end", self.end, "it must lie between 0 and 1")
        if not 0 <= self.hold <= self.end:
            raise errors.field("smoothing", "hold", self.hold, f"it must lie between 0 and end, {self.end}")


@dataclass(frozen=True)
class Generation(generation.Generation):
    """How showers are drawn, beyond what is common to all systems."""

    latent: Annotated[
        Latent,
        "where latent bits come from: the Boltzmann machine, independent bits, or given showers (reconstruction)",
    ] = "prior"
    sweeps: Annotated[int, "Gibbs sweeps from random bits to a sample of the prior"] = 3_000
    fluctuations: Annotated[
        bool, "energies of hits are drawn about the decoder's, each as far off as in the data; published: false"
    ] = True

    def __post_init__(self):
        super().__post_init__()
        errors.check_choice("generation", "latent", self.latent, get_args(Latent))
        errors.check_least("generation", "sweeps", self.sweeps, 1)


@dataclass(frozen=True)
class Config:
    """The qvae; `training.steps` are those of the autoencoder."""

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    losses: Losses = field(default_factory=Losses)
    smoothing: Smoothing = field(default_factory=Smoothing)
    prior: Prior = field(default_factory=Prior)
    joint: Annotated[bool, "train the prior beside the autoencoder in every step, in place of after it"] = False
    training: Training = field(default_factory=Training)
    generation: Generation = field(default_factory=Generation)

    def __post_init__(self):
        if self.losses.prior_energy and not self.joint:
            rule = "a prior that is trained later is random then, and would pull the latent bits towards nothing"
            raise errors.field("losses", "prior_energy", self.losses.prior_energy, f"it must be 0 unless joint: {rule}")
