"""Schedule, weight decay of matrices only, trained subsets."""

import jax.numpy as jnp
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.training import Training
from calojax.training.optimiser import build, decayed, schedule, split

PARAMS = {"a": {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}, "c": [{"scale": jnp.ones((3, 2))}, jnp.ones((2, 2))]}


def test_the_learning_rate_rises_falls_and_ends_where_it_should():
    config = Training(steps=100, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-5)
    rate = [float(schedule(config, 100)(n)) for n in range(101)]
    assert rate[0] == 0 and rate[10] == pytest.approx(1e-3) and rate[100] == pytest.approx(1e-5)
    assert all(np.diff(rate[:11]) > 0) and all(np.diff(rate[10:]) < 0)


@pytest.mark.parametrize("steps, warmup", [(1, 10), (5, 5), (3, 0)])
def test_short_runs_have_a_finite_rate(steps, warmup):
    config = Training(steps=steps, warmup_steps=warmup)
    assert all(0 <= float(schedule(config, steps)(n)) <= config.learning_rate * 1.001 for n in range(steps + 1))


def test_only_matrices_decay():
    assert decayed(PARAMS) == {"a": {"w": True, "b": False}, "c": [{"scale": False}, True]}


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_without_gradient_matrices_shrink_and_biases_stay(optimiser):
    config = Training(steps=10, optimiser=optimiser, warmup_steps=0, learning_rate=0.1, weight_decay=0.5)
    transform = build(config, 10)
    chosen = split(PARAMS, None).take(PARAMS)
    zero = {name: jnp.zeros_like(leaf) for name, leaf in chosen.items()}
    change, _ = transform.update(zero, transform.init(chosen), chosen)
    assert {name for name, leaf in change.items() if (leaf != 0).any()} == {"a/w", "c/1"}


def test_muon_takes_a_matrix_as_a_whole_and_stacked_ones_one_by_one():
    config = Training(steps=10, optimiser="muon", warmup_steps=0, learning_rate=0.1, clip_norm=1e9)
    draw = np.random.default_rng(0)
    gradients = {
        "tall": draw.normal(size=(12, 3)),
        "stack": draw.normal(size=(2, 12, 3)) * np.array([1.0, 50.0])[:, None, None],
        "kernel": draw.normal(size=(3, 12)),
        "bias": draw.normal(size=(2, 3)),
    }
    gradients = {name: jnp.asarray(g, jnp.float32) for name, g in gradients.items()}
    params = {name: jnp.zeros(g.shape) for name, g in gradients.items()}
    transform = build(config, 10)
    change, _ = transform.update(gradients, transform.init(params), params)
    for matrix in (change["tall"], *change["stack"], change["kernel"].T):
        sizes = np.linalg.svd(np.asarray(matrix) / 0.1, compute_uv=False) / 2  # sqrt(12 out / 3 in)
        assert sizes.min() > 0.6 and sizes.max() < 1.3  # the iteration brings all of them near 1
    each = np.asarray(change["bias"] / -jnp.sign(gradients["bias"]))  # Adam: all by as much
    assert each.min() > 0.1 and each.max() - each.min() < 1e-5


@pytest.mark.parametrize(
    "trainable, paths",
    [
        (None, {"a/w", "a/b", "c/0/scale", "c/1"}),
        (("c",), {"c/0/scale", "c/1"}),
        (lambda path: path[-1] == "b", {"a/b"}),
    ],
)
def test_a_subset_is_taken_and_put_back(trainable, paths):
    part = split(PARAMS, trainable)
    chosen = part.take(PARAMS)
    assert set(chosen) == paths
    put = part.put(PARAMS, {name: leaf * 2 for name, leaf in chosen.items()})
    assert {name for name, leaf in split(put, None).take(put).items() if (leaf == 2).all()} == paths


def test_a_subset_without_parameters_is_a_defect():
    with pytest.raises(ValueError, match=r"no parameter.*\['a', 'c'\]"):
        split(PARAMS, ("d",))


@pytest.mark.parametrize(
    "values, said",
    [
        ({"steps": 0}, "steps"),
        ({"batch": 10, "tile": 4}, "whole number of tiles of 4"),
        ({"optimiser": "Muon"}, "optimiser"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"final_learning_rate": 1.0}, "final_learning_rate"),
        ({"validation_rows": -1}, "validation_rows"),
    ],
)
def test_a_config_that_makes_no_sense_says_so(values, said):
    with pytest.raises(InputError, match=said):
        Training(**values)
