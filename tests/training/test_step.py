"""One step: donation, one trace per capacity, padding, trained subsets, cadence, moving average."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_system as tiny

from calojax.shards import Loader
from calojax.system import Model
from calojax.training import Training, step

CONFIG = tiny.Config(training=Training(steps=20, batch=16, tile=8, warmup_steps=0, learning_rate=0.02))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return tiny.write_shards(tmp_path_factory.mktemp("data") / "shards")


class Stepper:
    """A phase of the tiny system, stepped by hand."""

    def __init__(self, shards, config, phase=0, train=None):
        self.config = config
        self.place = step.placement(2)
        self.phase = tiny.phases(config)[phase]
        model = tiny.init(step.purpose_key(0, step.INITIAL), config, shards.manifest)
        params, ema, state = (
            (train.params, train.ema, train.state) if train else (model.params, model.params, model.state)
        )
        begin = jax.jit(
            lambda *trees: step.begin(self.phase, *trees, 0, config.training), out_shardings=self.place.everywhere
        )
        self.train = begin(params, ema, state)
        self.model = Model(None, None, model.constants)
        key = step.purpose_key(0, step.TRAINING)
        self.step = step.make_step(self.phase, self.train.params, config, self.place, key)

    def run(self, batch):
        self.train, values = self.step(self.train, self.model, self.place.batch(batch))
        return jax.tree.map(float, values)

    @property
    def params(self):
        return jax.tree.map(np.array, self.train.params)


def batches(shards, n, tile=8, buckets=(40,)):
    with Loader(shards, batch=16, tile=tile, buckets={"cells": buckets}) as loader:
        return [next(loader) for _ in range(n)]


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def test_the_state_is_donated(shards):
    stepper = Stepper(shards, CONFIG)
    before = stepper.train
    stepper.run(batches(shards, 1)[0])
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))


def test_the_step_is_traced_once_per_capacity(shards, monkeypatch):
    traced = []
    monkeypatch.setattr(tiny, "loss", lambda *a, loss=tiny.loss: (traced.append(a[2]["cells.row"].shape), loss(*a))[1])
    stepper = Stepper(shards, CONFIG)
    for batch in batches(shards, 12, buckets=(18, 24, 40)):  # more than two epochs
        stepper.run(batch)
    assert len(traced) == len(set(traced)) >= 2


def test_rows_of_weight_zero_change_nothing(shards):
    batch = batches(shards, 1)[0]
    batch["weight"][1, 3:] = 0
    junk = {name: array.copy() for name, array in batch.items()}
    junk["incident_energy"][1, 3:] = 123.0
    junk["cells.energy"][1][batch["cells.row"][1] >= 3] = 9.0
    found = []
    for each in (batch, junk):
        stepper = Stepper(shards, CONFIG)
        found.append((stepper.run(each), stepper.params))
    assert found[0][0] == found[1][0] and same(found[0][1], found[1][1])


def test_loss_and_gradient_are_means_over_the_rows_whatever_their_number(shards):
    """Half of the rows twice is the same step as the half once with the other weights 0."""
    batch = batches(shards, 1)[0]
    twice = {name: np.concatenate([array[:1]] * 2) for name, array in batch.items()}
    once = batch | {"weight": batch["weight"] * np.array([[1], [0]], np.float32)}
    config = replace(CONFIG, noise=0.0)
    (a, b) = (Stepper(shards, config).run(each) for each in (twice, once))
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
    assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-6)


def test_phases_train_what_they_name(shards):
    config = replace(CONFIG, split=True)
    first = Stepper(shards, config)
    start = first.params
    for batch in batches(shards, 3):
        first.run(batch)
    assert same(first.params["total"], start["total"]) and not same(first.params["cells"], start["cells"])
    assert same(jax.tree.map(np.array, first.train.ema)["total"], start["total"])
    middle = first.params
    second = Stepper(shards, config, phase=1, train=first.train)
    second.run(batches(shards, 1)[0])
    assert not same(second.params["total"], middle["total"]) and not same(second.params["cells"], middle["cells"])


def test_updates_run_as_often_as_they_say(shards):
    stepper = Stepper(shards, replace(CONFIG, split=True), phase=1)
    changed = []
    for batch in batches(shards, 6):
        before = stepper.params
        values = stepper.run(batch)
        changed.append(not same(stepper.params["total"], before["total"]))
        assert bool(values["total.ran"]) == changed[-1]
    assert changed == [True, False] * 3


def test_the_average_follows_and_lags(shards):
    stepper = Stepper(shards, CONFIG)
    history = []
    for batch in batches(shards, 10):
        stepper.run(batch)
        history.append(stepper.params["cells"]["w"])
    expected, decays = np.zeros((2, 2)), [min(0.999, (1 + t) / (10 + t)) for t in range(10)]
    expected = np.array(tiny.init(step.purpose_key(0, step.INITIAL), CONFIG, shards.manifest).params["cells"]["w"])
    for decay, value in zip(decays, history, strict=True):
        expected = decay * expected + (1 - decay) * value
    np.testing.assert_allclose(stepper.train.ema["cells"]["w"], expected, rtol=1e-5)


def test_every_array_of_the_state_is_on_every_device_and_the_batch_is_split(shards):
    stepper = Stepper(shards, CONFIG)
    batch = stepper.place.batch(batches(shards, 1)[0])
    stepper.train, _ = stepper.step(stepper.train, stepper.model, batch)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(stepper.train))
    assert {array.sharding.shard_shape(array.shape)[0] for array in batch.values()} == {1}


def test_keys_depend_on_the_step_alone(shards):
    """Two states of different history and equal step meet the same noise."""
    batch = batches(shards, 1)[0]
    noisy = replace(CONFIG, noise=5.0, training=replace(CONFIG.training, learning_rate=1e-30, final_learning_rate=0.0))
    a, b = Stepper(shards, noisy), Stepper(shards, noisy)
    b.train = b.train._replace(step=jax.device_put(jnp.array(1, jnp.int32), b.place.everywhere))
    first, second = a.run(batch)["loss"], a.run(batch)["loss"]
    assert b.run(batch)["loss"] == second != first
