"""A run of the tiny system that is watched: where its arrays live, which rows it sees, what its state comes to.

As a program, `python watched_run.py SHARDS FOLDER`: the runs that need eight devices.
"""

import itertools
import json
import os
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import tiny_system as tiny
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from calojax import generation, system, training
from calojax.generation import Generation
from calojax.shards import Shards
from calojax.system import Model
from calojax.training import Training, step

TRAINING = Training(
    steps=21,
    batch=16,
    tile=2,
    learning_rate=0.02,
    warmup_steps=5,
    validation_rows=20,
    evaluate_every=10,
    checkpoint_every=10,
    log_every=4,
)
CONFIG = tiny.Config(training=TRAINING, generation=Generation(tile=4, window=16))


@dataclass
class Watched:
    """devices: that held the batches; arrays: all that a step takes or gives, by name; misplaced: those of them that
    are not where they should be; rows: numbers of the rows of each step, of this process; state: the last one."""

    devices: int = 0
    arrays: set[str] = field(default_factory=set)
    misplaced: set[str] = field(default_factory=set)
    rows: list[list[int]] = field(default_factory=list)
    state: dict[str, np.ndarray] = field(default_factory=dict)


def train(config: tiny.Config, shards: Shards | str, out: Path, devices: int, *, resume: bool = False) -> Watched:
    """The run on so many of the devices at most."""
    seen = Watched()
    make_step = step.make_step

    def watched(*arguments):
        advance = make_step(*arguments)

        def watched_step(state, model, batch):
            _look(seen, state, model, batch)
            state, values = advance(state, model, batch)
            _look(seen, state, model, batch)
            seen.rows.append(_rows(batch))
            seen.state = {name: np.array(leaf) for name, leaf in _named(state)}
            return state, values

        watched_step.lower = lambda *arguments: SimpleNamespace(compile=lambda: watched_step)  # as the loop asks for it
        return watched_step

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(system.TABLE, "tiny", "tiny_system")
        patch.setattr(step, "make_step", watched)
        if devices < jax.device_count():
            patch.setattr(jax, "device_count", lambda: devices)
        training.run(tiny, config, shards, out, resume=resume, progress=False)
    return seen


def _look(seen: Watched, state, model, batch) -> None:
    """The batch split over the axis `data`, everything else whole on every device."""
    seen.devices = len(batch["weight"].sharding.device_set)
    mesh = Mesh(np.array(jax.devices()[: seen.devices]), ("data",))
    whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    for trees, wanted in (((state, model.constants), whole), ((batch,), split)):
        for name, leaf in (named for tree in trees for named in _named(tree)):
            seen.arrays.add(name)
            if not leaf.sharding.is_equivalent_to(wanted, leaf.ndim):
                seen.misplaced.add(name)


def _named(tree) -> list[tuple[str, jax.Array]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _rows(batch) -> list[int]:
    """Numbers of the rows of weight 1 on the devices of this process."""
    pairs = zip(batch["number"].addressable_shards, batch["weight"].addressable_shards, strict=True)
    return [int(n) for number, weight in pairs for n in np.array(number.data)[np.array(weight.data) > 0]]


def epochs(rows: list[list[int]], steps: int) -> list[list[int]]:
    """The rows of each epoch of so many steps, sorted."""
    return [sorted(itertools.chain(*rows[first : first + steps])) for first in range(0, len(rows), steps)]


def generate(devices: int) -> dict[str, Any]:
    """Showers of all sizes on so many devices, in tiles of 1, 5 and 25."""
    energy = np.random.default_rng(0).uniform(1.0, 20.0, 45).astype(np.float32)
    model = Model({"total": {"bias": np.zeros(2, np.float32)}}, {}, {})
    config, some = replace(CONFIG, generation=Generation(tile=25, window=25)), jax.devices()[:devices]
    found = {}
    for n in (2, 12, 45):
        sink, asked = generation.Arrays(tiny.N_CELLS, sparse=True), {"incident_energy": energy[:n]}
        made = generation.run(tiny, model, config, asked, 0, sink, devices=some, progress=False)
        found |= {f"{n} {name}": np.array(leaf).tobytes().hex() for name, leaf in _named(made)}
    return found


def main(shards: str, folder: Path) -> None:
    found = {}
    for name, devices in (("eight", 8), ("three", 3)):
        seen = train(CONFIG, shards, folder / name, devices)
        np.savez(folder / f"{name}.npz", **seen.state)
        seen.state = {}
        found[name] = asdict(seen)
    found["showers"] = defaultdict(list)
    for devices in (1, 3, 8):
        found["showers"][json.dumps(generate(devices))].append(devices)
    (folder / "found.json").write_text(json.dumps(found, default=sorted))


if __name__ == "__main__":
    assert "device_count=8" in os.environ["XLA_FLAGS"]
    main(sys.argv[1], Path(sys.argv[2]))
