"""What is measured: the pyramid of experiments/pyramid/egs_ds2.toml, trained or fresh, and the energies asked of it."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from calojax import config as configuration
from calojax import data, experiments, preparation, training
from calojax import system as systems

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "pyramid" / "egs_ds2.toml"
STAGES = ("layers", "numbers", "rings", "counts", "cells", "energy_layers", "energy_rings", "energy_cells")


class Subject(NamedTuple):
    """system: its module."""

    system: Any
    config: Any
    model: Any
    manifest: Any


def load(run: str | None, precision: str = "float32", rows: int | None = None) -> Subject:
    """A trained run, or a fresh model of the experiment on the statistics of the sample that ships.

    Time depends on the number of hits, if not on the values of weights: a trained run is the better object. rows: read
    only so many of the sample, to be fast.
    """
    if run is not None:
        loaded = training.load(run)
        return Subject(
            loaded.system, set_to(loaded.config, "model", precision=precision), loaded.model, loaded.manifest
        )
    settings = [f"model.precision={precision}", *([f"data.rows={rows}"] if rows else [])]
    asked = experiments.read(EXPERIMENT, settings)
    system = systems.load(asked.system)
    with tempfile.TemporaryDirectory() as folder:
        manifest = preparation.prepare(asked.system, [data.sample(asked.system)], Path(folder) / "shards", asked.config)
    key = jax.random.key(0, impl="unsafe_rbg")  # compiles in a third of the time, and nobody trains from here
    model = jax.jit(lambda key: system.init(key, asked.config, manifest))(key)
    return Subject(system, asked.config, model, manifest)


def set_to(config: Any, table: str, **fields: Any) -> Any:
    """The configuration with other fields in one of its tables."""
    found = configuration.to_table(config)
    found[table] |= fields
    return configuration.build(type(config), found)


def energies(n: int) -> np.ndarray:
    """(n,) incident energies, MeV: log-uniform, 1 to 100 GeV, one in the middle of each of n equal parts, shuffled.

    Drawn ones would give 100 showers up to a fifth more hits than the spectrum has.
    """
    part = (np.random.default_rng(0).permutation(n) + 0.5) / n
    return (1e3 * 100.0**part).astype(np.float32)


class Tile(NamedTuple):
    """The function that draws one tile, traced but not compiled, with its arguments."""

    function: Any  # jitted
    args: tuple
    capacity: Any


def tile(measured: Subject, batch: int) -> Tile:
    """Of `batch` showers of `energies`, at the capacity that these suggest."""
    system, config, model, _ = measured
    config = set_to(config, "generation", tile=batch, window=batch)
    energy = energies(batch)
    capacities = system.capacities(config, model.constants)
    capacity = capacities[system.expected_capacity(config, model.constants, {"incident_energy": energy})]
    keys = jax.random.split(jax.random.key(1, impl="threefry2x32"), batch)
    draw = lambda model, energy, keys: system.generate(model, {"incident_energy": energy}, keys, config, capacity)
    return Tile(jax.jit(draw), (model, energy, keys), capacity)


def stage(files: Iterable[str]) -> str | None:
    """Which stage of the pyramid the files of a traceback belong to, innermost first; None for what is around them."""
    stages = [Path(file).stem for file in files if "pyramid/stages/" in file.replace("\\", "/")]
    return next((name for name in reversed(stages) if name in STAGES), None)
