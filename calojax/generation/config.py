"""How showers are drawn from a trained system: the `[generation]` table. Imports no JAX."""

from dataclasses import dataclass
from typing import Annotated

from calojax import errors


@dataclass(frozen=True)
class Generation:
    """Sizes decide the last bits of the showers and are written into the file."""

    tile: Annotated[int, "showers computed together"] = 64
    window: Annotated[int, "consecutive showers among which tiles of like energy are formed; a multiple of tile"] = (
        2_048
    )
    ema: Annotated[bool, "use the moving average of the parameters"] = True
    compression: Annotated[int, "gzip level of the showers in the file, 0 to 9"] = 1

    def __post_init__(self):
        if self.tile < 1:
            raise errors.field("generation", "tile", self.tile, "at least 1 shower must fit")
        if self.window < 1 or self.window % self.tile:
            raise errors.field(
                "generation", "window", self.window, f"it must be a whole number of tiles of {self.tile} showers"
            )
        if not 0 <= self.compression <= 9:
            raise errors.field("generation", "compression", self.compression, "gzip has the levels 0 to 9")
