"""How much the judge does: quick, standard or full."""

from typing import NamedTuple

from calojax.errors import InputError


class Level(NamedTuple):
    """classifiers, by their inputs, each trained `seeds` times for `epochs`; neighbours: showers of each set that
    precision, recall, density and coverage look at, at most; matrices: showers x cells^2 of a matrix of cells, at most.
    """

    name: str
    classifiers: tuple[str, ...]
    epochs: int
    seeds: int
    neighbours: int
    matrices: float


LEVELS = {
    level.name: level
    for level in (
        Level("quick", (), 0, 0, 2500, 1.6e12),
        Level("standard", ("low", "high"), 10, 3, 5000, 4.2e12),
        Level("full", ("low", "low_normed", "high", "cnn"), 50, 10, 10_000, 4.2e12),  # the protocol
    )
}


def level(name: str) -> Level:
    """The level of this name; InputError if there is none."""
    if name not in LEVELS:
        raise InputError(where="level", found=f"is {name!r}", rule=f"one of {', '.join(LEVELS)}", remedy="choose one")
    return LEVELS[name]
