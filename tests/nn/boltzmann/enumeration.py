"""Small machines by enumeration of all states, in numpy and float64, written apart from what is tested."""

import itertools

import numpy as np


class Exact:
    """Every state of a machine with its probability; bits (n,): partition 0 is given."""

    def __init__(self, params, bits=None):
        weights, biases = (np.asarray(part, np.float64) for part in params)
        n = biases.shape[1]
        free = 4 * n if bits is None else 3 * n
        states = np.array(list(itertools.product((0.0, 1.0), repeat=free)))
        if bits is not None:
            states = np.concatenate([np.broadcast_to(bits, (len(states), n)), states], 1)
        self.states = states.reshape(-1, 4, n)
        self.energies = self._energies(weights, biases, n)
        least = self.energies.min()
        self.log_z = -least + np.log(np.sum(np.exp(least - self.energies)))
        self.p = np.exp(-self.energies - self.log_z)

    def _energies(self, weights, biases, n):
        """One symmetric matrix over all 4 n nodes."""
        whole = np.zeros((4 * n, 4 * n))
        pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
        for (i, j), block in zip(pairs, weights, strict=True):
            whole[i * n : (i + 1) * n, j * n : (j + 1) * n] = block
        flat = self.states.reshape(len(self.states), -1)
        return -flat @ biases.ravel() - np.einsum("si,ij,sj->s", flat, whole, flat)

    def mean(self, values):
        return np.tensordot(self.p, values, 1)
