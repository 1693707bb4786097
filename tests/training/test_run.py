"""A run: complete folder, exact resume after a signal and after a kill, refusals, phases, diagnosis."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_system as tiny

from calojax import config as configuration
from calojax import system, training, writing
from calojax.errors import InputError
from calojax.training import Training, checkpoints, loop, metrics, package, step

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


def test_two_processes_never_go_on_with_the_same_run(shards, whole):
    refused = pytest.raises(InputError, match="run: is being written by another process")
    with writing.claimed(whole), refused:
        train(shards, whole, resume=True)


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


def test_a_run_left_while_the_second_phase_is_prepared_resumes_from_the_end_of_the_first(shards, tmp_path, monkeypatch):
    """The step is saved already, with the loss of the first phase: it stays a checkpoint of that phase."""
    config = replace(CONFIG, split=True, training=replace(TRAINING, checkpoint_every=5))
    train(shards, tmp_path / "whole", config)
    make_step = step.make_step

    def left(phase, *inputs):
        if phase.name == "both":
            signal.raise_signal(signal.SIGTERM)
        return make_step(phase, *inputs)

    with monkeypatch.context() as patch:
        patch.setattr(step, "make_step", left)
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", config)
    train(shards, tmp_path / "run", config, resume=True)
    assert_same(tmp_path / "run", tmp_path / "whole")


def set_bias(shards, params, config):
    return params | {"total": params["total"] | {"bias": np.array([0.5, -0.5], np.float32)}}


@pytest.mark.parametrize("at", [20, 32])
def test_a_fit_between_two_phases_is_a_step_and_leaves_other_averages_alone(shards, tmp_path, monkeypatch, at):
    config = replace(CONFIG, split=True, training=replace(TRAINING, checkpoint_every=0))
    before, after = tiny.phases(config)
    monkeypatch.setattr(tiny, "phases", lambda config: (before, system.Fit("bias", set_bias), after))
    train(shards, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        stop_at(patch, at, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", config)
    raw, average = (training.load(tmp_path / "run", ema=ema).model.params for ema in (False, True))
    assert (raw["cells"]["w"] != average["cells"]["w"]).any()
    train(shards, tmp_path / "run", config, resume=True)
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert training.load(tmp_path / "run").step == 41


def test_the_loop_leaves_no_thread(shards, tmp_path):
    before = {t.name for t in threading.enumerate()}
    train(shards, tmp_path / "run")
    after = {t.name for t in threading.enumerate()} - before
    assert not [name for name in after if name.startswith("calojax")]


def interrupt_validation(monkeypatch, at):
    """A signal after the first batch of the validation of a step."""
    check = loop._Trainer._leave_if_asked

    def interrupted(self, *, now):
        if self.done == at and self.unvalidated:
            signal.raise_signal(signal.SIGTERM)
        check(self, now=now)

    monkeypatch.setattr(loop._Trainer, "_leave_if_asked", interrupted)


@pytest.mark.parametrize("at", [20, 40])
def test_a_signal_during_validation_repeats_it(shards, whole, tmp_path, monkeypatch, at):
    with monkeypatch.context() as patch:
        interrupt_validation(patch, at)
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run")
    assert not [line for line in lines(tmp_path / "run") if line[0] == at and "validation/loss" in line[2]]
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for run in ("run", "copy"):
        train(shards, tmp_path / run, resume=True)
        assert_same(tmp_path / run, whole)
        assert checkpoints.listed(tmp_path / run) == checkpoints.listed(whole)
        assert training.load(tmp_path / run, "best").step == training.load(whole, "best").step


def test_a_half_checkpoint_is_not_chosen(shards, whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "checkpoints" / "40").rename(run / "checkpoints" / "40.orbax-checkpoint-tmp")
    assert training.load(run).step == 30
    train(shards, run, resume=True)
    assert_same(run, whole)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["20", "30", "40"]


@pytest.mark.parametrize("gone", ["meta", "params", "metrics"])
def test_a_checkpoint_that_is_half_removed_is_no_candidate_and_goes_when_the_run_goes_on(shards, whole, tmp_path, gone):
    """Orbax removes old checkpoints file by file; a kill may come in between."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.copytree(run / "checkpoints" / "30", run / "checkpoints" / "10")
    shutil.rmtree(run / "checkpoints" / "10" / gone)
    assert [training.load(run, which).step for which in ("best", "last")] == [40, 40]
    train(shards, run, resume=True)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["20", "30", "40"]
    assert_same(run, whole)


def test_the_best_checkpoint_is_kept_beside_the_latest(shards, tmp_path, monkeypatch):
    """Validation losses 3, 1, 2, 4 at the steps 10 to 40, and a resume in between."""
    loss = loop._loss
    falls = {10: 3.0, 20: 1.0, 30: 2.0, 40: 4.0}
    save = loop.Checkpoints.save
    assert loss({"validation/loss": 2.0, "loss": 3.0}, "validation/") == 2.0

    def planted(self, train, meta, *, loss=None):
        save(self, train, meta, loss=None if loss is None else falls[meta["step"]])

    monkeypatch.setattr(loop.Checkpoints, "save", planted)
    config = replace(CONFIG, training=replace(TRAINING, evaluate_every=10, keep=1))
    with monkeypatch.context() as patch:
        stop_at(patch, 32, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", config)
    train(shards, tmp_path / "run", config, resume=True)
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["20", "40"]
    assert [training.load(tmp_path / "run", which).step for which in ("best", "last", 20)] == [20, 40, 20]


def test_without_validation_there_is_no_best(shards, tmp_path):
    config = replace(CONFIG, training=replace(TRAINING, steps=10, validation_rows=0))
    train(shards, tmp_path / "run", config)
    with pytest.raises(InputError, match="best checkpoint: is not known"):
        training.load(tmp_path / "run", "best")


def test_checkpoints_of_another_run_are_refused(shards, whole, tmp_path):
    run = tmp_path / "run"
    other = replace(CONFIG, noise=0.3, training=replace(TRAINING, steps=20))
    train(shards, run, other)
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(whole / "checkpoints", run / "checkpoints")
    said = r"run, checkpoint 40, noise: is 0\.1, but in the folder of its run it is 0\.3"
    with pytest.raises(InputError, match=said):
        training.load(run)
    with pytest.raises(InputError, match=said):
        train(shards, run, other, resume=True)


def change_meta(run, step, **values):
    path = run / "checkpoints" / str(step) / "meta" / "metadata"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"version": 99}, "checkpoint 40: has format version 99, but this calojax reads version"),
        ({"geometry_digest": "1" * 64}, "checkpoint 40, geometry digest: is 1111"),
        ({"data_digest": "2" * 64}, "checkpoint 40, digest of the shards: is 2222"),
    ],
)
def test_a_checkpoint_of_another_version_geometry_or_data_is_refused(whole, tmp_path, values, said):
    shutil.copytree(whole, tmp_path / "run")
    change_meta(tmp_path / "run", 40, **values)
    with pytest.raises(InputError, match=said):
        training.load(tmp_path / "run")


def test_a_checkpoint_from_before_a_field_existed_has_its_default(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    table = configuration.to_table(CONFIG)
    del table["noise"], table["training"]["keep"]
    change_meta(tmp_path / "run", 40, config=table)
    assert training.load(tmp_path / "run").step == 40


def test_a_damaged_checkpoint_is_refused(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "40" / "ema")
    with pytest.raises(InputError, match="checkpoint 40: cannot be restored"):
        training.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("w", (2, 2), r"parameter total/w: has the shape \(1, 2\), but the model needs \(2, 2\)"),
        ("v", (2, 2), r"parameter total/v: is missing, but the model needs \(2, 2\)"),
    ],
)
def test_a_checkpoint_of_another_model_names_the_parameter(whole, monkeypatch, name, shape, said):
    init = tiny.init

    def other(*inputs):
        model = init(*inputs)
        model.params["total"][name] = np.zeros(shape)
        return model

    monkeypatch.setattr(tiny, "init", other)
    with pytest.raises(InputError, match=said):
        training.load(whole)


def test_a_signal_before_the_first_step_leaves_nothing(shards, tmp_path):
    """In a process of its own: it is left from within the compilation."""
    text = KILLED.format(
        here=str(Path(__file__).parent), kill=False, shards=str(shards.folder), out=str(tmp_path / "run"), resume=False
    )
    text = text.replace("training.run(", BEFORE_COMPILING + "training.run(")
    done = subprocess.run([sys.executable, "-c", text], env=os.environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "calojax: interrupted\n")
    assert list(tmp_path.iterdir()) == []


COMPILING = """
import signal, time
from calojax.training import step
make_step, compiled = step.make_step, []
class Slow:
    def __init__(self, *inputs):
        self.step = make_step(*inputs)
    def lower(self, *inputs):
        compiled.append(inputs[2]["cells.row"].shape)
        if len(compiled) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        return self.step.lower(*inputs)
step.make_step = Slow
"""


def test_a_signal_while_a_second_shape_is_compiled_loses_no_batch(shards, whole, tmp_path):
    """The batch that needs it has left the loader, and its step is still to be done."""
    out = tmp_path / "run"
    text = KILLED.format(
        here=str(Path(__file__).parent), kill=False, shards=str(shards.folder), out=str(out), resume=False
    )
    text = text.replace("training.run(", COMPILING + "training.run(")
    done = subprocess.run([sys.executable, "-c", text], env=os.environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "calojax: interrupted\n")
    assert 0 < training.load(out).step < 40
    train(shards, out, resume=True)
    assert_same(out, whole)


BEFORE_COMPILING = """
import signal, time
from calojax.training import folder
initial = folder.initial
def slow(*inputs):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
folder.initial = slow
"""


@pytest.mark.parametrize("rows", [1, 10])
def test_fewer_rows_than_a_batch_are_trained_on(shards, tmp_path, monkeypatch, rows):
    monkeypatch.setitem(system.TABLE, "tiny", "tiny_system")
    few = tiny.write_shards(tmp_path / "shards", rows=rows)
    config = replace(CONFIG, training=replace(TRAINING, steps=3, batch=16, validation_rows=0))
    done = train(few, tmp_path / "run", config)
    assert done.step == 3
    assert np.isfinite(done.values["loss"])


@pytest.mark.skipif(os.name != "posix", reason="names are any bytes on POSIX only")
def test_a_run_is_saved_and_loaded_under_any_name(shards, whole, tmp_path, monkeypatch):
    """Orbax reads brackets as a pattern, and cannot open what is no UTF-8."""
    monkeypatch.setitem(system.TABLE, "tiny", "tiny_system")
    run = tmp_path / "a [1]* \udcff"
    train(shards, run)
    assert_same(run, whole)
    train(shards, run, resume=True)
    assert training.load(run).name == "a [1]* \\xff"
