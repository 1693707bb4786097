"""A detector of four unlike layers and a few showers in it, small enough for a test to compile the whole pyramid."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax import geometry, shards
from calojax.geometry import Cylinder, Layer
from calojax.shards import Batches, Position, Shards
from calojax.systems.pyramid import coarse, preparation, statistics, system
from calojax.systems.pyramid.config import Config, Data, Model
from calojax.training.config import Training

SHOWERS = 24


@pytest.fixture(scope="session")
def detector() -> Cylinder:
    """Layers of 3 x 4, 3 x 4, 2 x 8 and 2 x 1 cells."""
    shapes = (((0, 5, 10, 20), 4), ((0, 5, 10, 20), 4), ((0, 8, 20), 8), ((0, 10, 20), 1))
    layers = tuple(
        Layer(i, tuple(float(e) for e in edges), n, 10.0 * i, 10.0 * i + 10) for i, (edges, n) in enumerate(shapes)
    )
    return Cylinder("four-layers", layers, 0.5)


@pytest.fixture(scope="session")
def events(detector):
    """Incident energies (N,) and showers (N, V): exponential deposits, half the cells empty, one shower empty."""
    draw = np.random.default_rng(3)
    energy = np.exp(draw.uniform(np.log(1e3), np.log(1e5), SHOWERS))
    cells = draw.exponential(1.0, (SHOWERS, detector.n_cells)) * (draw.random((SHOWERS, detector.n_cells)) < 0.5)
    cells[:, 0] += 1.0
    cells[5] = 0
    showers = cells / cells.sum(1).clip(1e-9)[:, None] * energy[:, None]
    return energy, np.where(showers >= detector.threshold, showers, 0).astype(np.float32)


@pytest.fixture(scope="session")
def prepared(detector, events, tmp_path_factory) -> Shards:
    """The showers as shards, made by the pyramid's own parts."""
    out = tmp_path_factory.mktemp("shards") / "four"
    with shards.Writer(out, fields=preparation.FIELDS, groups=preparation.GROUPS) as writer:
        found = statistics.hits(events[1], detector.threshold)
        writer.append({"incident_energy": events[0]}, preparation.groups(found, SHOWERS, coarse.tree(detector)))
        gathered = statistics.gather(writer.shards(), detector, detector.threshold)
        writer.finish(
            system="pyramid", geometry=detector, statistics={"threshold": detector.threshold}, tables=gathered.arrays()
        )
    return Shards(out)


@pytest.fixture(scope="session", params=["gumbel-mixture", "rqs"])
def small(request, prepared):
    """(config, model) of a tiny pyramid whose parameters have been shaken."""
    config = Config(
        data=Data(),
        model=Model(coupling=request.param, hidden=6, cell_hidden=6, couplings=2, bins=2, pooled=4),
        training=Training(batch=SHOWERS, tile=SHOWERS),
    )
    config = dataclasses.replace(config, generation=dataclasses.replace(config.generation, tile=8, window=8))

    @jax.jit
    def shaken():
        params = system.init(jax.random.key(0), config, prepared.manifest).params
        return jax.tree.map(lambda a: a + 0.1 * jax.random.normal(jax.random.key(a.size), a.shape), params)

    known = jax.tree.map(jnp.asarray, system.constants(config, prepared.manifest))
    return config, system.Model(shaken(), {}, known)


@pytest.fixture(scope="session")
def batch(prepared, small):
    """All showers as one tile."""
    config = small[0]
    rows = Batches(prepared, SHOWERS, SHOWERS, None, system.buckets(config, prepared.manifest), shuffle=False)
    return jax.tree.map(jnp.asarray, rows.at(Position()))


@pytest.fixture(scope="session")
def ds2() -> Cylinder:
    return geometry.load("ds2")
