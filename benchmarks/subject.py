"""What is measured: the pyramid of experiments/pyramid/egs_ds2.toml, trained or fresh, and the energies asked of it."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from calojax import config as configuration
from calojax import data, experiments, training, verbs
from calojax import system as systems

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "pyramid" / "egs_ds2.toml"


class Subject(NamedTuple):
    """system: its module."""

    system: Any
    config: Any
    model: Any
    manifest: Any


def load(run: str | None, precision: str = "float32") -> Subject:
    """A trained run, or a fresh model of the experiment on the statistics of the sample that ships.

    Time depends on the number of hits, if not on the values of weights: a trained run is the better object.
    """
    if run is not None:
        loaded = training.load(run)
        return Subject(
            loaded.system, set_to(loaded.config, "model", precision=precision), loaded.model, loaded.manifest
        )
    asked = experiments.read(EXPERIMENT, [f"model.precision={precision}"])
    system = systems.load(asked.system)
    with tempfile.TemporaryDirectory() as folder:
        manifest = verbs.prepare(asked.system, data.sample(asked.system), Path(folder) / "shards")
    model = jax.jit(lambda key: system.init(key, asked.config, manifest))(jax.random.key(0))
    return Subject(system, asked.config, model, manifest)


def set_to(config: Any, table: str, **fields: Any) -> Any:
    """The configuration with other fields in one of its tables."""
    found = configuration.to_table(config)
    found[table] |= fields
    return configuration.build(type(config), found)


def energies(n: int) -> np.ndarray:
    """(n,) incident energies, MeV: log-uniform, 1 to 100 GeV; a single one is 10 GeV."""
    drawn = np.exp(np.random.default_rng(0).uniform(np.log(1e3), np.log(1e5), n)) if n > 1 else np.array([1e4])
    return drawn.astype(np.float32)
