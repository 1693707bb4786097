"""What a shower of the qvae costs, from its energy to its voxels, and how much of it the prior and the decoder have.

The model of experiments/qvae/atlas.toml, fresh on the statistics of the sample that ships: chains and networks take the
same time whatever their parameters are. Energies are log-uniform from 256 MeV to 65 GeV.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine, measuring, subject
from benchmarks.running import Options
from calojax import data, experiments, generation, geometry, preparation
from calojax.generation import sizes
from calojax.systems.qvae import latent, showers, system

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "qvae" / "atlas.toml"
BATCHES = (1, 100, 10_000)
SWEEPS = (500, 3_000)
MANY = 1_000  # from here on a request is made less often
_RANGE = (256.0, 65_000.0)  # MeV


def run(options: Options) -> dict[str, Any]:
    """Rows of ms per shower: batch=N/sweeps=S through the engine, and prior alone; batch=N/decoder alone."""
    config, model, manifest = _fresh(200 if options.short else None)
    results = {}
    for batch in BATCHES[:1] if options.short else BATCHES:
        results |= _of_batch(config, model, manifest, batch, options)
    return {"results": results, "left_out": {}}


def _fresh(rows: int | None) -> tuple[Any, Any, Any]:
    asked = experiments.read(EXPERIMENT, [f"data.rows={rows}"] if rows else [])
    with tempfile.TemporaryDirectory() as folder:
        manifest = preparation.prepare("qvae", [data.sample("qvae")], Path(folder) / "shards", asked.config)
    key = jax.random.key(0, impl="unsafe_rbg")  # compiles faster, and nobody trains from here
    return asked.config, jax.jit(lambda key: system.init(key, asked.config, manifest))(key), manifest


def _of_batch(config, model, manifest, batch: int, options: Options) -> dict[str, Any]:
    cells = geometry.from_json(manifest.geometry).n_cells
    energy = np.geomspace(*_RANGE, batch + 2, dtype=np.float32)[1:-1]
    tile = energy[: sizes.suited(config.generation, batch, jax.default_backend()).tile]
    sweeps = SWEEPS[:1] if options.short else SWEEPS
    calls = {"ceiling": machine.product("float32")[0], "decoder": _decoder(config, model, tile)}
    for count in sweeps:
        calls[f"prior, {count} sweeps"] = _prior(config, model, tile, count)
        calls[f"sweeps={count}"] = partial(_shower, config, model, energy, count, cells)
    rounds = options.rounds if batch < MANY else min(options.rounds, 3)
    timings = measuring.measured(calls, rounds, options.seconds)
    ceiling = timings.pop("ceiling"), machine.FLOP
    rows = {}
    for name, timing in timings.items():
        showers_of_call = batch if name.startswith("sweeps=") else len(tile)
        factor, size = 1e3 / showers_of_call, {"showers": showers_of_call}
        rows[f"batch={batch}/{name}"] = measuring.timed(
            timing, options.place, "ms per shower", factor, ceiling=ceiling, size=size
        )
    return rows


def _shower(config, model, energy, sweeps: int, cells: int) -> np.ndarray:
    """Through the engine, dense and in memory; raises if they are worth nothing."""
    asked = subject.set_to(config, "generation", sweeps=sweeps)
    sink = generation.Arrays(cells)
    devices = jax.local_devices()[:1]
    drawn = generation.run(
        system, model, asked, {"incident_energy": energy}, 1, sink, devices=devices, progress=False
    ).showers
    if not (np.isfinite(drawn).all() and (drawn >= 0).all() and drawn.any()):
        raise ValueError("showers are empty, negative or not finite")
    return drawn


def _prior(config, model, energy, sweeps: int):
    """Bits of a tile of showers."""
    keys = jax.random.split(jax.random.key(1), len(energy))

    @jax.jit
    def draw(model, energy, keys):
        _, bits = showers.conditions(energy, config.model.nodes, model.constants)
        return latent.prior(model.params, bits, keys, sweeps, model.constants)

    return lambda: draw(model, jnp.asarray(energy), keys)


def _decoder(config, model, energy):
    """From bits of a tile of showers to hit logits and energies."""
    bits = jax.random.bernoulli(jax.random.key(2), 0.5, (len(energy), latent.PARTITIONS, config.model.nodes)).astype(
        jnp.float32
    )

    @jax.jit
    def decode(model, energy, bits):
        channel, _ = showers.conditions(energy, config.model.nodes, model.constants)
        return showers.decode(model.params, bits, channel, config, model.constants)

    return lambda: decode(model, jnp.asarray(energy), bits)
