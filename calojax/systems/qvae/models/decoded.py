"""What a decoder says of showers, and what is read from it."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Decoded(NamedTuple):
    """hit_logits, energies: both (N, Z, A, R); energies are transformed ones, of cells that are hit."""

    hit_logits: Array
    energies: Array


def showers(decoded: Decoded, hits: Array, leak: Array | float = 0.0) -> Array:
    """Transformed showers u (N, Z, A, R): energies where there are hits (N, Z, A, R), 0 elsewhere.

    hits: the true ones in training, drawn ones in evaluation and generation, see `smoothing.sample`; leak: slope of
    energies below zero, above 0 in training alone.
    """
    return jnp.where(decoded.energies > 0, decoded.energies, leak * decoded.energies) * hits
