"""The training loop: phases, steps, logging, validation, checkpoints, and going on after an interruption."""

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from calojax import config as configuration
from calojax import writing
from calojax.errors import InputError
from calojax.progress import Progress
from calojax.shards.batches import Position
from calojax.shards.loader import Loader
from calojax.shards.reader import Shards
from calojax.stopping import Stop
from calojax.system import Fit, Model, Phase
from calojax.training import diagnosis, folder, metrics, processes, step
from calojax.training.checkpoints import Checkpoints
from calojax.training.config import Training

_IN_FLIGHT = 2  # steps handed to the devices beyond the one being computed


class Trained(NamedTuple):
    """What a run came to: its folder, its last step, the last values logged, seconds of training over all resumes."""

    run: Path
    step: int
    values: dict[str, float]
    seconds: float


def run(
    system: ModuleType,
    config: Any,
    shards: Shards | Path | str,
    out: Path | str,
    *,
    resume: bool = False,
    progress: bool = True,
) -> Trained:
    """Train a system on shards into the run folder `out`, to the end of its phases.

    config: the system's Config; resume: go on from the latest checkpoint of `out` (from the start if it has none).
    Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint and raise KeyboardInterrupt, or leave the process with 130 where it is
    compiling; a new run without a step leaves no folder. Raises InputError if `out` exists (without resume) or belongs
    to another config or data, or if no rows are left to train on; NonFiniteLoss if loss or gradient is not finite.
    """
    with Stop() as stop:
        return _run(system, config, shards, Path(out), stop, resume, progress)


def _run(system, config, shards, out: Path, stop: Stop, resume: bool, progress: bool) -> Trained:
    data = shards if isinstance(shards, Shards) else Shards(shards)
    new = processes.any_of(processes.is_first() and not (out.exists() and resume), now=True)
    with processes.together():  # what cannot be is said before anything is written
        place = step.placement(config.training.batch // config.training.tile)
        if not new:
            folder.refuse_other(out, config, data.manifest)
        elif processes.is_first():
            folder.refuse_existing(out)
        _refuse_few_rows(data, config.training)
        constants = system.constants(config, data.manifest)
    model = Model(None, None, place.model(constants))
    with ExitStack() as stack:
        with processes.together():
            if new and processes.is_first():
                folder.create(out, config, data.folder, data.manifest, steps=sum(map(_length, system.phases(config))))
            if processes.is_first():
                stack.enter_context(writing.claimed(out))
        checkpoints = stack.enter_context(Checkpoints(out, config.training))
        begun = checkpoints.latest()
        written = 0 if begun is None else checkpoints.meta(begun)["lines"]  # all processes read together
        with processes.together():
            if processes.is_first():
                metrics.truncate(out, written)
            lines = stack.enter_context(metrics.MetricsFile(out))
        trainer = _Trainer(system, config, data, place, model, checkpoints, lines, stop, progress, new)
        stack.callback(trainer.close)
        trainer.start() if begun is None else trainer.restore(begun)
        trainer.train()
    return Trained(out, trainer.done, trainer.values, trainer.seconds())


@dataclass
class _Trainer:
    """The state of a run between its steps."""

    system: ModuleType
    config: Any
    shards: Shards
    place: step.Placement
    model: Model  # its constants, on every device
    checkpoints: Checkpoints
    lines: metrics.MetricsFile
    stop: Stop
    progress: bool
    new: bool  # the folder is of this process, not of one that it goes on from
    done: int = 0
    phase: int = 0
    unvalidated: bool = False  # the validation of the step reached was broken off
    validated_at: tuple[int, int] | None = None  # phase, step
    values: dict[str, float] = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)  # values of steps not logged yet, on the devices
    train_state: step.TrainState = field(init=False)

    def __post_init__(self):
        self.phases = self.system.phases(self.config)
        self._earlier, self._began = 0.0, time.perf_counter()
        self._clock = _Clock(self._began)
        self.position = Position()  # in the data, of the next step; the loader has given out a batch before its step
        self.loader = self._load(self.position)
        enabled = self.progress and processes.is_first()
        self.line = Progress(sum(map(_length, self.phases)), "train", unit="steps", enabled=enabled)

    def seconds(self) -> float:
        return self._earlier + time.perf_counter() - self._began

    def close(self) -> None:
        self.loader.close()
        self.line.close()

    # ---- going through the phases

    def start(self) -> None:
        """Initial parameters, at the beginning of the first phase."""
        make = lambda: folder.initial(self.system, self.config, self.shards.manifest)
        with self._idle():
            params, state = jax.jit(make, out_shardings=self.place.everywhere)()
            self.train_state = self._begin(params, params, state)

    def train(self) -> None:
        """From where the run stands to the end of the last phase."""
        while self.phase < len(self.phases):
            self._run_phase(self.phases[self.phase])
            self.phase += 1
            if self.phase < len(self.phases):  # what a phase came to is its moving average
                old = self.train_state
                self.train_state = self._begin(old.ema, old.ema, old.state)
        self._finish()

    def _begin(self, params, ema, state) -> step.TrainState:
        phase = self.phases[self.phase]
        updates = phase if isinstance(phase, Phase) else Phase(phase.name, 1, ())

        def begin(params, ema, state):
            return step.begin(updates, params, ema, state, self.done, self.config.training)

        return jax.jit(begin, out_shardings=self.place.everywhere)(params, ema, state)

    def _run_phase(self, phase: Phase | Fit) -> None:
        end = sum(map(_length, self.phases[: self.phase + 1]))
        if self.done == end and not self.unvalidated:  # resumed after its last step
            return
        if isinstance(phase, Fit):
            self._fit(phase)
        else:
            self._descend(phase, end)

    def _fit(self, phase: Fit) -> None:
        """A phase without gradient; it counts as one step. What it leaves alone keeps its average."""
        old = self.train_state
        with self._idle():
            params = self.place.model(phase.fit(self.shards, old.params, self.config))
        ema = jax.tree.map(_average, params, old.params, old.ema)
        self.done += 1
        self.train_state = self._begin(params, ema, old.state)

    def _descend(self, phase: Phase, end: int) -> None:
        training: Training = self.config.training
        noise, fixed = (step.purpose_key(training.seed, purpose) for purpose in (step.TRAINING, step.VALIDATION))
        advance = self._ahead(step.make_step(phase, self.train_state.params, self.config, self.place, noise))
        evaluate = self._ahead(step.make_evaluation(phase, self.config, self.place, fixed))
        if self.unvalidated:
            self._validate(phase, evaluate)
            if _due(self.done, training.checkpoint_every):
                self._save()
        while self.done < end:
            self.train_state, values = advance(self.train_state, self.model, next(self.loader))
            self.done += 1
            self.position = self.loader.position
            self.pending.append(values)
            self._wait()
            if self.done % training.log_every == 0 or self.done == end:
                self._log(phase)
            if _due(self.done, training.evaluate_every) or self.done == end:
                self._validate(phase, evaluate)
            if _due(self.done, training.checkpoint_every):
                self._save()
            self._leave_if_asked(now=self.done % training.log_every == 0)

    def _ahead(self, function: Callable) -> Callable:
        """A jitted function of (tree, model, batch, ...), compiled for each shape of batch before it is called, so
        that a signal during the compilation can save."""
        compiled: dict[Any, Callable] = {}

        def call(*inputs):
            shapes = tuple(array.shape for array in inputs[2].values())
            if shapes not in compiled:
                with self._idle():
                    compiled[shapes] = function.lower(*inputs).compile()
            return compiled[shapes](*inputs)

        return call

    def _finish(self) -> None:
        self.phase = len(self.phases) - 1
        self._save()

    # ---- being interrupted

    def _leave_if_asked(self, *, now: bool) -> None:
        """KeyboardInterrupt after saving, if a signal came; several processes ask each other only `now`."""
        if processes.any_of(self.stop.asked(), now=now):
            self._leave()
            raise KeyboardInterrupt

    def _idle(self):
        """For long work between two steps: a signal that comes meanwhile saves at once. Several processes save together
        and wait for the next step."""
        return self.stop.idle(self._leave) if jax.process_count() == 1 else nullcontext()

    def _leave(self) -> None:
        """What an interrupted run leaves: a checkpoint, or nothing where nothing was done."""
        if self.done:
            self._save()
            self.checkpoints.wait()
        elif self.new and processes.is_first():
            folder.remove(self.checkpoints.run)

    # ---- what is seen of it

    def _wait(self) -> None:
        """Keep only a few steps in flight: batches waiting for their step take memory."""
        if len(self.pending) > _IN_FLIGHT:
            jax.block_until_ready(self.pending[-1 - _IN_FLIGHT])

    def _fetch(self) -> list[dict[str, float]]:
        """The values of the steps since the last line, checked."""
        fetched = [{name: float(v) for name, v in values.items()} for values in jax.device_get(self.pending)]
        name = self.phases[self.phase].name
        for number, values in enumerate(fetched):
            diagnosis.check(self.done - len(fetched) + 1 + number, name, values)
        return fetched

    def _log(self, phase: Phase) -> None:
        fetched = self._fetch()
        rate, waited = self._clock.lap(self.done, self.loader.waited)
        rows = rate * self.config.training.batch
        self.values = metrics.means(fetched)
        speed = {"steps_per_second": rate, "rows_per_second": rows, "wait_share": waited}
        self.lines.write(self.done, phase.name, self.seconds(), self.values | speed)
        named = f"{phase.name}, " if len(self.phases) > 1 else ""
        note = f"{named}loss {_loss(self.values):.4g}, {rows:,.0f} showers/s, {waited:.1%} waiting"
        self.line.show(self.done, note)
        self.pending = []

    def _validate(self, phase: Phase, evaluate: Callable) -> None:
        """The losses of the averaged parameters on the held-out rows, with keys that are the same every time."""
        if not self.config.training.validation_rows:
            return
        before, sums = time.perf_counter(), []
        self.unvalidated = True
        with self._held_out() as loader:
            model = self.model._replace(state=self.train_state.state)
            for number, batch in enumerate(loader):
                sums.append(evaluate(self.train_state.ema, model, batch, np.int32(number)))
                jax.block_until_ready(sums[-1])
                self._leave_if_asked(now=False)
        self.unvalidated, self.validated_at = False, (self.phase, self.done)
        totals = jax.tree.map(lambda *pairs: np.sum(pairs, axis=0, dtype=np.float64), *jax.device_get(sums))
        found = {f"validation/{name}": float(term / weight) for name, (term, weight) in totals.items()}
        self.lines.write(self.done, phase.name, self.seconds(), found)
        self.values = self.values | found
        self._clock.pause(time.perf_counter() - before)

    # ---- reading and saving

    def _load(self, position: Position) -> Loader:
        training: Training = self.config.training
        rows = (0, self.shards.rows - training.validation_rows)
        return self._loader(rows=rows, seed=training.seed, position=position)

    def _held_out(self) -> Loader:
        rows = (self.shards.rows - self.config.training.validation_rows, self.shards.rows)
        return self._loader(rows=rows, shuffle=False, epochs=1)

    def _loader(self, **which) -> Loader:
        return Loader(
            self.shards,
            batch=self.config.training.batch,
            tile=self.config.training.tile,
            buckets=self.system.buckets(self.config, self.shards.manifest),
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            place=self.place.batch,
            **which,
        )

    def _save(self) -> None:
        pending = self._fetch()
        meta = {
            "step": self.done,
            "phase": self.phase,
            "position": list(self.position),
            "unvalidated": self.unvalidated,
            "lines": self.lines.count,
            "seconds": self.seconds(),
            "pending": pending,
            "values": self.values,
            "config": configuration.to_table(self.config),
            "geometry_digest": self.shards.manifest.geometry_digest,
            "data_digest": self.shards.manifest.digest,
            "versions": folder.versions(),
        }
        last = max((number for number, phase in enumerate(self.phases) if isinstance(phase, Phase)), default=0)
        validated = self.validated_at == (last, self.done)  # losses of two phases do not compare
        self.checkpoints.save(self.train_state, meta, loss=_loss(self.values, "validation/") if validated else None)

    def restore(self, at: int) -> None:
        """Go back to a checkpoint: everything the next step depends on, and the line being collected."""
        meta = self.checkpoints.meta(at)
        folder.refuse_foreign(self.checkpoints.run, meta, self.config, self.shards.manifest)
        self.unvalidated = meta["unvalidated"]
        self.done, self.phase, self.values = meta["step"], meta["phase"], meta["values"]
        self.pending = meta["pending"]
        self._earlier = meta["seconds"]
        params, state = jax.eval_shape(lambda: folder.initial(self.system, self.config, self.shards.manifest))
        like = jax.eval_shape(self._begin, params, params, state)
        like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=self.place.everywhere), like)
        self.train_state = self.checkpoints.restore(at, like)
        self.loader.close()
        self.position = Position(*meta["position"])
        self.loader = self._load(self.position)
        self._clock = _Clock(self._began, self.done)


@dataclass
class _Clock:
    """Steps per second and share of time spent waiting for data since the last lap."""

    since: float
    done: int = 0
    waited: float = 0.0

    def lap(self, at: int, waited: float) -> tuple[float, float]:
        now = time.perf_counter()
        seconds = max(now - self.since, 1e-9)
        rate, share = (at - self.done) / seconds, (waited - self.waited) / seconds
        self.since, self.done, self.waited = now, at, waited
        return rate, share

    def pause(self, seconds: float) -> None:
        """Do not count time spent on something else."""
        self.since += seconds


def _refuse_few_rows(data: Shards, training: Training) -> None:
    if training.validation_rows >= data.rows:
        raise InputError(
            where="[training] validation_rows",
            found=f"is {training.validation_rows}",
            rule=f"the data have {data.rows:,} rows and some must be left to train on",
            remedy="use more data, or --set training.validation_rows=...",
        )


def _average(new: jax.Array, old: jax.Array, average: jax.Array) -> jax.Array:
    """The moving average of a parameter after a fit: afresh where the fit set it."""
    return average if np.array_equal(jax.device_get(new), jax.device_get(old)) else new


def _due(at: int, every: int) -> bool:
    return every > 0 and at % every == 0


def _loss(values: dict[str, float], prefix: str = "") -> float:
    """Sum of the losses of a phase's updates, among the values whose names have the prefix."""
    named = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    return sum(value for name, value in named.items() if "/" not in name and name.split(".")[-1] == "loss")


def _length(phase: Phase | Fit) -> int:
    """Steps of a phase; a Fit counts as one."""
    return phase.steps if isinstance(phase, Phase) else 1
