"""Milliseconds per complete shower on one CPU thread, beside the matrix products that the same core gives.

    python -m benchmarks [RUN] [--repeats N] [--out FILE]

Without RUN: a fresh model of experiments/pyramid/egs_ds2.toml on the statistics of the sample; time does not depend on
the values of the weights, but it does on the number of hits, so a trained run is the better object.
"""

import argparse
import itertools
import json
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np

from calojax import __version__, data, experiments, generation, geometry, training, verbs
from calojax import config as configuration
from calojax.systems.pyramid import system

REPEATS = 30
TO_FILE = (100, 300)  # batch, and showers of a request that is written
EXPERIMENT = Path(__file__).parents[1] / "experiments" / "pyramid" / "egs_ds2.toml"


def timed(call, repeats: int) -> list[float]:
    """Seconds of each call, after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def ceiling() -> float:
    """GFLOP/s of a float32 product of 64 x 64 and 64 x 2048, the shapes that the pyramid multiplies."""
    a, b = jnp.ones((64, 64)), jnp.ones((64, 2048))
    product = jax.jit(lambda a, b: a @ b)
    return 2 * 64 * 64 * 2048 / min(timed(lambda: product(a, b), REPEATS)) / 1e9


def subject(run: str | None):
    """(config, model, manifest): of a run, or a fresh one."""
    if run is not None:
        loaded = training.load(run)
        return loaded.config, loaded.model, loaded.manifest
    with tempfile.TemporaryDirectory() as folder:
        manifest = verbs.prepare("pyramid", data.sample("pyramid"), Path(folder) / "shards")
        config = experiments.read(EXPERIMENT).config
        return config, jax.jit(lambda key: system.init(key, config, manifest))(jax.random.key(0)), manifest


def energies(n: int) -> np.ndarray:
    """Log-uniform, 1 to 100 GeV; a single one is 10 GeV."""
    drawn = np.exp(np.random.default_rng(0).uniform(np.log(1e3), np.log(1e5), n)) if n > 1 else np.array([1e4])
    return drawn.astype(np.float32)


def tiled(config, batch: int):
    """The configuration with tiles of `batch` showers, in the order of the request."""
    table = configuration.to_table(config)
    table["generation"] |= {"tile": batch, "window": batch}
    return configuration.build(type(config), table)


def per_shower(seconds: list[float], n: int) -> dict[str, float]:
    times = 1e3 * np.asarray(seconds) / n
    return {"ms_per_shower_median": float(np.median(times)), "ms_per_shower_least": float(times.min())}


def sampling(config, model, batch: int, repeats: int) -> dict:
    """From energies to sparse showers of one tile, by the jitted function alone; seconds to compile each capacity."""
    config, energy = tiled(config, batch), energies(batch)
    capacities = system.capacities(config, model.constants)
    wanted = capacities[system.expected_capacity(config, model.constants, {"incident_energy": energy})]
    keys = jax.random.split(jax.random.key(1, impl="threefry2x32"), batch)
    compiling, programs = [], {}
    for capacity in capacities:
        tile = jax.jit(lambda m, e, k, c=capacity: system.generate(m, {"incident_energy": e}, k, config, c))
        began = time.perf_counter()
        lowered = tile.lower(model, energy, keys)
        traced = time.perf_counter()
        programs[capacity] = lowered.compile()
        seconds = {"trace_s": traced - began, "compile_s": time.perf_counter() - traced}
        compiling.append({"capacity": capacity} | seconds)
    draw = programs[wanted]
    return {
        "batch": batch,
        **per_shower(timed(lambda: draw(model, energy, keys), repeats), batch),
        "capacity": wanted,
        "hits_per_shower": float(draw(model, energy, keys).count.mean()),
        "compiling": compiling,
    }


def to_file(config, model, manifest, repeats: int) -> dict:
    """From energies to voxels in an HDF5 file, through the engine; one more thread packs and writes."""
    batch, n = TO_FILE
    config, conditions, number = tiled(config, batch), {"incident_energy": energies(n)}, itertools.count()
    cylinder, level = geometry.from_json(manifest.geometry), config.generation.compression

    def request():
        path = Path(folder) / f"{next(number)}.hdf5"
        generation.run(
            system,
            model,
            config,
            conditions,
            seed=1,
            sink=generation.Files(path, cylinder, {}, compression=level),
            devices=jax.local_devices()[:1],
            progress=False,
        )
        path.unlink()

    with tempfile.TemporaryDirectory() as folder:
        times = per_shower(timed(request, repeats), n)
    return {"batch": batch, "showers": n, "gzip_level": level} | times


def peak_resident_mib() -> float:
    """Largest memory that this process, with all that it compiled, has held at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="a trained run; default: a fresh model")
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"of every time; default {REPEATS}")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is timed as well
    config, model, manifest = subject(args.run)
    result = {
        "calojax": __version__,
        "jax": jax.__version__,
        "machine": platform.processor() or platform.machine(),
        "threads": 1,
        "precision": "float32",
        "subject": args.run or "fresh model of egs_ds2.toml",
        "repeats": args.repeats,
        "ceiling_gflops_before": ceiling(),
        "sampling": [sampling(config, model, batch, args.repeats) for batch in (1, 100)],
        "to_file": to_file(config, model, manifest, args.repeats),
        "ceiling_gflops_after": ceiling(),
        "peak_resident_mib": peak_resident_mib(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
