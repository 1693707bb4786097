"""Training on plain arrays: a loss, parameters, batches. No system, no TOML, no folder; the same step as `run`."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from calojax.system import Loss, Model, Phase, Update
from calojax.training import diagnosis, step
from calojax.training.config import Training

_CHECK_EVERY = 100


class Fitted(NamedTuple):
    """Parameters after the last step, their moving average, and the loss of every step (steps,) float64."""

    params: Any
    ema: Any
    losses: np.ndarray


def fit(
    loss: Callable[[Any, Any, jax.Array], jax.Array],
    params: Any,
    batches: Iterable[Any],
    key: jax.Array,
    *,
    learning_rate: float = 1e-3,
    steps: int | None = None,
    **training: Any,
) -> Fitted:
    """Minimise `loss(params, batch, key) -> ()`, a mean over the batch, with warm-up, cosine and clipping.

    params: any tree of arrays, left as it is; batches: trees of arrays whose first axes agree, (rows, ...), gone
    through again and again if there are fewer than `steps` (by default once); key: folded with the step for every
    call of the loss; training: other fields of `Training`, such as optimiser, warmup_steps, weight_decay, ema_decay.
    Raises NonFiniteLoss naming step and parameter group.
    """
    if steps is None:
        batches = list(batches)
        steps = len(batches)
    first, batches = _peek(batches, steps)
    options = {"warmup_steps": min(200, steps // 10), "final_learning_rate": learning_rate / 100} | training
    config = SimpleNamespace(training=Training(steps=steps, learning_rate=learning_rate, **options))

    def summed(params, model, batch, key, config):
        mean = loss(params, batch, key)
        return Loss(mean, jnp.ones((), mean.dtype), model.state, {})

    phase = Phase("fit", steps, (Update("fit", summed),))
    place = step.placement(len(jax.tree.leaves(first)[0]))
    params = place.model(jax.tree.map(lambda a: jnp.array(a, copy=True), params))
    begin = lambda tree: step.begin(phase, tree, tree, (), 0, config.training)
    train = jax.jit(begin, out_shardings=place.everywhere)(params)
    advance = step.make_step(phase, params, config, place, key)
    values: list[dict[str, float]] = []
    pending = []
    for number, batch in enumerate(batches, 1):
        train, found = advance(train, Model(None, None, {}), place.batch(batch))
        pending.append(found)
        if number % _CHECK_EVERY == 0 or number == steps:
            for each in jax.device_get(pending):
                values.append({name: float(value) for name, value in each.items()})
                diagnosis.check(len(values), "fit", values[-1])
            pending = []
    if len(values) < steps:
        raise ValueError(f"the batches ran out after {len(values) + len(pending)} of {steps} steps")
    return Fitted(train.params, train.ema, np.array([each["loss"] for each in values]))


def _peek(batches: Iterable[Any], steps: int) -> tuple[Any, Iterable[Any]]:
    """The first batch, and `steps` batches from the first on."""
    endless = _endless(batches)
    first = next(endless, None)
    if first is None:
        raise ValueError("fit needs at least one batch")
    return first, itertools.islice(itertools.chain([first], endless), steps)


def _endless(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches again and again, as far as they can be gone through again."""
    empty = False
    while not empty:
        empty = True
        for batch in batches:
            empty = False
            yield batch
