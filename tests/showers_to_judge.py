"""A toy calorimeter with real correlations, and its showers judged once."""

import numpy as np
import pytest

from calojax import evaluation
from calojax.geometry import Cylinder, Layer


@pytest.fixture(scope="session")
def toy():
    """A cylinder of 5 layers, 4 rings and 6 alpha bins."""
    edges = (0.0, 5.0, 10.0, 20.0, 40.0)
    return Cylinder("toy", tuple(Layer(i, edges, 6, 10.0 * i, 10.0 * i + 10) for i in range(5)), 0.1)


@pytest.fixture(scope="session")
def draw(toy):
    """(incident_energy (n,), showers (n, V)) of the toy: log-uniform from 1 to 100 GeV, neighbours hit together."""

    def make(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        incident = np.exp(rng.uniform(np.log(1e3), np.log(1e5), n))
        field = rng.normal(size=(n, 5, 6, 4))
        for axis, back in ((1, 1), (2, 1), (3, 1)):
            field = field + np.roll(field, back, axis)
        depth = rng.normal(size=(n, 1, 1, 1))
        level = np.log(incident / 1e4)[:, None, None, None] / 2 - np.arange(4) / 2 + 0.3 * depth
        energy = np.where(field / np.sqrt(8) + level > 0, rng.exponential(size=field.shape) + 0.05, 0.0)
        total = energy.sum(axis=(1, 2, 3), keepdims=True)
        response = 1 + rng.normal(size=n) * np.sqrt(10 / incident)
        showers = energy / np.maximum(total, 1e-9) * (incident * response)[:, None, None, None]
        return incident, showers.reshape(n, -1).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def judged(toy, draw):
    """An honest generator judged with training showers, 800 showers each."""
    return evaluation.judge(draw(800, 1), draw(800, 2), toy, train=draw(800, 3), level="quick", progress=False)
