"""Checkpoints of a run: atomic, asynchronous, one Orbax item per thing that is ever read alone.

Items: params, ema, optimiser, state, meta (JSON: step, phase, loader position, config and geometry digests, versions,
seconds trained, values not yet logged).
"""

import contextlib
import errno
import json
import logging
import math
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from calojax import config as configuration
from calojax import stopping, writing
from calojax.errors import InputError
from calojax.training import processes
from calojax.training.config import Training
from calojax.training.optimiser import path_names
from calojax.training.step import TrainState

FOLDER = "checkpoints"
VERSION = 2
_LOSS = "validation_loss"
_ITEMS = ("params", "ema", "optimiser", "state", "meta")

Tree = Any


def listed(run: Path) -> dict[int, float | None]:
    """Steps of a run's whole checkpoints with their validation loss (None: not validated), without restoring any."""
    found = {}
    for folder in (run / FOLDER).glob("[0-9]*"):
        meta = folder / "meta" / "metadata"
        if folder.name.isdigit() and meta.is_file():
            found[int(folder.name)] = configuration.read_json(meta).get(_LOSS)
    return dict(sorted(found.items()))


def latest_meta(run: Path) -> dict[str, Any]:
    """The JSON part of a run's latest whole checkpoint, empty if there is none."""
    latest = max(listed(run), default=None)
    return {} if latest is None else configuration.read_json(run / FOLDER / str(latest) / "meta" / "metadata")


def parameters(run: Path) -> int | None:
    """How many numbers the model of a run's latest checkpoint has; None if there is no checkpoint that says so."""
    meta = latest_meta(run)
    return sum(math.prod(shape) for shape in meta["shapes"].values()) if "shapes" in meta else None


class Checkpoints:
    """The checkpoints of one run folder, to read, or with `training` to write: the latest `keep` of them and the best.

    The best is the one with the lowest validation loss. Use as a context manager: leaving it waits for the last save.
    """

    def __init__(self, run: Path, training: Training | None = None):
        import orbax.checkpoint as ocp  # noqa: PLC0415  (half a second, and only runs need it)

        if training is None and not (run / FOLDER).is_dir():
            raise _none(run)
        self._link = contextlib.ExitStack()
        folder = self._link.enter_context(_plain(run)) / FOLDER
        logging.getLogger("absl").addFilter(_is_news)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_LatestAndBest(training.keep) if training else None,
            best_fn=lambda metrics: metrics[_LOSS],  # only with one are metrics saved
            best_mode="min",
            cleanup_tmp_directories=training is not None,
            create=training is not None,
        )
        self.run = run
        self._args = ocp.args
        self._manager = ocp.CheckpointManager(folder, options=options, item_names=_ITEMS)
        if training and processes.alone():  # several would have to delete together
            self._tidy(training.keep)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the last save and let go."""
        with self._refusals(), self._link:
            self._manager.wait_until_finished()
            self._manager.close()

    def wait(self) -> None:
        """Until the last save is whole; InputError if the disk was full."""
        with self._refusals():
            self._manager.wait_until_finished()

    def latest(self) -> int | None:
        """The newest whole checkpoint's step, None without any."""
        return self._manager.latest_step()

    def named(self, name: int | str) -> int:
        """The step meant by a number, "last", or "best": the lowest validation loss; InputError if there is none."""
        if name != "best":
            return self._known(None if name == "last" else int(name))
        validated = {step: loss for step, loss in listed(self.run).items() if loss is not None}
        if not validated:
            raise InputError(
                where=f"{self.run}, best checkpoint",
                found="is not known",
                rule="none of those kept was saved after a validation",
                remedy="use the last one",
            )
        return min(validated, key=validated.__getitem__)

    def steps(self) -> list[int]:
        return sorted(self._manager.all_steps())

    def save(self, train: TrainState, meta: dict[str, Any], *, loss: float | None = None) -> None:
        """Start saving under the step of `meta`; the arrays may be donated right after.

        loss: of validation at this step, by which the best is known; where the step is saved already, that is all that
        is added. Raises InputError if the disk has no room.
        """
        step = meta["step"]
        meta = {"version": VERSION, _LOSS: loss, "shapes": _shapes(train.params)} | meta
        if step in self._manager.all_steps():
            if loss is not None:
                self._validated(step, meta)
            return
        with processes.together():
            writing.need_room(self.run, sum(leaf.nbytes for leaf in jax.tree.leaves(train)))
        whole = _copy(train)
        args = self._args
        items = args.Composite(
            params=args.StandardSave(_wrapped(whole.params)),
            ema=args.StandardSave(_wrapped(whole.ema)),
            optimiser=args.StandardSave(_wrapped((whole.optimiser, whole.phase_step))),
            state=args.StandardSave(_wrapped(whole.state)),
            meta=args.JsonSave(meta),
        )
        with self._refusals():
            saved = self._manager.save(step, metrics={_LOSS: math.inf if loss is None else loss}, args=items)
        if not saved:
            raise RuntimeError(f"Orbax did not save step {step}")

    def meta(self, step: int | None = None) -> dict[str, Any]:
        """The JSON part of a checkpoint (default: the latest); InputError without one or of another version."""
        step = self._known(step)
        meta = self._read(step, meta=self._args.JsonRestore())["meta"]
        if meta.get("version") != VERSION:
            raise InputError(
                where=f"{self.run}, checkpoint {step}",
                found=f"has format version {meta.get('version')}",
                rule=f"this calojax reads version {VERSION}",
                remedy="use the calojax that wrote it, or train again",
            )
        return meta

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The train state of a checkpoint, with the shapes and shardings of `like` (arrays or ShapeDtypeStructs)."""
        self._refuse_other_shapes(step, like.params)
        parts = {"params": like.params, "ema": like.ema, "state": like.state}
        parts["optimiser"] = (like.optimiser, like.phase_step)
        found = self._read(step, **{name: self._target(tree) for name, tree in parts.items()})
        optimiser, phase_step = found["optimiser"]["tree"]
        count = jax.device_put(jnp.asarray(step, jnp.int32), like.step.sharding)
        params, ema, state = (found[name]["tree"] for name in ("params", "ema", "state"))
        return TrainState(params, ema, optimiser, state, count, phase_step)

    def restore_model(self, step: int | None, params: Tree, state: Tree, *, ema: bool) -> tuple[Tree, Tree]:
        """Parameters (their moving average if `ema`) and state for generating; targets as in `restore`."""
        name = "ema" if ema else "params"
        step = self._known(step)
        self._refuse_other_shapes(step, params)
        found = self._read(step, **{name: self._target(params), "state": self._target(state)})
        return found[name]["tree"], found["state"]["tree"]

    @contextlib.contextmanager
    def _refusals(self):
        """What Orbax cannot write is an InputError: it raises an OSError, or the text of TensorStore."""
        with writing.refusals(self.run, "free some room, and go on with --resume from the last whole checkpoint"):
            try:
                yield
            except ValueError as error:
                text = " ".join(str(error).split())
                if "Error writing local file" not in text:
                    raise
                full = os.strerror(errno.ENOSPC)
                raise OSError(0, full if full in text else text[:300]) from None

    def _tidy(self, latest: int) -> None:
        """Remove what is left of checkpoints whose removal was cut short: Orbax removes them file by file."""
        losses, steps = listed(self.run), self.steps()
        for step, kept in zip(steps, _kept([losses.get(step) for step in steps], latest), strict=True):
            if not kept:
                self._manager.delete(step)

    def _validated(self, step: int, meta: dict[str, Any]) -> None:
        """Add the validation loss to a checkpoint that was saved while its validation was broken off."""
        self.wait()
        with processes.together(), self._refusals():
            if processes.is_first() and listed(self.run)[step] is None:
                folder = self.run / FOLDER / str(step)
                writing.text(folder / "metrics" / "metrics", json.dumps({_LOSS: meta[_LOSS]}))
                writing.text(folder / "meta" / "metadata", json.dumps(meta))
        self._manager.reload()

    def _refuse_other_shapes(self, step: int, params: Tree) -> None:
        """InputError naming the first parameter that the checkpoint has in another shape than the model."""
        saved, needed = self.meta(step)["shapes"], _shapes(params)
        for name in saved | needed:
            if saved.get(name) != needed.get(name):
                raise InputError(
                    where=f"{self.run}, checkpoint {step}, parameter {name}",
                    found=f"has the shape {tuple(saved[name])}" if name in saved else "is missing",
                    rule=f"the model needs {tuple(needed[name])}" if name in needed else "the model has no such one",
                    remedy="use the calojax that wrote it, or train again",
                )

    def _target(self, tree: Tree):
        return self._args.StandardRestore(_wrapped(jax.tree.map(_shape, tree)))

    def _known(self, step: int | None) -> int:
        steps = self.steps()
        if not steps:
            raise _none(self.run)
        if step is not None and step not in steps:
            raise InputError(
                where=f"{self.run}, checkpoint {step}",
                found="does not exist",
                rule=f"the steps kept are {', '.join(map(str, steps))}",
                remedy="choose one of them",
            )
        return steps[-1] if step is None else step

    def _read(self, step: int, **items):
        try:
            return self._manager.restore(step, args=self._args.Composite(**items))
        except (KeyError, FileNotFoundError, ValueError) as error:
            raise InputError(
                where=f"{self.run}, checkpoint {step}",
                found=f"cannot be restored ({' '.join(str(error).split())[:300]})",
                rule="a checkpoint must be whole and of this model",
                remedy="resume from another checkpoint or train again",
            ) from error


@contextlib.contextmanager
def _plain(run: Path) -> Iterator[Path]:
    """A path to the folder that Orbax can use: it takes brackets for a pattern, then saves nothing, and needs UTF-8."""
    path = run.absolute()
    if re.fullmatch(r"[^*?\[\]\udc80-\udcff]*", str(path)):
        yield path
        return
    place = tempfile.TemporaryDirectory(prefix="calojax-")
    with place, stopping.before_leaving(place.cleanup):
        link = Path(place.name, "run")
        link.symlink_to(path, target_is_directory=True)
        yield link


def _is_news(record: logging.LogRecord) -> bool:
    """False for what Orbax logs, with its traceback, beside raising it."""
    return record.levelno < logging.ERROR or "orbax" not in record.pathname


class _LatestAndBest(NamedTuple):
    """Which checkpoints Orbax keeps: so many of the latest, and the one with the lowest loss."""

    latest: int

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        return _kept([(info.metrics or {}).get(_LOSS) for info in checkpoints], self.latest)


def _kept(losses: list[float | None], latest: int) -> list[bool]:
    """Which checkpoints are kept, from the losses of all in order (None: not validated)."""
    known = [math.inf if loss is None else loss for loss in losses]
    best, first = min(known, default=math.inf), len(known) - latest
    return [i >= first or (loss == best and loss < math.inf) for i, loss in enumerate(known)]


@jax.jit
def _copy(train: TrainState) -> TrainState:
    """Arrays of its own, since those of the running state are donated while the save goes on."""
    return jax.tree.map(jnp.copy, train)


def _wrapped(tree: Tree) -> dict[str, Tree]:
    """Orbax refuses an empty tree or a bare array as an item."""
    return {"tree": tree} if jax.tree.leaves(tree) else {"tree": tree, "empty": np.zeros((), np.float32)}


def _shapes(params: Tree) -> dict[str, list[int]]:
    """Shape of every parameter by its path."""
    return {"/".join(path_names(path)): list(leaf.shape) for path, leaf in jax.tree.leaves_with_path(params)}


def _shape(leaf) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None))


def _none(run: Path) -> InputError:
    return InputError(
        where=str(run),
        found="has no checkpoint",
        rule="a trained run has at least one",
        remedy="train it first, or go on with `calojax train ... --resume`",
    )
