"""How many showers are computed together. Imports no JAX."""

from typing import NamedTuple

from calojax.generation.config import Generation

_FACTOR = 5  # from one tile to the next: round numbers of showers fill them, and few programs are compiled
_UNLIKE = 6  # tiles that may each have a program of its own; more of them share those of every second capacity


class _Kind(NamedTuple):
    """tile: what a kind of device computes at a time at most; start: what starting a tile costs, in showers."""

    tile: int
    start: float


_CPU = _Kind(25, 2.0)  # the arrays of 25 showers fit into the second cache of a core
_OTHER = _Kind(2_500, 500.0)  # a tile is thousands of launches, whatever its size


class Sizes(NamedTuple):
    """tile: showers that are computed together; window: among which tiles of like energy are formed, whole tiles;
    step: every so many-th capacity of a tile is used."""

    tile: int
    window: int
    step: int


def suited(generation: Generation, showers: int, platform: str) -> Sizes:
    """What a request of so many showers is computed with.

    The tile is the one of 1, 5, 25, ... and the configured one that takes least, filling and start of each tile
    counted, and the larger of two that take the same. It depends on nothing else, so that a shower has the same bits
    however its request is divided. platform: of the devices, as JAX calls it.
    """
    kind = _CPU if platform == "cpu" else _OTHER
    most = generation.tile or kind.tile
    tiles = {most} | {_FACTOR**power for power in range(most.bit_length()) if _FACTOR**power < most}
    cost = lambda tile: -(-showers // tile) * (tile + kind.start)
    tile = min(sorted(tiles, reverse=True), key=cost)
    per_window = -(-min(generation.window, showers) // tile)  # tiles of unlike energies
    return Sizes(tile, -(-generation.window // tile) * tile, 1 if per_window <= _UNLIKE else 2)
