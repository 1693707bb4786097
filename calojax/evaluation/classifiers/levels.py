"""Which classifiers the judge trains, at each of its levels."""

from typing import NamedTuple


class Level(NamedTuple):
    """Kinds of classifiers, epochs of each network, seeds."""

    kinds: tuple[str, ...]
    epochs: int
    seeds: int


LEVELS = {
    "quick": Level((), 0, 0),
    "standard": Level(("low", "high"), 10, 3),
    "full": Level(("low", "low_normed", "high", "cnn"), 50, 10),
}
