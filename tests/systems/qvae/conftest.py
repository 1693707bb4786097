"""A detector of three alike layers and showers in it, prepared, with a model small enough for a test to compile."""

import dataclasses

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.geometry import Cylinder, Layer
from calojax.geometry import cylinder as cylinders
from calojax.shards import Batches, Position, Shards
from calojax.systems.qvae import preparation, system
from calojax.systems.qvae.config import Config, Data, Generation, Prior
from calojax.systems.qvae.models.config import Model
from calojax.training.config import Training
from tests.voxel_files import grow

__all__ = ["grow"]

SHOWERS, NODES = 24, 40


@pytest.fixture(scope="session")
def detector() -> Cylinder:
    """3 layers of 8 sectors and 6 rings."""
    edges = tuple(5.0 * ring for ring in range(7))
    return Cylinder("three-layers", tuple(Layer(i, edges, 8, 10.0 * i, 10.0 * i + 10) for i in range(3)), 0.01)


@pytest.fixture(scope="session")
def events(detector):
    """Incident energies (N,) and showers (N, V): a third of the cells hit, one shower empty."""
    draw = np.random.default_rng(3)
    energy = np.exp(draw.uniform(np.log(1e3), np.log(1e5), SHOWERS)).astype(np.float32)
    cells = draw.exponential(1.0, (SHOWERS, detector.n_cells)) * (draw.random((SHOWERS, detector.n_cells)) < 0.3)
    cells[:, 0] += 1.0
    cells[5] = 0
    return energy, (cells / cells.sum(1).clip(1e-9)[:, None] * energy[:, None]).astype(np.float32)


@pytest.fixture(scope="session")
def file(detector, events, tmp_path_factory):
    """The showers in the layout of the CaloChallenge."""
    path = tmp_path_factory.mktemp("events") / "showers.hdf5"
    with h5py.File(path, "w") as out:
        out["incident_energies"], out["showers"] = events[0][:, None], events[1]
    return path


@pytest.fixture(scope="session")
def prepared(detector, file, tmp_path_factory) -> Shards:
    """The shards of the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "detector", lambda sources, data: detector)
        preparation.prepare([file], out := tmp_path_factory.mktemp("shards") / "three", Data(geometry="three-layers"))
    assert cylinders.from_json(Shards(out).manifest.geometry) == detector
    return Shards(out)


@pytest.fixture(scope="session")
def small() -> Config:
    """The narrowest networks, 40 nodes a partition."""
    return Config(
        model=Model(nodes=NODES, width=1 / 64),
        prior=Prior(chains=16, sweeps=3, steps=4),
        training=Training(steps=6, batch=SHOWERS, tile=8, validation_rows=0),
        generation=Generation(tile=4, window=4, sweeps=5),
    )


@pytest.fixture(scope="session")
def model(prepared, small):
    """Fresh, but for a prior with couplings and energies that fluctuate."""
    made = jax.jit(lambda: system.init(jax.random.key(0), small, prepared.manifest))()
    prior = made.params["prior"]
    shaken = prior._replace(weights=prior.weights + 0.3 * jax.random.normal(jax.random.key(1), prior.weights.shape))
    return made._replace(params=made.params | {"prior": shaken, "dispersion": made.params["dispersion"] + 20.0})


@pytest.fixture(scope="session")
def batch(prepared, small):
    """All showers, as tiles of 8."""
    rows = Batches(prepared, SHOWERS, 8, None, system.buckets(small, prepared.manifest), shuffle=False)
    return jax.tree.map(jnp.asarray, rows.at(Position()))


@pytest.fixture
def changed(small):
    """The small configuration with fields of a table replaced: changed("losses", entropy=1.0)."""
    return lambda table, **fields: dataclasses.replace(
        small, **{table: dataclasses.replace(getattr(small, table), **fields)}
    )
