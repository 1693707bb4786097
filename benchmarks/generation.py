"""What a complete shower costs: a tile by its jitted function alone and by stages; through the engine; into a file."""

import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import arithmetic, machine, measuring, profiling, subject
from benchmarks.running import Options
from calojax import cache, generation, geometry
from calojax.generation import layouts, sizes

BATCHES = (1, 100, 10_000)
INTO_A_FILE = 100
MANY = 1_000  # from here on a request is made less often
_SEED = 1
_PROFILED = 5, 20  # tiles and showers, at least


def run(options: Options) -> dict[str, Any]:
    """Rows of ms per shower: tile=N, tile=N/STAGE; batch=N/arrays, which is what a user waits for; batch=N/file."""
    if options.short:
        cache.keep_compiled()
    else:
        jax.config.update("jax_enable_compilation_cache", False)  # compiling is timed as well
    measured = subject.load(options.run, options.precision, rows=200 if options.short else None)
    results = {}
    for batch in BATCHES[:1] if options.short else BATCHES:
        results |= through_the_engine(measured, batch, options)
    most = sizes.suited(measured.config.generation, BATCHES[-1], jax.default_backend()).tile
    for batch in () if options.short else sorted({1, most}):
        results |= one_tile(measured, batch, options)
    return {"results": results, "left_out": {}}


def through_the_engine(measured: subject.Subject, batch: int, options: Options) -> dict[str, Any]:
    """From energies to voxels, dense and in memory, random numbers included; also into a file."""
    cylinder = geometry.from_json(measured.manifest.geometry)
    began = time.perf_counter()
    drawn = _request(measured, batch, generation.Arrays(cylinder.n_cells)).showers
    first_s = time.perf_counter() - began
    machine.forget_peak()
    checked = _checked(drawn)
    if batch < MANY:
        again = _request(measured, batch, generation.Arrays(cylinder.n_cells)).showers
        checked |= {"same_again": bool(np.array_equal(drawn, again))}
    with tempfile.TemporaryDirectory() as folder:
        arrays = lambda: _request(measured, batch, generation.Arrays(cylinder.n_cells))
        calls = _products(options) | {"arrays": arrays}
        if batch == INTO_A_FILE:
            level, numbers = measured.config.generation.compression, itertools.count()
            layout = layouts.named("voxels", cylinder, {}, level, batch)
            path = lambda: Path(folder, f"{next(numbers)}.hdf5")
            calls["file"] = lambda: _request(measured, batch, generation.Files(path(), layout, {})).unlink()
        rounds = options.rounds if batch < MANY else min(options.rounds, 3)
        timings = measuring.measured(calls, rounds, options.seconds)
    found = {"first_s": first_s, "peak_mib": round(machine.peak_mib()), "size": {"showers": batch}, "checked": checked}
    return {
        f"batch={batch}/{name}": _per_shower(timings[name], timings, batch, options, **found)
        for name in ("arrays", "file")
        if name in timings
    }


def one_tile(measured: subject.Subject, batch: int, options: Options) -> dict[str, Any]:
    """From energies to the list of hits; how many operations that is; and on one thread what each stage has of both."""
    tile = subject.tile(measured, batch)
    began = time.perf_counter()
    lowered = tile.function.lower(*tile.args)
    traced = time.perf_counter()
    compiled = lowered.compile()
    seconds = {"trace_s": traced - began, "compile_s": time.perf_counter() - traced}
    draw = lambda: compiled(*tile.args)
    timings = measuring.measured(_products(options) | {"tile": draw}, options.rounds, options.seconds)
    counted = arithmetic.of(tile.function, *tile.args, place=subject.stage)
    arithmetics = {key: value / batch for key, value in (counted[""] | arithmetic.xla(compiled)).items()}
    whole = _per_shower(
        timings["tile"],
        timings,
        batch,
        options,
        mflop=arithmetics.pop("products") / 1e6,
        per_shower=arithmetics,
        size={"showers": batch, "capacity": tile.capacity},
        checked=_complete(draw()),
        **seconds,
    )
    found = {f"tile={batch}": whole}
    if options.place != "one":
        return found
    tiles, showers = _PROFILED
    times = profiling.by_stage(profiling.operations(compiled, draw, max(tiles, -(-showers // batch))))
    for stage in sorted(times, key=times.__getitem__, reverse=True):
        share = times[stage] / sum(times.values())
        mflop = counted.get(stage, {"products": 0.0})["products"] / 1e6 / batch
        timing = measuring.Timing(*(measuring.scaled(clock, share) for clock in timings["tile"]))
        found[f"tile={batch}/{stage}"] = _per_shower(timing, timings, batch, options, mflop=mflop, share=share)
    return found


def _request(measured: subject.Subject, batch: int, sink: Any) -> Any:
    system, config, model, _ = measured
    conditions, devices = {"incident_energy": subject.energies(batch)}, jax.local_devices()[:1]
    return generation.run(system, model, config, conditions, _SEED, sink, devices=devices, progress=False)


def _products(options: Options) -> dict[str, Any]:
    """The machine's products, in float32 and in the precision of the model."""
    return {precision: machine.product(precision)[0] for precision in ("float32", options.precision)}


def _per_shower(timing: measuring.Timing, timings, batch: int, options: Options, **more: Any) -> dict[str, Any]:
    """A row of one of the timings, beside the products among them."""
    ceiling, own = ((timings[precision], machine.FLOP) for precision in ("float32", options.precision))
    place, factor = options.place, 1e3 / batch
    return measuring.timed(timing, place, "ms per shower", factor, ceiling=ceiling, own_ceiling=own, **more)


def _checked(showers: np.ndarray) -> dict[str, Any]:
    """Of dense showers; raises if a time for them is worth nothing."""
    if not (np.isfinite(showers).all() and (showers >= 0).all() and showers.any(1).all()):
        raise ValueError("showers are empty, negative or not finite")
    return {"hits": float(np.count_nonzero(showers, 1).mean()), "finite": True}


def _complete(tile: Any) -> dict[str, Any]:
    """Of a tile: raises if a list was too short."""
    energy = np.asarray(tile.energy)[: int(tile.count.sum())]
    if bool(tile.overflow) or not (np.isfinite(energy).all() and (energy > 0).all()):
        raise ValueError("a tile overflowed, or has energies that are negative or not finite")
    return {"hits": float(tile.count.mean()), "overflow": False, "finite": True}
