"""The pyramid of the largest data set: built and traced, but not compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax import geometry
from calojax.generation import Generation
from calojax.shards import Manifest
from calojax.systems.pyramid import preparation, statistics, system
from calojax.systems.pyramid.config import Config, Data, Model


def manifest(name):
    """Of eight showers with one cell in twenty hit."""
    cylinder = geometry.load(name)
    hit = np.random.default_rng(0).random((8, cylinder.n_cells)) < 0.05
    gathered = statistics.Statistics(cylinder, cylinder.threshold)
    gathered.add(np.geomspace(1e3, 1e6, 8), statistics.hits(hit.astype(np.float32), cylinder.threshold))
    return Manifest(
        "pyramid",
        8,
        preparation.FIELDS,
        preparation.GROUPS,
        geometry=cylinder.to_json(),
        statistics={"threshold": cylinder.threshold},
        tables=gathered.arrays(),
    )


def programs(name, coupling):
    """Text of the loss and of a draw, default sizes."""
    config = Config(data=Data(geometry=name), model=Model(coupling=coupling), generation=Generation(tile=25))
    known = manifest(name)
    model = jax.eval_shape(lambda: system.init(jax.random.key(0), config, known))
    of = lambda dtype, *shape: jax.ShapeDtypeStruct(shape, dtype)
    tile, most = config.training.tile, {group: sizes[0] for group, sizes in system.buckets(config, known).items()}
    batch = {
        "incident_energy": of(jnp.float32, 1, tile),
        "weight": of(jnp.float32, 1, tile),
        "ring.row": of(jnp.int32, 1, most["ring"]),
        "ring.index": of(jnp.int32, 1, most["ring"]),
        "hit.row": of(jnp.int32, 1, most["hit"]),
        "hit.cell": of(jnp.int32, 1, most["hit"]),
        "hit.energy": of(jnp.float32, 1, most["hit"]),
    }
    key = jax.random.key(0)
    yield jax.make_jaxpr(lambda m, batch: system.loss(m.params, m, batch, key, config))(model, batch)
    showers, capacity = config.generation.tile, system.capacities(config, system.constants(config, known))[-1]
    conditions, keys = {"incident_energy": of(jnp.float32, showers)}, jax.random.split(key, showers)
    yield jax.make_jaxpr(lambda m, c, keys: system.generate(m, c, keys, config, capacity))(model, conditions, keys)


@pytest.mark.parametrize("coupling", ["gumbel-mixture", "rqs"])
def test_a_larger_detector_is_not_a_longer_program(coupling):
    """Six times the cells; rings of 50 cells are four words of bits, those of 16 one."""
    for small, large in zip(programs("ds2", coupling), programs("ds3", coupling), strict=True):
        assert len(str(large)) < 2 * len(str(small))
