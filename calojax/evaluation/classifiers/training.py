"""Training of one classifier as the protocol does it: Adam, a constant rate, the epoch chosen on a selection set.

`calojax.training.fit` has warm-up, clipping and a falling rate, and no state beside the parameters: none of the
protocol. Source: CaloChallenge/homepage, code/evaluate.py (arXiv:2410.21611).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from calojax.errors import NotFinite
from calojax.evaluation.classifiers.inputs import Inputs
from calojax.evaluation.classifiers.networks import Network, Tree
from calojax.evaluation.classifiers.splits import Split

BATCH, LEARNING_RATE = 1000, 2e-4

Passed = Callable[[int], None]


class Outputs(NamedTuple):
    """Logits of the selection and scored rows of a split at the chosen epoch (from 1), and its selection accuracy."""

    selection: np.ndarray
    scored: np.ndarray
    epoch: int
    accuracy: float


class State(NamedTuple):
    """What a step changes; norms: the network's state."""

    params: Tree
    norms: Tree
    adam: Tree


class Machine(NamedTuple):
    """Compiled: begin(seed) -> State; step(State, x, labels) -> (State, loss); score(params, norms, x) -> logits."""

    begin: Callable[[int], State]
    step: Callable[[State, np.ndarray, np.ndarray], tuple[State, jax.Array]]
    score: Callable[[Tree, Tree, np.ndarray], jax.Array]


@lru_cache
def machine(network: Network) -> Machine:
    """The jitted functions of a network; the state is donated to a step."""
    adam = optax.adam(LEARNING_RATE)

    def begin(key):
        params, norms = network.init(key)
        return State(params, norms, adam.init(params))

    def step(state, x, labels):
        def loss(params):
            logits, norms = network.apply(params, state.norms, x, True)
            return optax.sigmoid_binary_cross_entropy(logits, labels).mean(), norms

        (value, norms), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        change, moments = adam.update(gradient, state.adam, state.params)
        return State(optax.apply_updates(state.params, change), norms, moments), value

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
    passed: Passed,
) -> Outputs:
    """Train on the training rows, keep the epoch of the best accuracy on the selection rows, score the scored rows.

    labels (N,): True for reference showers. passed(n): called when n rows have gone through the network, those of a
    step three times. Stops early only when nothing of the selection is wrong. Raises NotFinite if outputs are not
    finite.
    """
    state, rng = machine.begin(seed), np.random.default_rng([seed, 1])
    best, chosen, kept, logits, epoch = -1.0, 0, None, np.empty(0), 0
    while epoch < epochs and best < 1:
        epoch += 1
        state = _epoch(machine, state, inputs, labels, _batches(rng.permutation(split.training), batch), passed)
        found = _score(machine, (state.params, state.norms), inputs, _batches(split.selection, batch), passed)
        accuracy = float(np.mean((found > 0) == labels[split.selection]))
        if accuracy > best:
            best, chosen, logits = accuracy, epoch, found
            kept = jax.tree.map(jnp.copy, (state.params, state.norms))  # a step gives its state away
    assert kept is not None
    passed((epochs - epoch) * (3 * len(split.training) + len(split.selection)))
    return Outputs(logits, _score(machine, kept, inputs, _batches(split.scored, batch), passed), chosen, best)


def _epoch(
    machine: Machine, state: State, inputs: Inputs, labels: np.ndarray, batches: list[np.ndarray], passed: Passed
) -> State:
    """A step with each batch; the next one is made while it runs."""
    running = None
    for rows in batches:
        x, y = inputs.rows(rows), labels[rows]
        if running is not None:
            running.block_until_ready()
        state, running = machine.step(state, x, y.astype(x.dtype))
        passed(3 * len(rows))
    return state


def _score(
    machine: Machine, model: tuple[Tree, Tree], inputs: Inputs, batches: list[np.ndarray], passed: Passed
) -> np.ndarray:
    """Logits (n,) float64 of all rows; model: params and norms."""
    parts = []
    for rows in batches:
        parts.append(np.asarray(machine.score(*model, inputs.rows(rows)), np.float64))
        passed(len(rows))
    logits = np.concatenate(parts)
    if not np.isfinite(logits).all():
        raise NotFinite("the outputs of a classifier are not finite")
    return logits


def _batches(rows: np.ndarray, batch: int) -> list[np.ndarray]:
    return [rows[first : first + batch] for first in range(0, len(rows), batch)]
