"""A run: complete folder, exact resume after a signal and after a kill, refusals, phases, diagnosis."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_system as tiny

from calojax import system, training
from calojax.errors import InputError
from calojax.training import Training, loop, metrics, package, step

TRAINING = Training(
    steps=40,
    batch=16,
    tile=8,
    learning_rate=0.02,
    warmup_steps=5,
    validation_rows=20,
    evaluate_every=20,
    checkpoint_every=10,
    log_every=8,
)
CONFIG = tiny.Config(training=TRAINING)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return tiny.write_shards(tmp_path_factory.mktemp("data") / "shards")


def train(shards, out, config=CONFIG, **options):
    return training.run(tiny, config, shards, out, progress=False, **options)


@pytest.fixture(scope="module")
def whole(shards, tmp_path_factory):
    """A run that was never interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(system.TABLE, "tiny", "tiny_system")
        yield train(shards, tmp_path_factory.mktemp("whole") / "run").run


TIMES = ("steps_per_second", "rows_per_second", "wait_share")


def lines(run):
    """metrics.jsonl without what a clock decides."""
    return [
        (line["step"], line["phase"], {k: v for k, v in line["values"].items() if k not in TIMES})
        for line in metrics.read(run)
    ]


def assert_same(run, other):
    assert lines(run) == lines(other)
    for ema in (True, False):
        a, b = (training.load(each, ema=ema).model for each in (run, other))
        jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_loss_falls_and_the_folder_is_complete(whole):
    values = [line["values"] for line in metrics.read(whole)]
    losses = [v["validation/loss"] for v in values if "validation/loss" in v]
    assert losses[-1] < losses[0]
    assert {"loss", "total", "cells", "gradient_norm", "learning_rate", *TIMES} == set(values[0])
    assert [line[0] for line in lines(whole)] == [8, 16, 20, 24, 32, 40, 40]
    assert {p.name for p in whole.iterdir()} == {
        "config.toml",
        "manifest.json",
        "provenance.json",
        "metrics.jsonl",
        "checkpoints",
    }
    provenance = json.loads((whole / "provenance.json").read_text())
    assert {"seed", "command", "versions", "data_digest", "config_digest", "platform"} <= set(provenance)


def test_a_loaded_run_needs_only_its_folder(whole):
    loaded = training.load(whole)
    assert (loaded.name, loaded.system, loaded.config, loaded.step) == ("run", tiny, CONFIG, 40)
    assert loaded.model.constants["mean_log"] == loaded.manifest.statistics["mean_log"]
    raw = training.load(whole, ema=False).model.params["total"]["w"]
    assert (raw != loaded.model.params["total"]["w"]).any()
    assert training.load(whole, step=30).step == 30


def test_a_packaged_run_loads_to_the_same_model(whole, tmp_path):
    loaded = training.load(whole)
    package.write(loaded, tmp_path / "model")
    packaged = training.load(tmp_path / "model")
    assert (packaged.config, packaged.manifest, packaged.step) == (loaded.config, loaded.manifest, 40)
    assert (tmp_path / "model" / "config.toml").read_text() == (whole / "config.toml").read_text()
    assert (whole / "config.toml").read_text().startswith('system = "tiny"\n')
    jax.tree.map(np.testing.assert_array_equal, packaged.model, loaded.model)
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"params.npz", "config.toml", "manifest.json"}


def test_a_package_of_another_model_names_the_array(whole, tmp_path):
    loaded = training.load(whole)
    wide = {**loaded.model.params, "total": {"bias": np.zeros(2), "w": np.zeros((4, 2))}}
    package.write(loaded._replace(model=loaded.model._replace(params=wide)), tmp_path / "model")
    with pytest.raises(InputError, match=r"params/total/w: has the shape \(4, 2\), but .* needs \(1, 2\)"):
        training.load(tmp_path / "model")


def stop_at(monkeypatch, at, action):
    """Do something when the line of a step is written."""
    write = metrics.MetricsFile.write

    def interrupted(self, number, *rest):
        write(self, number, *rest)
        if number == at:
            action()

    monkeypatch.setattr(metrics.MetricsFile, "write", interrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_resuming_changes_nothing(shards, whole, tmp_path, monkeypatch, number):
    with monkeypatch.context() as patch:
        stop_at(patch, 24, lambda: signal.raise_signal(number))
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run")
    assert lines(tmp_path / "run")[-1][0] == 24
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(shards, tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", whole)


def test_an_interrupted_interval_of_the_log_is_completed(shards, whole, tmp_path):
    """Checkpoints are at 10, 20, 30, lines at 8, 16, 24: a checkpoint carries what the next line needs."""
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "40")
    train(shards, tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", whole)


KILLED = """
import os, sys
sys.path.insert(0, {here!r})
import tiny_system as tiny
from calojax import system, training
from calojax.training import metrics
from test_run import CONFIG
system.TABLE["tiny"] = "tiny_system"
write = metrics.MetricsFile.write
def killed(self, number, *rest):
    write(self, number, *rest)
    if number == 24:
        self._stream.write('{{"step": 25, "half')
        self._stream.flush()
        os._exit(9)
if {kill}:
    metrics.MetricsFile.write = killed
training.run(tiny, CONFIG, {shards!r}, {out!r}, resume={resume}, progress=False)
"""


def test_a_killed_run_resumes_in_a_fresh_process_to_the_same_bits(shards, whole, tmp_path):
    out = tmp_path / "run"
    for kill, code in ((True, 9), (False, 0)):
        text = KILLED.format(
            here=str(Path(__file__).parent), kill=kill, shards=str(shards.folder), out=str(out), resume=not kill
        )
        done = subprocess.run([sys.executable, "-c", text], env=os.environ, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert_same(out, whole)


def test_a_run_killed_before_its_first_checkpoint_starts_again(shards, whole, tmp_path, monkeypatch):
    def kill():
        raise RuntimeError("gone")

    with monkeypatch.context() as patch:
        stop_at(patch, 8, kill)
        with pytest.raises(RuntimeError, match="gone"):
            train(shards, tmp_path / "run")
    with pytest.raises(InputError, match="has no checkpoint"):
        training.load(tmp_path / "run")
    train(shards, tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", whole)


def test_a_finished_run_resumes_to_itself(shards, whole):
    before = lines(whole)
    assert train(shards, whole, resume=True).step == 40
    assert lines(whole) == before


def test_one_and_two_devices_agree(shards, whole, tmp_path, monkeypatch):
    assert len(step.placement(2).split.device_set) == 2
    alone = step.placement(1)
    monkeypatch.setattr(step, "placement", lambda tiles: alone)
    one = train(shards, tmp_path / "run").run
    for (at, _, values), (at_two, _, values_two) in zip(lines(one), lines(whole), strict=True):
        assert at == at_two
        assert values == pytest.approx(values_two, rel=1e-5)
    params, params_two = (training.load(each, ema=False).model.params for each in (one, whole))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), params, params_two)


def test_an_existing_run_is_refused(shards, whole):
    with pytest.raises(InputError, match=r"exists already.*--resume"):
        train(shards, whole)


def test_resuming_with_another_config_names_the_key(shards, whole):
    other = replace(CONFIG, training=replace(TRAINING, learning_rate=0.01))
    with pytest.raises(InputError, match=r"training.learning_rate.*was 0.02.*is 0.01"):
        train(shards, whole, other, resume=True)


def test_resuming_with_another_geometry_or_data_is_refused(whole, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="digest of the shards"):
        train(tiny.write_shards(tmp_path / "other", seed=4), whole, resume=True)
    monkeypatch.setattr(tiny.Geometry, "digest", "1" * 64)
    with pytest.raises(InputError, match=r"geometry.*was 0000"):
        train(tiny.write_shards(tmp_path / "third"), whole, resume=True)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no config.toml"):
        training.load(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        training.load(tmp_path / "nowhere")


def test_a_step_without_checkpoint_is_refused_with_those_there_are(whole):
    with pytest.raises(InputError, match=r"checkpoint 7: does not exist.*20, 30, 40"):
        training.load(whole, step=7)


def test_a_gradient_that_is_not_finite_names_step_phase_and_group(shards, tmp_path):
    config = replace(CONFIG, poison_step=12)
    with pytest.raises(training.NonFiniteLoss, match=r"step 13, phase `all`.*group `cells`"):
        train(shards, tmp_path / "run", config)
    assert training.load(tmp_path / "run").step == 10  # the last whole one


def test_resuming_in_the_second_phase_changes_nothing(shards, tmp_path, monkeypatch):
    config = replace(CONFIG, split=True)
    train(shards, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        stop_at(patch, 32, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", config)
    train(shards, tmp_path / "run", config, resume=True)
    assert_same(tmp_path / "run", tmp_path / "whole")
    named = {name for _, phase, values in lines(tmp_path / "run") if phase == "both" for name in values}
    assert {"cells.loss", "total.loss", "validation/cells.loss"} <= named


def test_the_loop_leaves_no_thread(shards, tmp_path):
    before = {t.name for t in loop.threading.enumerate()}
    train(shards, tmp_path / "run")
    assert "calojax-loader" not in {t.name for t in loop.threading.enumerate()} - before
