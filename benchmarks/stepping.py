"""Training as `calojax train` does it, step by step and without a folder: the same loader, the same jitted step."""

import time
from typing import Any

import jax
import numpy as np

from calojax.shards import Loader, Shards
from calojax.system import Model, Phase
from calojax.training import folder, step


class Trainer:
    """The first phase of a system from its beginning; a context manager. trace_s, compile_s: seconds its step took.

    Every call of `advance` does a step and returns its values, on the devices. function and arguments: the jitted step
    and what it is called with first; compiled: the program that it has become.
    """

    def __init__(self, system: Any, config: Any, shards: Shards):
        training, phase = config.training, system.phases(config)[0]
        assert isinstance(phase, Phase)
        place = step.placement(training.batch // training.tile)
        make = lambda: folder.initial(system, config, shards.manifest)
        params, state = jax.jit(make, out_shardings=place.everywhere)()
        begin = lambda params, state: step.begin(phase, params, params, state, 0, training)
        self.state = jax.jit(begin, out_shardings=place.everywhere)(params, state)
        self._model = Model(None, None, place.model(system.constants(config, shards.manifest)))
        self.loader = Loader(
            shards,
            batch=training.batch,
            tile=training.tile,
            buckets=system.buckets(config, shards.manifest),
            seed=training.seed,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            place=place.batch,
        )
        self.devices = place.everywhere.num_devices
        key = step.purpose_key(training.seed, step.TRAINING)
        self.function = step.make_step(phase, self.state.params, config, place, key)
        self._first = next(self.loader)
        began = time.perf_counter()
        lowered = self.function.lower(*self.arguments)
        self.trace_s, began = time.perf_counter() - began, time.perf_counter()
        self.compiled = lowered.compile()
        self.compile_s = time.perf_counter() - began

    @property
    def arguments(self) -> tuple[step.TrainState, Model, dict[str, jax.Array]]:
        """What a step takes, with the first batch."""
        return self.state, self._model, self._first

    def advance(self) -> dict[str, jax.Array]:
        """One step with the next batch; the values that `calojax train` logs."""
        self.state, values = self.compiled(self.state, self._model, next(self.loader))
        return values

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *error) -> None:
        self.loader.close()


def checked(losses: Any) -> list[float]:
    """The losses of steps as numbers; raises if one is not finite."""
    found = [float(loss) for loss in losses]
    if not np.isfinite(found).all():
        raise ValueError(f"the losses are {found}")
    return found
