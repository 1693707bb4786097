"""The Boltzmann machine that all draw from, made of the same numbers."""

import numpy as np

PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_SPREAD = 0.02  # of the weights: chains of a full machine move


def machine(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (6, n, n), blocks of PAIRS, and biases (4, n), float32."""
    rng = np.random.default_rng(0)
    weights = _SPREAD * rng.standard_normal((len(PAIRS), n, n), np.float32)
    return weights, rng.standard_normal((4, n), np.float32)


def start(chains: int, n: int) -> np.ndarray:
    """(chains, 4, n) float32, 0 or 1 at random."""
    return np.random.default_rng(1).integers(0, 2, (chains, 4, n)).astype(np.float32)
