"""The page of a run: what it draws is what metrics.jsonl says, for any number of phases, updates and lines."""

import json
import math
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from calojax import config as configuration
from calojax import preparation, report, training, verbs
from calojax.errors import InputError
from calojax.report import drawing, losses
from calojax.shards.manifest import Manifest, Part
from calojax.systems.pyramid.config import Config
from calojax.training import folder, metrics

SPEED = {"steps_per_second": 2.0, "rows_per_second": 256.0, "wait_share": 0.001}


def line(step, values, phase="all"):
    return {"step": step, "phase": phase, "time": step / 2.0, "values": values}


def logged(step, loss, prefix=""):
    """What training logs of one update."""
    own = {"loss": loss, "hits": 0.25 * loss, "gradient_norm": 1.0 / step, "learning_rate": 1e-3}
    return {prefix + name: value for name, value in own.items()}


def validated(loss, prefix=""):
    return {f"validation/{prefix}{name}": value for name, value in (("loss", loss), ("hits", 0.25 * loss))}


ONE_PHASE = [
    *(line(step, logged(step, 4 + 100 / step) | SPEED) for step in (10, 20, 30)),
    line(30, validated(7.5)),
    *(line(step, logged(step, 4 + 100 / step) | SPEED) for step in (40, 50, 60)),
    line(60, validated(7.75)),
]
TWO_PHASES = [
    *(line(step, logged(step, 100.0 / step) | SPEED, "<auto>") for step in (10, 20)),
    line(20, validated(6.0), "<auto>"),
    line(30, logged(30, 1.5, "generator.") | logged(30, -2.0, "critic.") | SPEED, "both"),
    line(40, logged(40, 1.25, "generator.") | SPEED, "both"),  # the critic did not run since the line before
    line(40, validated(1.75, "generator.") | validated(-2.5, "critic."), "both"),
]


@pytest.fixture
def a_run(tmp_path):
    """A function that writes a run folder without checkpoints: `a_run(lines, name)` -> path."""

    def write(lines, name="run", text=None):
        run = tmp_path / name
        run.mkdir()
        Manifest("pyramid", 3000, {}, parts=(Part(3000, {}),)).write(run)
        (run / folder.CONFIG).write_text(configuration.to_toml(Config(), system="pyramid"))
        provenance = {"steps": 60, "versions": {"calojax": "9.9"}, "platform": {"devices": ["tpu", "tpu"]}}
        (run / folder.PROVENANCE).write_text(json.dumps(provenance))
        (run / metrics.METRICS).write_text("".join(json.dumps(one) + "\n" for one in lines) if text is None else text)
        return run

    return write


@pytest.fixture
def drawn(monkeypatch):
    """The figures in the order in which they are drawn; what is not right is not only a warning."""
    found = []

    def keep(figure, *rest, **options):
        found.append(figure)
        return drawing.picture(figure, *rest, **options)

    monkeypatch.setattr(losses, "picture", keep)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield found


def page(run):
    return report.write_run(run).read_text(encoding="utf-8")


def said(text):
    """The page without its images."""
    return re.sub(r'src="[^"]*"', "", text)


def curves(axis):
    """Of an axis, by label: [(step, value), ...]."""
    return {one.get_label(): list(map(tuple, one.get_xydata())) for one in axis.lines if one.get_label()[0] != "_"}


# ---- what is shown


def test_the_values_drawn_are_those_of_the_file(a_run, drawn):
    page(a_run(ONE_PHASE))
    whole, late = drawn[0].axes
    expected = [(step, 4 + 100 / step) for step in (10, 20, 30, 40, 50, 60)]
    assert curves(whole) == {"training": expected, "validation": [(30, 7.5), (60, 7.75)]}
    assert curves(late) == curves(whole)
    assert late.get_xlim()[0] == pytest.approx(35, abs=2) and late.get_ylim()[1] < 8.5
    (hits,) = drawn[1].axes
    assert hits.get_title() == "hits"
    assert curves(hits)["training"] == [(step, value / 4) for step, value in expected]
    norm, rate, speed, waiting = drawn[2].axes
    assert [tuple(norm.lines[0].get_xydata()[-1]), tuple(rate.lines[0].get_xydata()[0])] == [(60, 1 / 60), (10, 1e-3)]
    assert set(speed.lines[0].get_ydata()) == {2.0}
    np.testing.assert_allclose(waiting.lines[0].get_ydata(), 0.1)  # per cent


def test_the_page_says_what_was_trained_and_how_good_it_became(a_run):
    text = said(page(a_run(ONE_PHASE, "electrons & <i>")))
    assert "<h1>Training of electrons &amp; &lt;i&gt;</h1>" in text and "<i>" not in text
    for words in ("steps: 60 of 60", "2,000 rows, 1,000 more held out", "0 min 30 s", "256 rows/s", "2 × tpu"):
        assert f"{words}</li>" in text.replace("trained on: ", "").replace("time: ", "").replace("median speed: ", "")
    cells = re.findall(r"<td>([^<]*)<span class=\"ref\">at step ([\d,]+)", text)
    assert cells == [("5.6667 ", "60"), ("7.75 ", "60"), ("7.5 ", "30")]


def test_the_page_needs_nothing_else_and_is_light(a_run):
    text = page(a_run(ONE_PHASE))
    assert re.findall(r'src="([^,]{0,40}),', text) == ["data:image/svg+xml;base64"] * 3
    assert not re.findall(r"""<script|<link|\shref=(?!"#)|\ssrc=(?!"data:)|url\(|@import""", text)
    assert len(text) < 500_000


def test_every_update_of_every_phase_has_its_own_curves(a_run, drawn):
    text = page(a_run(TWO_PHASES))
    titles = [axis.get_title() for axis in drawn[0].axes[::2]]
    assert titles == [f"{one}: from the beginning" for one in ("<auto>", "both, generator", "both, critic")]
    auto, generator, critic = map(curves, drawn[0].axes[::2])
    assert auto == {"training": [(10, 10), (20, 5)], "validation": [(20, 6)]}
    assert generator == {"training": [(30, 1.5), (40, 1.25)], "validation": [(40, 1.75)]}
    assert critic == {"training": [(30, -2)], "validation": [(40, -2.5)]}
    norms = drawn[-1].axes[0]
    assert set(curves(norms)) >= {"<auto>", "both, generator", "both, critic"}
    assert [list(one.get_xdata()) for one in norms.lines[-1:]] == [[20, 20]]  # where the first phase ends
    assert "Dotted: the end of &lt;auto&gt; at 20." in text and "<auto>" not in text


def test_a_loss_of_many_decades_is_logarithmic_and_one_below_zero_is_not(a_run, drawn):
    page(a_run([line(step, logged(step, 1e4 / step) | SPEED) for step in (1, 10, 100)], "positive"))
    page(a_run([line(step, logged(step, 1e4 / step - 200) | SPEED) for step in (1, 10, 100)], "negative"))
    assert [figure.axes[0].get_yscale() for figure in (drawn[0], drawn[3])] == ["log", "linear"]


def test_many_lines_are_averaged_to_few_points_and_the_page_says_so(a_run, drawn):
    lines = [line(10 * n, logged(10 * n, float(n % 3)) | SPEED) for n in range(1, 1504)]
    text = page(a_run(lines))
    points = np.array(curves(drawn[0].axes[0])["training"])
    assert len(points) == 376 and tuple(points[0]) == (40, 1.0)  # (1 + 2 + 0 + 1) / 4
    assert tuple(points[-1]) == (15030, 1.0)  # the last three: (0 + 1 + 2) / 3
    assert "means of neighbouring ones are shown" in text and len(text) < 500_000


@pytest.mark.parametrize("count", [1, 2])
def test_one_line_is_a_page(a_run, drawn, count):
    text = page(a_run(ONE_PHASE[:count]))
    assert len(curves(drawn[0].axes[0])["training"]) == count
    assert drawn[0].axes[0].lines[0].get_marker() == "o"  # one point has no line
    assert "Validation" not in said(text)


def test_a_validation_that_is_not_finite_is_a_gap(a_run, drawn):
    lines = [*ONE_PHASE, line(60, validated(math.nan))]
    text = said(page(a_run(lines)))
    assert not re.search(r"\bnan\b", text, re.IGNORECASE) and "7.5 " in text
    assert drawn[0].axes[1].get_ylim()[1] < 8.5


def test_a_line_cut_by_a_kill_is_left_out_and_a_second_page_replaces_the_first(a_run, drawn):
    whole = "".join(json.dumps(one) + "\n" for one in ONE_PHASE[:2])
    run = a_run([], text=whole + '{"step": 30, "ph')
    page(run)
    assert len(curves(drawn[0].axes[0])["training"]) == 2
    (run / metrics.METRICS).write_text(whole + "".join(json.dumps(one) + "\n" for one in ONE_PHASE[2:]))
    assert "steps: 60 of 60" in page(run)
    assert [path.name for path in (run / "report").iterdir()] == ["index.html"]


# ---- what is refused


def test_a_folder_that_is_no_run_or_has_no_line_is_refused_and_nothing_is_written(a_run, tmp_path):
    for path, words in (
        (tmp_path / "elsewhere", "is no folder, but a run is"),
        (tmp_path, "has no provenance.json"),
        (a_run([]), "metrics.jsonl: has no line yet"),
    ):
        with pytest.raises(InputError, match=words):
            report.write_run(path)
        assert not (path / "report").exists()


def test_a_report_that_cannot_be_written_names_the_file(a_run):
    run = a_run(ONE_PHASE)
    (run / "report").write_text("in the way")
    with pytest.raises(InputError, match=r"index\.html: cannot be written"):
        report.write_run(run)


# ---- at the end of training


@pytest.fixture
def train(monkeypatch, a_run, tmp_path):
    """`train(lines)`: what `calojax train` does around a training that logs these lines; the run folder."""

    def through(lines, interrupted=False):
        def pretend(system, config, shards, out, **options):
            a_run(lines, out.name)
            if interrupted:
                raise KeyboardInterrupt

        monkeypatch.setattr(training, "run", pretend, raising=False)
        monkeypatch.setattr(preparation, "shards", lambda *given: None)
        toml = tmp_path / "experiment.toml"
        toml.write_text('system = "pyramid"\n')
        try:
            verbs.train(toml, "shards", tmp_path / "trained", progress=False)
        except KeyboardInterrupt:
            assert interrupted
        return tmp_path / "trained"

    return through


def test_training_ends_with_the_report_and_says_nothing_of_it(train, drawn, capsys):
    assert (train(ONE_PHASE) / losses.PAGE).is_file()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("lines", "interrupted"), [([], False), (ONE_PHASE, True)])
def test_a_run_without_a_line_and_an_interrupted_one_have_no_report(train, lines, interrupted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not (train(lines, interrupted) / "report").exists()


def test_without_matplotlib_training_succeeds_with_one_warning(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.warns(UserWarning) as caught:
        run = train(ONE_PHASE)
    (one,) = caught
    assert f"{run} is trained, but its losses are not drawn: matplotlib: is not installed" in str(one.message)
    assert not Path(run, "report").exists()


def test_only_the_first_process_writes_the_report(train, monkeypatch):
    monkeypatch.setattr("calojax.training.processes.is_first", lambda: False)
    assert not (train(ONE_PHASE) / "report").exists()
