"""Which showers train a classifier, which select its epoch and calibrate it, and which are scored.

Every network is scored on showers that it has not seen, as many reference as generated ones. Without training showers
both sets are shuffled and cut into five parts: one is scored, one selects, three train (60/20/20 %). Small samples are
cross-fitted: five networks, so that each shower is scored once. With training showers the network trains on them
against as many generated showers, a fifth of both selecting, and is scored on the reference against as many generated
ones; where there are fewer generated showers than training and reference showers together, they are shared in the
proportion of the two, and as many real showers are used.
"""

from typing import NamedTuple

import numpy as np

CROSS_FIT_BELOW = 5_000  # showers of each kind
FEWEST = 20  # showers of each kind, of which something can be said
_PARTS = 5


class Split(NamedTuple):
    """Rows of one network, counted through generated, reference and training showers in that order."""

    training: np.ndarray
    selection: np.ndarray
    scored: np.ndarray


class Counts(NamedTuple):
    """How many showers there are of each kind; train 0 if there are no training showers."""

    generated: int
    reference: int
    train: int = 0

    @property
    def reachable(self) -> int:
        """Of each kind, those that one seed or another may score."""
        return min(self.generated, self.reference)

    @property
    def trained(self) -> int:
        """Training showers that are used, selection included, and generated ones beside them."""
        if not self.train:
            return 0
        return min(self.train, round(self.generated * self.train / (self.train + self.reference)))

    @property
    def scored(self) -> int:
        """Of each kind, those that the networks of one seed score."""
        if self.train:
            return min(self.reference, self.generated - self.trained)
        return self.reachable if self.reachable < CROSS_FIT_BELOW else len(_parts(np.arange(self.reachable))[0])

    @property
    def enough(self) -> bool:
        """Whether there is something to train, select and score with."""
        return self.scored >= FEWEST and (not self.train or self.trained >= FEWEST)


def splits(counts: Counts, seed: int) -> list[Split]:
    """The networks of one seed."""
    rng = np.random.default_rng(seed)
    return [_with_training_showers(counts, rng)] if counts.train else _cross_fitted(counts, rng)


def _cross_fitted(counts: Counts, rng: np.random.Generator) -> list[Split]:
    """One order for both kinds: a pair of one incident energy stays in one part, so that its energy tells nothing."""
    n = min(counts.generated, counts.reference)
    order = rng.permutation(max(counts.generated, counts.reference))
    generated = _parts(order[order < counts.generated][:n])
    reference = _parts(order[order < counts.reference][:n])
    parts = [np.concatenate([a, counts.generated + b]) for a, b in zip(generated, reference, strict=True)]
    return [
        Split(np.concatenate([parts[(i + k) % _PARTS] for k in range(2, _PARTS)]), parts[(i + 1) % _PARTS], parts[i])
        for i in range(_PARTS if n < CROSS_FIT_BELOW else 1)
    ]


def _with_training_showers(counts: Counts, rng: np.random.Generator) -> Split:
    trained, scored = counts.trained, counts.scored
    generated, reference, train = (rng.permutation(n) for n in counts)
    seen = np.stack([generated[:trained], counts.generated + counts.reference + train[:trained]])
    fresh = np.concatenate([generated[trained : trained + scored], counts.generated + reference[:scored]])
    selecting = trained // _PARTS
    return Split(seen[:, selecting:].ravel(), seen[:, :selecting].ravel(), fresh)


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return np.array_split(rows, _PARTS)
