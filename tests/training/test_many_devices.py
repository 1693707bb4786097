"""Eight devices, one, and numbers between: the same run, whatever it began on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_system as tiny
import watched_run
from watched_run import CONFIG, TRAINING

from calojax.training import metrics

ROWS = 101
CLOCKS = {"steps_per_second", "rows_per_second", "wait_share"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    rows = ROWS + TRAINING.validation_rows
    return tiny.write_shards(tmp_path_factory.mktemp("data") / "shards", rows=rows, rows_per_shard=10)


@pytest.fixture(scope="module")
def many(shards, tmp_path_factory) -> Path:
    """The folder that a process with eight devices leaves: runs `eight` and `three`, their states, found.json."""
    folder = tmp_path_factory.mktemp("many")
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, watched_run.__file__, shards.folder, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def found(many):
    return json.loads((many / "found.json").read_text())


@pytest.fixture(scope="module")
def one(shards, tmp_path_factory):
    """(run folder, what was seen of it) on one device."""
    out = tmp_path_factory.mktemp("one") / "run"
    return out, watched_run.train(CONFIG, shards, out, 1)


def lines(run):
    return [
        (line["step"], line["phase"], {k: v for k, v in line["values"].items() if k not in CLOCKS})
        for line in metrics.read(run)
    ]


def assert_agree(run, state, other, other_state):
    """Every line and every array, to rounding."""
    for (at, phase, values), (at_other, phase_other, others) in zip(lines(run), lines(other), strict=True):
        assert (at, phase) == (at_other, phase_other)
        assert values == pytest.approx(others, rel=1e-5), (at, phase)
        assert values.get("learning_rate") == others.get("learning_rate")
    assert state.keys() == other_state.keys()
    for name, array in state.items():
        np.testing.assert_allclose(array, other_state[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_every_array_is_where_it_belongs(found):
    eight = found["eight"]
    assert eight["devices"] == 8
    assert eight["misplaced"] == []
    leaves = {"['cells']['w']", "['cells']['bias']", "['total']['w']", "['total']['bias']"}
    optimiser = {name for name in eight["arrays"] if name.startswith(".optimiser['all']")}
    moments = {name.partition(moment)[2] for moment in (".mu", ".nu") for name in optimiser if moment in name}
    assert moments == {"['cells/w']", "['cells/bias']", "['total/w']", "['total/bias']"}
    assert set(eight["arrays"]) - optimiser == {
        *(f".{tree}{leaf}" for tree in ("params", "ema") for leaf in leaves),
        ".state['seen']",
        ".step",
        ".phase_step",
        *("['mean_log']", "['cells']"),  # constants
        *("['weight']", "['incident_energy']", "['number']", "['cells.index']", "['cells.energy']", "['cells.row']"),
    }


def test_eight_devices_train_what_one_trains(many, found, one):
    run, seen = one
    assert (seen.devices, seen.misplaced) == (1, set())
    assert [sorted(rows) for rows in found["eight"]["rows"]] == [sorted(rows) for rows in seen.rows]
    assert_agree(many / "eight", np.load(many / "eight.npz"), run, seen.state)


def test_a_batch_that_the_devices_do_not_divide_uses_fewer(many, found, one):
    """Eight tiles on three devices: two are used."""
    three = found["three"]
    assert (three["devices"], three["misplaced"]) == (2, [])
    assert watched_run.epochs(three["rows"], 7) == [list(range(ROWS))] * 3
    assert_agree(many / "three", np.load(many / "three.npz"), *(one[0], one[1].state))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_checkpoint_of_eight_devices_goes_on_on_fewer(shards, many, one, tmp_path, devices):
    """In a process that does not have the eight."""
    assert jax.device_count() < 8
    run = tmp_path / "run"
    shutil.copytree(many / "eight", run)
    for later in ("20", "21"):
        shutil.rmtree(run / "checkpoints" / later)
    seen = watched_run.train(CONFIG, shards, run, devices, resume=True)
    assert (seen.devices, seen.misplaced) == (devices, set())
    assert len(seen.rows) == 11
    assert_agree(run, seen.state, one[0], one[1].state)


def test_one_three_and_eight_devices_generate_the_same_bits(found):
    assert list(found["showers"].values()) == [[1, 3, 8]]
