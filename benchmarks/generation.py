"""What a complete shower costs: one tile alone, through the engine into arrays, into a file; and each stage of it."""

import time
from typing import Any

import jax
import numpy as np

from benchmarks import machine, measuring, subject
from benchmarks.running import Options
from calojax import generation, geometry

BATCHES = (1, 100, 10_000)
_SEED = 1


def run(options: Options) -> dict[str, Any]:
    """Rows batch=N/tile, /arrays, /file in ms per shower."""
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is timed as well
    measured = subject.load(options.run, options.precision)
    results = {}
    for batch in BATCHES[:1] if options.short else BATCHES:
        results |= through_engine(measured, batch, options)
    return {"results": results, "left_out": {}}


def through_engine(measured: subject.Subject, batch: int, options: Options) -> dict[str, Any]:
    """From energies to voxels, dense and in memory, and into a file where that is asked."""
    cylinder = geometry.from_json(measured.manifest.geometry)
    arrays = lambda: _drawn(measured, batch, generation.Arrays(cylinder.n_cells))
    product, flop = machine.product(options.precision)
    began = time.perf_counter()
    first, again = arrays().showers, arrays().showers
    compile_s = time.perf_counter() - began
    checked = _checked(first, again)
    machine.forget_peak()
    timings = measuring.measured({"ceiling": product, "arrays": arrays}, options.rounds, options.seconds)
    row = measuring.timed(
        timings["arrays"],
        options.place,
        "ms per shower",
        1e3 / batch,
        ceiling=(timings["ceiling"], flop),
        size={"batch": batch},
        first_s=compile_s,
        peak_mib=round(machine.peak_mib()),
        checked=checked,
    )
    return {f"batch={batch}/arrays": row}


def _drawn(measured: subject.Subject, batch: int, sink: Any) -> Any:
    conditions = {"incident_energy": subject.energies(batch)}
    system, config, model, _ = measured
    return generation.run(
        system, model, config, conditions, _SEED, sink, devices=jax.local_devices()[:1], progress=False
    )


def _checked(first: np.ndarray, again: np.ndarray) -> dict[str, Any]:
    """What makes a time worth something; raises if it is worth nothing."""
    if not (np.isfinite(first).all() and (first >= 0).all() and first.any(1).all()):
        raise ValueError("showers are empty, negative or not finite")
    if not np.array_equal(first, again):
        raise ValueError("the same request gave other showers")
    return {"hits": float(np.count_nonzero(first, 1).mean()), "same_again": True, "finite": True}
