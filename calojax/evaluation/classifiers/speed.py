"""How long a classifier will take on this machine, from a few of its steps."""

import time
from typing import Any

import numpy as np

from calojax.evaluation.classifiers import inputs, training

_STEPS = 2


def seconds(flop: float, kind: str, geometry: Any) -> float:
    """Expected seconds for so many FLOP (`Work.flop - Work.saved`) of a kind of classifier, compiling left out.

    Measured by training steps on random rows, so it takes the time of three of them and of a compilation.
    """
    if flop == 0:
        return 0.0
    network = inputs.network(kind, geometry, np.float32)
    machine = training.machine(network)
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(training.BATCH, inputs.width(kind, geometry))).astype(np.float32)
    labels = (np.arange(len(x)) % 2).astype(np.float32)
    state, loss = machine.step(machine.begin(0), x, labels)
    loss.block_until_ready()
    began = time.perf_counter()
    for _ in range(_STEPS):
        state, loss = machine.step(state, x, labels)
    loss.block_until_ready()
    return flop * (time.perf_counter() - began) / (_STEPS * 3 * network.flop * len(x))
