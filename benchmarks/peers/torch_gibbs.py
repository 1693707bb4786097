"""Block Gibbs sampling as a plain loop on PyTorch: a product for each pair of partitions, sigmoid, `bernoulli`."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import boltzmann
from benchmarks.peers.flow import clocked

torch.set_num_threads(1)
torch.set_num_interop_threads(1)


class Gibbs:
    """Partition 0 is held; what is not coupled has weight 0."""

    packages = ("torch", "numpy")

    def make(self, n: int, mask: str | None) -> dict[str, Any]:
        """mask: a file with (6, n, n) bool, None for all couplings."""
        torch.manual_seed(0)
        weights, biases = boltzmann.machine(n)
        if mask:
            weights = weights * np.load(mask)
        self.n, self.biases = n, torch.from_numpy(biases)
        self.weights = {pair: torch.from_numpy(block) for pair, block in zip(boltzmann.PAIRS, weights, strict=True)}
        return {"couplings": int(np.count_nonzero(weights))}

    def mean(self, chains: int, sweeps: int) -> dict[str, float]:
        """Share of nodes that are 1 in the partitions that are drawn."""
        return {"mean": float(torch.stack(self._swept(chains, sweeps)[1:]).mean())}

    def sampling(self, chains: int, sweeps: int, seconds: float) -> dict[str, float]:
        return clocked(lambda: self._swept(chains, sweeps), seconds)

    def _swept(self, chains: int, sweeps: int) -> list[Tensor]:
        state = list(torch.from_numpy(boltzmann.start(chains, self.n)).unbind(1))
        with torch.inference_mode():
            for _ in range(sweeps):
                for p in (1, 2, 3):
                    state[p] = torch.bernoulli(torch.sigmoid(self._field(state, p)))
        return state

    def _field(self, state: list[Tensor], p: int) -> Tensor:
        field = self.biases[p]
        for q in range(4):
            if q < p:
                field = field + state[q] @ self.weights[q, p]
            elif q > p:
                field = field + state[q] @ self.weights[p, q].T
        return field
