"""Milliseconds per complete shower on one CPU thread, beside the matrix products that the same core gives.

    python -m benchmarks [RUN] [--out FILE]

Without RUN: a fresh model of experiments/pyramid/egs_ds2.toml on the statistics of the sample; time does not depend on
the values of the weights, but it does on the number of hits, so a trained run is the better object.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np

from calojax import __version__, cache, data, training, verbs
from calojax.systems.pyramid import system

REPEATS = 30
EXPERIMENT = Path(__file__).parents[1] / "experiments" / "pyramid" / "egs_ds2.toml"


def timed(call) -> tuple[float, list[float]]:
    """Seconds of the first call (compilation) and of each of the next."""
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1:]


def ceiling() -> float:
    """GFLOP/s of a float32 product of 64 x 64 and 64 x 2048, the shapes that the pyramid multiplies."""
    a, b = jnp.ones((64, 64)), jnp.ones((64, 2048))
    product = jax.jit(lambda a, b: a @ b)
    return 2 * 64 * 64 * 2048 / min(timed(lambda: product(a, b))[1]) / 1e9


def subject(run: str | None):
    """(config, model): of a run, or a fresh one."""
    if run is not None:
        loaded = training.load(run)
        return loaded.config, loaded.model
    with tempfile.TemporaryDirectory() as folder:
        manifest = verbs.prepare("pyramid", data.sample("pyramid"), Path(folder) / "shards")
        config = verbs.experiment(EXPERIMENT).config
        return config, jax.jit(lambda key: system.init(key, config, manifest))(jax.random.key(0))


def sampling(config, model, batch: int) -> dict[str, float]:
    """From energies (log-uniform, 1 to 100 GeV) to sparse showers of one tile."""
    energy = jnp.asarray(np.exp(np.random.default_rng(0).uniform(np.log(1e3), np.log(1e5), batch)), jnp.float32)
    if batch == 1:
        energy = jnp.asarray([1e4], jnp.float32)
    config = verbs.configuration.build(
        type(config), verbs.configuration.to_table(config) | {"generation": {"tile": batch, "window": batch}}
    )
    level = system.expected_capacity(config, model.constants, {"incident_energy": np.asarray(energy)})
    capacity = system.capacities(config, model.constants)[level]
    keys = jax.random.split(jax.random.key(1, impl="threefry2x32"), batch)
    draw = jax.jit(lambda m, e, k: system.generate(m, {"incident_energy": e}, k, config, capacity))
    compilation, seconds = timed(lambda: draw(model, energy, keys))
    per_shower = 1e3 * np.asarray(seconds) / batch
    return {
        "batch": batch,
        "ms_per_shower_median": float(np.median(per_shower)),
        "ms_per_shower_least": float(per_shower.min()),
        "first_call_s": compilation,
        "hits_per_shower": float(draw(model, energy, keys).count.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="a trained run; default: a fresh model")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    cache.keep_compiled()
    config, model = subject(args.run)
    result = {
        "calojax": __version__,
        "jax": jax.__version__,
        "machine": platform.processor() or platform.machine(),
        "threads": 1,
        "precision": "float32",
        "subject": args.run or "fresh model of egs_ds2.toml",
        "ceiling_gflops_before": ceiling(),
        "sampling": [sampling(config, model, batch) for batch in (1, 100)],
        "ceiling_gflops_after": ceiling(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
