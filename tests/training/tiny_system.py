"""The smallest system that uses everything the rooms offer: ragged data, two groups of parameters, noise, a state."""

from dataclasses import dataclass, field
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from calojax.generation.config import Generation
from calojax.shards import Field, Shards, Writer
from calojax.system import Loss, Model, Phase, Sparse, Update
from calojax.training.config import Training

N_CELLS = 12


@dataclass(frozen=True)
class Config:
    noise: Annotated[float, "spread of the noise in the loss"] = 0.1
    split: Annotated[bool, "two phases instead of one"] = False
    poison_step: Annotated[int, "the step whose gradient of `cells` is not finite; -1 for none"] = -1
    training: Annotated[Training, "training"] = field(default_factory=Training)
    generation: Annotated[Generation, "generation"] = field(default_factory=Generation)


class Geometry:
    """What shards and files ask of a geometry."""

    name, digest, n_cells = "tiny", "0" * 64, N_CELLS

    def to_json(self):
        return {"name": self.name, "cells": self.n_cells}


def write_shards(folder, rows=70, rows_per_shard=16, seed=3, energy_scale=1.0):
    random = np.random.default_rng(seed)
    energy = np.exp(random.uniform(0, 3, rows)).astype(np.float32) * energy_scale
    counts = random.integers(0, 6, rows)
    cells = {"index": random.integers(0, N_CELLS, counts.sum()), "energy": random.gamma(2.0, 1.0, counts.sum())}
    fields = {"incident_energy": Field("float32", (), "MeV"), "number": Field("int64")}
    groups = {"cells": {"index": Field("int32"), "energy": Field("float32", (), "MeV")}}
    with Writer(folder, fields=fields, groups=groups, rows_per_shard=rows_per_shard) as writer:
        writer.append({"incident_energy": energy, "number": np.arange(rows)}, {"cells": (counts, cells)})
        writer.finish(system="tiny", geometry=Geometry(), statistics={"mean_log": float(np.log(energy).mean())})
    return Shards(folder)


def constants(config, manifest):
    return {"mean_log": manifest.statistics["mean_log"], "cells": np.arange(N_CELLS, dtype=np.float32)}


def init(key, config, manifest):
    first, second = jax.random.split(key)
    params = {
        "cells": {"bias": jnp.zeros(2), "w": jax.random.normal(first, (2, 2))},
        "total": {"bias": jnp.zeros(2), "w": jax.random.normal(second, (1, 2))},
    }
    return Model(params, {"seen": jnp.zeros(())}, constants(config, manifest))


def phases(config):
    steps = config.training.steps
    if not config.split:
        return (Phase("all", steps, (Update("all", loss),)),)
    halves = (Update("cells", loss, trainable=("cells",)), Update("total", loss, trainable=("total",), every=2))
    return (Phase("cells", steps // 2, halves[:1]), Phase("both", steps - steps // 2, halves))


def buckets(config, manifest):
    tile = config.training.tile
    return {"cells": (3 * tile, 5 * tile)}


def loss(params, model, batch, key, config):
    """Gaussian likelihoods of the sum of a row and of its cells, weighted sums over the rows."""
    x = jnp.log(batch["incident_energy"]) - model.constants["mean_log"]  # (S, T)
    x = x + config.noise * jax.random.normal(key, x.shape)
    weight, row = batch["weight"], batch["cells.row"]
    rows = x.shape[1] + 1
    add = jax.vmap(lambda values, at: jnp.zeros(rows).at[at].add(values))
    summed = add(batch["cells.energy"], row)[:, :-1]
    total = _negative_log(jnp.log1p(summed), x[..., None] @ params["total"]["w"] + params["total"]["bias"])
    context = jnp.take_along_axis(jnp.pad(x, ((0, 0), (0, 1))), row, axis=1)
    features = jnp.stack([context, batch["cells.index"] / N_CELLS], axis=-1)
    each = _negative_log(jnp.log1p(batch["cells.energy"]), features @ params["cells"]["w"] + params["cells"]["bias"])
    cells = add(each, row)[:, :-1]
    poison = jnp.where(model.state["seen"] == config.poison_step, jnp.nan, 1.0)
    sums = {"total": (weight * total).sum(), "cells": (weight * cells).sum() * poison}
    return Loss(sums["total"] + sums["cells"], weight.sum(), {"seen": model.state["seen"] + 1}, sums)


def _negative_log(x, parameters):
    mean, log_spread = parameters[..., 0], parameters[..., 1]
    return 0.5 * ((x - mean) * jnp.exp(-log_spread)) ** 2 + log_spread


def capacities(config, constants):
    tile = config.generation.tile
    return (tile, 4 * tile, N_CELLS * tile)


def expected_capacity(config, constants, conditions):
    return 0 if np.mean(conditions["incident_energy"]) < 5 else 1


def generate(model, conditions, keys, config, capacity):
    """1 to V hits, more at higher energy, in random cells; an energy of 7 MeV gives a NaN."""
    energy = conditions["incident_energy"]
    tile = len(energy)
    uniform = jax.vmap(lambda k: jax.random.uniform(k, (N_CELLS + 1,)))(keys)
    count = jnp.clip((energy * (0.3 + uniform[:, 0])).astype(jnp.int32) // 2, 1, N_CELLS)
    rank = jnp.argsort(uniform[:, 1:], axis=1)  # (T, V) cells in random order
    hit = jnp.arange(N_CELLS)[None] < count[:, None]
    value = energy[:, None] * jnp.sort(uniform[:, 1:], axis=1) + model.params["total"]["bias"][0]
    value = jnp.where(energy[:, None] == 7.0, jnp.nan, value)
    place = jnp.where(hit, (jnp.cumsum(hit.ravel()) - 1).reshape(tile, N_CELLS), capacity)
    index = jnp.zeros(capacity, jnp.int32).at[place].set(rank, mode="drop")
    found = jnp.zeros(capacity).at[place].set(value, mode="drop")
    return Sparse(index, found, count, count.sum() > capacity)
