"""What a step of training costs: the jitted step of `calojax train`, its batches from the loader."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from benchmarks import arithmetic, machine, measuring, profiling, stepping, subject
from benchmarks.running import Options
from calojax import data, experiments, verbs
from calojax import system as systems
from calojax.shards import Shards

_PROFILED = 2  # steps


def run(options: Options) -> dict[str, Any]:
    """Rows step (ms), step/STAGE, and showers (per second) of experiments/pyramid/egs_ds2.toml on the sample, from the
    beginning."""
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is timed as well
    smaller = ["training.batch=8", "training.tile=8"] if options.short else []
    asked = experiments.read(subject.EXPERIMENT, [f"model.precision={options.precision}", *smaller])
    with tempfile.TemporaryDirectory() as folder:
        verbs.prepare(asked.system, data.sample(asked.system), Path(folder) / "shards")
        with stepping.Trainer(systems.load(asked.system), asked.config, Shards(Path(folder) / "shards")) as trainer:
            return {"results": rows(trainer, asked.config.training.batch, options), "left_out": {}}


def rows(trainer: stepping.Trainer, batch: int, options: Options) -> dict[str, Any]:
    """Of a trainer whose batches have so many showers; its steps are done in order, a round after another."""
    counted = arithmetic.of(trainer.function, *trainer.arguments)[""]
    losses = []

    def advance():
        values = trainer.advance()
        losses.append(values["loss"])
        return values

    machine.forget_peak()
    products = {precision: machine.product(precision)[0] for precision in ("float32", options.precision)}
    timings = measuring.measured(products | {"step": advance}, options.rounds, options.seconds)
    found = stepping.checked(losses)
    step = measuring.timed(
        timings["step"],
        options.place,
        "ms per step",
        ceiling=(timings["float32"], machine.FLOP),
        own_ceiling=(timings[options.precision], machine.FLOP),
        mflop=counted["products"] / 1e6,
        transcendentals=counted["transcendentals"],
        size={"batch": batch},
        trace_s=trainer.trace_s,
        compile_s=trainer.compile_s,
        peak_mib=round(machine.peak_mib()),
        checked={"finite": True, "steps": len(found), "first_loss": found[0], "last_loss": found[-1]},
    )
    rate = lambda clock: measuring.spread(1e3 * batch / ms for ms in step[clock]["rounds"])
    clocks = {"clock": step["clock"], "cpu": rate("cpu")._asdict()}
    stages = by_stage(trainer, advance, timings["step"]) if options.place == "one" else {}
    return {"step": step} | stages | {"showers": measuring.row(rate("value"), "showers/s", "more", **clocks)}


def by_stage(trainer: stepping.Trainer, advance: Callable[[], Any], timing: measuring.Timing) -> dict[str, Any]:
    """Rows step/STAGE in ms: value and gradient of each stage of the pyramid, as the profiler shares out a step."""
    times = profiling.by_stage(profiling.operations(trainer.compiled, advance, _PROFILED))
    shares = {stage: time / sum(times.values()) for stage, time in times.items()}
    part = lambda share: measuring.Timing(*(measuring.scaled(clock, share) for clock in timing))
    return {
        f"step/{stage}": measuring.timed(part(shares[stage]), "one", "ms per step", share=shares[stage])
        for stage in sorted(shares, key=shares.__getitem__, reverse=True)
    }
