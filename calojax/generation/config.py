"""How showers are drawn from a trained system: the `[generation]` table. Imports no JAX."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from calojax import errors

Checkpoint = Literal["last", "best"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Generation:
    """Sizes decide the last bits of the showers and are written into the file."""

    tile: Annotated[
        int | None, "most showers computed together; a smaller request has a smaller tile; default: as suits the device"
    ] = None
    window: Annotated[int, "consecutive showers among which tiles of like energy are formed, up to whole tiles"] = 1_600
    precision: Annotated[Precision | None, "of the products of matrices; default: that of training"] = None
    ema: Annotated[bool, "use the moving average of the parameters"] = True
    checkpoint: Annotated[
        Checkpoint, "which of a run's checkpoints is used: the last, or the best, of the lowest validation loss"
    ] = "last"
    compression: Annotated[int, "gzip level of the showers in the file, 0 to 9"] = 1

    def __post_init__(self):
        if self.tile is not None and self.tile < 1:
            raise errors.field("generation", "tile", self.tile, "at least 1 shower must fit")
        if self.window < 1:
            raise errors.field("generation", "window", self.window, "at least 1 shower must fit")
        errors.check_choice("generation", "checkpoint", self.checkpoint, get_args(Checkpoint))
        if self.precision is not None:
            errors.check_choice("generation", "precision", self.precision, get_args(Precision))
        if not 0 <= self.compression <= 9:
            raise errors.field("generation", "compression", self.compression, "gzip has the levels 0 to 9")
