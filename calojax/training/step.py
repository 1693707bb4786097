"""One optimiser step: loss and gradient over a batch split across devices, the updates of a phase in order.

The mesh has one axis, `data`. The leading axis of a batch (its tiles) is split over it, everything else is on every
device. Loss and gradient are sums over rows divided by the weight of the whole batch, so that they do not depend on
the number of devices or on padding. Random keys are folded from (seed, step), never carried.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from calojax.errors import InputError
from calojax.system import Phase, Update
from calojax.training.config import Training
from calojax.training.optimiser import Split, build, schedule, split
from calojax.training.tiles import AXIS, mesh

Tree = Any
INITIAL, TRAINING, VALIDATION = 0, 1, 2  # purposes of keys


class TrainState(NamedTuple):
    """What a step changes; donated to it."""

    params: Tree
    ema: Tree  # moving average, same tree as params
    optimiser: dict[str, Tree]  # by update of the current phase
    state: Tree  # of the model, changed without gradient
    step: jax.Array  # () int32, steps done since the start of training
    phase_step: jax.Array  # () int32, steps done since the start of the phase


class Placement(NamedTuple):
    """Where arrays live: batches split over the devices, the rest on every device."""

    split: NamedSharding
    everywhere: NamedSharding

    def batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Put this process's tiles of a batch on its devices."""
        if jax.process_count() == 1:
            return jax.device_put(batch, self.split)
        return {name: jax.make_array_from_process_local_data(self.split, array) for name, array in batch.items()}

    def model(self, tree: Tree) -> Tree:
        """Put a tree on every device."""
        return jax.device_put(tree, self.everywhere)


def placement(tiles: int) -> Placement:
    """All devices, or with one process as many as divide the number of tiles in a batch."""
    devices = jax.devices()
    if jax.process_count() > 1 and tiles % len(devices):
        raise InputError(
            where="[training] batch",
            found=f"has {tiles} tiles",
            rule=f"each of {len(devices)} devices of {jax.process_count()} processes needs as many as the others",
            remedy="change batch or tile",
        )
    along = mesh(tiles)
    return Placement(NamedSharding(along, PartitionSpec(AXIS)), NamedSharding(along, PartitionSpec()))


def purpose_key(seed: int, purpose: int) -> jax.Array:
    """The key of one purpose of a run."""
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), purpose)


class _Part(NamedTuple):
    """An update with what is derived from it: trained leaves, optimiser, and its learning rate where it is ours."""

    update: Update
    split: Split
    transform: optax.GradientTransformation
    rate: optax.Schedule | None


def _parts(phase: Phase, params: Tree, config: Training) -> tuple[_Part, ...]:
    parts = []
    for update in phase.updates:
        runs = -(-phase.steps // update.every)
        make, rate = (update.optimiser, None) if update.optimiser else (build, schedule(config, runs))
        parts.append(_Part(update, split(params, update.trainable), make(config, runs), rate))
    return tuple(parts)


def begin(phase: Phase, params: Tree, ema: Tree, state: Tree, step: int, config: Training) -> TrainState:
    """The state at the start of a phase: optimisers afresh, the rest as it was."""
    optimiser = {p.update.name: p.transform.init(p.split.take(params)) for p in _parts(phase, params, config)}
    ema = jax.tree.map(jnp.copy, ema)  # a buffer of its own: params and ema are both donated
    return TrainState(params, ema, optimiser, state, jnp.asarray(step, jnp.int32), jnp.zeros((), jnp.int32))


def make_step(phase: Phase, params: Tree, config: Any, place: Placement, key: jax.Array) -> Callable:
    """Jitted `step(TrainState, model, batch) -> (TrainState, values)` for one phase; the state is donated.

    model: the Model whose constants are used; values: float32 scalars by name: per update `loss`, the terms of its
    Loss.metrics, `gradient_norm`, `learning_rate`, and `norm/<group>`, the gradient norm of each top-level group of
    parameters (for diagnosis). Names carry the update's name where a phase has several. `params` is only looked at
    for its structure; `key` is folded with the step and the number of the update.
    """
    parts = _parts(phase, params, config.training)

    def step(train: TrainState, model, batch):
        values = {}
        step_key = jax.random.fold_in(key, train.step)
        for number, part in enumerate(parts):
            prefix = f"{part.update.name}." if len(parts) > 1 else ""
            update_key = jax.random.fold_in(step_key, number)
            run = partial(_run, part, model=model, batch=batch, key=update_key, config=config)
            train, new = _sometimes(part.update.every, run, train)
            values |= {prefix + name: value for name, value in new.items()}
        return train._replace(step=train.step + 1, phase_step=train.phase_step + 1), values

    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(place.everywhere, place.everywhere, place.split),
        out_shardings=(place.everywhere, place.everywhere),
    )


def _sometimes(every: int, run: Callable, train: TrainState):
    """Run an update in every n-th step of the phase; its values are 0 with `ran` 0 in the others."""
    if every == 1:
        return run(train)
    shapes = jax.eval_shape(run, train)[1]
    skip = lambda t: (t, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes))
    return jax.lax.cond(train.phase_step % every == 0, run, skip, train)


def _run(part: _Part, train: TrainState, *, model, batch, key, config) -> tuple[TrainState, dict[str, jax.Array]]:
    def total(chosen):
        params = part.split.put(train.params, chosen)
        loss = part.update.loss(params, model._replace(params=params, state=train.state), batch, key, config)
        return loss.total, loss

    chosen = part.split.take(train.params)
    (_, loss), gradient = jax.value_and_grad(total, has_aux=True)(chosen)
    gradient = jax.tree.map(lambda g: g / loss.weight, gradient)
    change, optimiser = part.transform.update(gradient, train.optimiser[part.update.name], chosen)
    chosen: Tree = optax.apply_updates(chosen, change)
    ema = _average(part.split.take(train.ema), chosen, train.phase_step, config.training.ema_decay)
    norms = _norms(gradient)
    values = {"loss": loss.total / loss.weight}
    values |= {name: term / loss.weight for name, term in loss.metrics.items()}
    values["gradient_norm"] = jnp.sqrt(sum(norm**2 for norm in norms.values()))
    if part.rate:
        values["learning_rate"] = jnp.asarray(part.rate(train.phase_step // part.update.every), jnp.float32)
    values |= {f"norm/{group}": norm for group, norm in norms.items()}
    if part.update.every > 1:
        values["ran"] = jnp.ones(())
    train = train._replace(
        params=part.split.put(train.params, chosen),
        ema=part.split.put(train.ema, ema),
        optimiser=train.optimiser | {part.update.name: optimiser},
        state=loss.state,
    )
    return train, values


def _average(ema, params, step: jax.Array, decay: float):
    """Moving average whose memory grows with the steps of the phase up to 1 / (1 - decay), so that it never leans
    on the initial values."""
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step)) if decay else 0.0
    return jax.tree.map(lambda old, new: (d * old + (1 - d) * new).astype(new.dtype), ema, params)


def _norms(gradient: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Norm of the gradient of each top-level group."""
    squares: dict[str, jax.Array] = {}
    for path, leaf in gradient.items():
        group = path.split("/")[0] or "parameters"
        squares[group] = squares.get(group, jnp.zeros(())) + jnp.sum(jnp.square(leaf))
    return {group: jnp.sqrt(square) for group, square in squares.items()}


def make_evaluation(phase: Phase, config: Any, place: Placement, key: jax.Array) -> Callable:
    """Jitted `evaluate(params, model, batch, number) -> (2,) by name`: sum and weight of each loss of a phase.

    number: of the batch, with which the key is folded, so that the same rows always meet the same noise.
    """

    def evaluate(params, model, batch, number):
        batch_key = jax.random.fold_in(key, number)
        sums = {}
        for i, update in enumerate(phase.updates):
            prefix = f"{update.name}." if len(phase.updates) > 1 else ""
            update_key = jax.random.fold_in(batch_key, i)
            loss = update.loss(params, model._replace(params=params), batch, update_key, config)
            terms = {"loss": loss.total} | dict(loss.metrics)
            sums |= {prefix + name: jnp.stack([term, loss.weight]) for name, term in terms.items()}
        return sums

    return jax.jit(
        evaluate,
        in_shardings=(place.everywhere, place.everywhere, place.split, place.everywhere),
        out_shardings=place.everywhere,
    )
