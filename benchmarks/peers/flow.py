"""The coupling flow that all libraries build, and the numbers that all of them are trained with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import measuring

LEARNING_RATE = 1e-3
STEPS = 5  # whose losses are compared


@dataclass(frozen=True)
class Shape:
    """Splines of `bins` bins within +-bound and linear tails; dims is even: a half of them moves in each coupling.

    The conditioner has two hidden layers and sees the other half and the context.
    """

    dims: int
    context: int
    couplings: int
    hidden: int
    bins: int
    bound: float


def data(shape: Shape, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, dims) and (n, context) float32: normal, what is learned following its context; the same in all libraries."""
    drawn = np.random.default_rng(0).standard_normal((n, shape.dims + shape.context)).astype(np.float32)
    context = drawn[:, shape.dims :]
    return 0.5 * (drawn[:, : shape.dims] + context[:, : shape.dims]), context


def clocked(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Medians of calls for about `seconds`, one at least."""
    wall, cpu = measuring.turn(call, seconds)
    return {"wall": wall, "cpu": cpu}
