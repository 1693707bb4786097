"""A step of the prior on one device and on two: `python on_two_devices.py SHARDS OUT.npz`."""

import sys

import jax
import numpy as np

from calojax.nn.boltzmann import machine
from calojax.shards import Batches, Position, Shards
from calojax.systems.qvae import system
from calojax.systems.qvae.config import Config, Prior
from calojax.systems.qvae.models.config import Model
from calojax.training import step
from calojax.training.config import Training


def one_step(shards: Shards, couplings: str, devices: int) -> dict[str, np.ndarray]:
    """Chains and values of a step, its program, and on how many devices its batch is."""
    config = Config(
        model=Model(nodes=40, width=1 / 64),
        prior=Prior(couplings=couplings, chains=36, sweeps=4, steps=1),
        training=Training(steps=1, batch=24, tile=6, validation_rows=0),
    )
    count, jax.device_count = jax.device_count, lambda: devices
    try:
        phase = system.phases(config)[-1]
        place, buckets = step.placement(4), system.buckets(config, shards.manifest)
        model = jax.jit(lambda: system.init(jax.random.key(0), config, shards.manifest))()
        model.params["prior"] = machine.init(jax.random.key(2), 40, spread=0.3, mask=model.constants.mask)
        model = place.model(model)
        advance = step.make_step(phase, model.params, config, place, jax.random.key(1))
        state = place.model(step.begin(phase, model.params, model.params, model.state, 0, config.training))
        batch = place.batch(Batches(shards, 24, 6, None, buckets, shuffle=False).at(Position()))
        program = advance.lower(state, model, batch).compile()
        found = {"placed": np.array(len(batch["weight"].sharding.device_set)), "program": np.array(program.as_text())}
        state, values = program(state, model, batch)
        named = {name: np.array(value) for name, value in values.items()}
        return found | {"chains": np.array(state.state["chains"])} | named
    finally:
        jax.device_count = count


if __name__ == "__main__":
    shards = Shards(sys.argv[1])
    found = {
        f"{couplings} {devices} {name}": array
        for couplings in ("zephyr", "full")
        for devices in (1, 2)
        for name, array in one_step(shards, couplings, devices).items()
    }
    np.savez(sys.argv[2], **found)
