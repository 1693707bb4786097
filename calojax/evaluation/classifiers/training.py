"""Training of one classifier as the protocol does it: Adam, a constant rate, the epoch chosen on a selection set.

`calojax.training.fit` has warm-up, clipping and a falling rate, and no state beside the parameters: none of the
protocol. Source: CaloChallenge/homepage, code/evaluate.py (arXiv:2410.21611).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from calojax.errors import NotFinite
from calojax.evaluation.classifiers.inputs import Inputs
from calojax.evaluation.classifiers.networks import Network, Tree
from calojax.evaluation.classifiers.splits import Split

BATCH, LEARNING_RATE = 1000, 2e-4

Spent = Callable[[float], None]  # takes FLOP


class Outputs(NamedTuple):
    """Logits of the selection and scored rows of a split at the chosen epoch (from 1), and its selection accuracy."""

    selection: np.ndarray
    scored: np.ndarray
    epoch: int
    accuracy: float


class Machine(NamedTuple):
    """Compiled: begin(seed) -> Progressing, step(Progressing, x, labels) -> (Progressing, loss), score(..., x)."""

    begin: Callable[[int], Any]
    step: Callable[..., Any]
    score: Callable[..., jax.Array]


class _State(NamedTuple):
    params: Tree
    norms: Tree
    adam: Tree


def machine(network: Network) -> Machine:
    """The jitted functions of a network; the state is donated to a step."""
    adam = optax.adam(LEARNING_RATE)

    def begin(key):
        params, norms = network.init(key)
        return _State(params, norms, adam.init(params))

    def step(state, x, labels):
        def loss(params):
            logits, norms = network.apply(params, state.norms, x, True)
            return optax.sigmoid_binary_cross_entropy(logits, labels).mean(), norms

        (value, norms), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        change, moments = adam.update(gradient, state.adam, state.params)
        return _State(optax.apply_updates(state.params, change), norms, moments), value

    score = lambda params, norms, x: network.apply(params, norms, x, False)[0]
    started = jax.jit(begin)
    return Machine(
        lambda seed: started(jax.random.key(seed, impl="threefry2x32")),
        jax.jit(step, donate_argnums=0),
        jax.jit(score),
    )


def train(
    machine: Machine,
    inputs: Inputs,
    labels: np.ndarray,
    split: Split,
    *,
    epochs: int,
    batch: int,
    seed: int,
    spent: Spent,
    flop: float,
) -> Outputs:
    """Train on the training rows, keep the epoch of the best accuracy on the selection rows, score the scored rows.

    labels (N,): True for reference showers; flop: of the forward pass of one row, for spent(FLOP), which is called after
    every batch. Stops early only when nothing of the selection is wrong. Raises NotFinite if outputs are not finite.
    """
    state, rng = machine.begin(seed), np.random.default_rng([seed, 1])
    score = partial(_score, machine, inputs, batch=batch, spent=spent, flop=flop)
    best, kept, logits = -1.0, None, np.empty(0)
    chosen = done = 0
    while done < epochs and best < 1:
        state, done = _epoch(machine, state, inputs, labels, rng.permutation(split.training), batch, spent, flop), done + 1
        found = score(state, split.selection)
        accuracy = float(np.mean((found > 0) == labels[split.selection]))
        if accuracy > best:
            best, chosen, logits = accuracy, done, found
            kept = jax.tree.map(jnp.copy, (state.params, state.norms))
    spent(flop * (epochs - done) * (3 * len(split.training) + len(split.selection)))
    assert kept is not None
    return Outputs(logits, score(_State(*kept, None), split.scored), chosen, best)


def _epoch(machine, state, inputs: Inputs, labels, rows: np.ndarray, batch: int, spent: Spent, flop: float):
    """All rows once; the next batch is made while a step runs."""
    running = None
    for taken in _batches(rows, batch):
        x, y = inputs.rows(taken), labels[taken]
        if running is not None:
            running.block_until_ready()
        state, running = machine.step(state, x, y.astype(x.dtype))
        spent(3 * flop * len(taken))
    return state


def _score(machine, inputs: Inputs, state, rows: np.ndarray, *, batch: int, spent: Spent, flop: float) -> np.ndarray:
    """Logits (n,) float64 of rows (n,)."""
    parts = []
    for taken in _batches(rows, batch):
        parts.append(np.asarray(machine.score(state.params, state.norms, inputs.rows(taken)), np.float64))
        spent(flop * len(taken))
    logits = np.concatenate(parts)
    if not np.isfinite(logits).all():
        raise NotFinite("the outputs of a classifier are not finite")
    return logits


def _batches(rows: np.ndarray, batch: int) -> list[np.ndarray]:
    return [rows[first : first + batch] for first in range(0, len(rows), batch)]
