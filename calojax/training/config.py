"""How a system is trained: the `[training]` table of every configuration. Imports no JAX."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from calojax import errors

_MOST_STEPS, _LARGEST_SEED = 2**31 - 1, 2**32 - 1  # steps are counted in int32; of a seed, keys take 32 bits
Optimiser = Literal["adamw", "muon"]


@dataclass(frozen=True)
class Training:
    """One run of the training loop."""

    steps: Annotated[int, "optimiser steps in all, unless the system's phases say otherwise"] = 10_000
    batch: Annotated[int, "rows in one step, over all devices and processes"] = 256
    tile: Annotated[int, "rows computed together; must divide batch"] = 64
    optimiser: Annotated[
        Optimiser,
        "AdamW, or Muon for matrices, whose best rates are about ten times larger",
    ] = "adamw"
    learning_rate: Annotated[float, "peak learning rate"] = 1e-3
    warmup_steps: Annotated[int, "steps of linear increase of the learning rate from 0"] = 200
    final_learning_rate: Annotated[float, "learning rate at the last step, at the end of a cosine"] = 1e-5
    weight_decay: Annotated[float, "decoupled weight decay, of matrices only"] = 1e-4
    clip_norm: Annotated[float, "largest norm of the gradient; longer ones are shortened to it"] = 1.0
    ema_decay: Annotated[float, "decay per step of the moving average of the parameters; 0 switches it off"] = 0.999
    validation_rows: Annotated[int, "last rows of the shards, held out from training; 0 for none"] = 1_000
    evaluate_every: Annotated[int, "steps between validations; 0 for one at the end only"] = 1_000
    checkpoint_every: Annotated[int, "steps between checkpoints; 0 for one at the end only"] = 1_000
    keep: Annotated[int, "latest checkpoints to keep, beside the best one"] = 3
    log_every: Annotated[int, "steps between lines of metrics.jsonl, which hold means over these steps"] = 50
    seed: Annotated[int, "of parameters, shuffle and noise, below 2^32"] = 0

    def __post_init__(self):
        for name in ("steps", "batch", "tile", "keep", "log_every"):
            errors.check_least("training", name, getattr(self, name), 1)
        for name in ("warmup_steps", "weight_decay", "validation_rows", "evaluate_every", "checkpoint_every", "seed"):
            errors.check_least("training", name, getattr(self, name), 0)
        for name, most in (("steps", _MOST_STEPS), ("seed", _LARGEST_SEED)):
            if getattr(self, name) > most:
                raise errors.field("training", name, getattr(self, name), f"it must be at most {most}")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise errors.field("training", name, getattr(self, name), "it must be above 0")
        for name in ("learning_rate", "weight_decay"):
            if math.isinf(getattr(self, name)):
                raise errors.field("training", name, getattr(self, name), "it must be finite")
        errors.check_choice("training", "optimiser", self.optimiser, get_args(Optimiser))
        if not 0 <= self.ema_decay < 1:
            raise errors.field("training", "ema_decay", self.ema_decay, "it must be at least 0 and below 1")
        if not 0 <= self.final_learning_rate <= self.learning_rate:
            raise errors.field(
                "training", "final_learning_rate", self.final_learning_rate, "it must lie between 0 and learning_rate"
            )
        if self.batch % self.tile:
            raise errors.field(
                "training", "batch", self.batch, f"it must be a whole number of tiles of {self.tile} rows"
            )
