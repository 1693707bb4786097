"""`evaluate` with classifiers, other generators and published results; ended by SIGKILL and gone on with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest

from calojax import evaluation, report
from calojax.evaluation import classifiers, judging, told_apart
from calojax.evaluation.classifiers import inputs, networks, training

NETWORKS = 2 * 3 * 5  # of the standard level: kinds, seeds, parts of a cross-fit
SMALL = """
import sys, time
from calojax import cli
from calojax.evaluation.classifiers import inputs, networks, training
inputs.network = lambda kind, geometry, dtype: networks.dense(inputs.width(kind, geometry), width=16, dtype=dtype)
train = training.train
def slowly(*args, **options):
    time.sleep(0.2)
    return train(*args, **options)
training.train = slowly
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three files of 50 showers of one kind, and one of a generator that doubles every energy."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    for name, scale in (("reference", 1), ("honest", 1), ("train", 1), ("doubled", 2)):
        energies, shares = np.exp(random.uniform(7, 11, (50, 1))), random.gamma(0.2, size=(50, 368))
        _write(folder / f"{name}.hdf5", energies, scale * energies * shares / 80)
    return folder


def _write(path, energies, showers):
    with h5py.File(path, "w") as out:
        out["incident_energies"], out["showers"] = energies, showers


@pytest.fixture
def trained(monkeypatch):
    """Counts the networks that are trained; they are small ones."""
    kinds, train = [], training.train
    narrow = lambda kind, geometry, dtype: networks.dense(inputs.width(kind, geometry), width=16, dtype=dtype)
    monkeypatch.setattr(inputs, "network", narrow)

    def counting(*args, **options):
        kinds.append(args)
        return train(*args, **options)

    monkeypatch.setattr(training, "train", counting)
    return kinds


@pytest.fixture
def no_report(monkeypatch):
    """Figures take longer than what is tested here."""
    monkeypatch.setattr(report, "write", lambda *_, **__: None)


def arguments(files, out, *more, generated="honest"):
    return (
        "evaluate",
        files / "reference.hdf5",
        files / f"{generated}.hdf5",
        "--geometry",
        "ds1-photons",
        "--out",
        out,
        *more,
    )


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())["metrics"]


class Tables(HTMLParser):
    """The cells of all tables of a page, a list for each row."""

    def __init__(self, page):
        super().__init__()
        self.rows, self._cell = [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        self._cell &= tag not in ("td", "th")

    def handle_data(self, text):
        if self._cell:
            self.rows[-1][-1] += text


def test_the_standard_level_trains_its_classifiers(files, command, tmp_path, trained, no_report, capsys):
    out = tmp_path / "judged"
    assert command(*arguments(files, out)) == 0
    assert len(trained) == NETWORKS
    assert "TFLOP" in capsys.readouterr().err
    found = metrics(out)
    for kind in ("low", "high"):
        one = found[f"classifier.{kind}.auc"]
        assert {"seeds", "epochs", "spread", "uncalibrated"} <= set(one)
        assert (one["floor"], one["n_generated"]) == (0.5, 50)
    assert not any(name.startswith("classifier.cnn") for name in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["judged"]  # the networks are not kept


def test_the_time_of_all_generators_is_said_once_when_their_showers_are_read(
    files, command, tmp_path, no_report, capsys, monkeypatch
):
    """One that was judged before takes none."""
    monkeypatch.setattr(classifiers, "seconds", lambda flop, kind, geometry: flop / 1e12)
    judged = evaluation.Metrics({}, {})
    monkeypatch.setattr(judging, "judge_read", lambda asked, **_: print("judged", file=sys.stderr) or judged)
    said, works = [], []
    for number, others in enumerate(((), ("--compare", f"a={files / 'doubled.hdf5'}", f"b={files / 'train.hdf5'}"))):
        assert command(*arguments(files, tmp_path / str(number), *others)) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("read ")]
        assert lines[1:] == ["judged"] * (3 if others else 1)
        said.append(lines[0])
        works.append(float(re.findall(r"([\d.,]+) TFLOP", lines[0])[0].replace(",", "")))
    assert works[1] == pytest.approx(3 * works[0], rel=0.01)
    assert said[1].startswith("classifiers of 3 generators: ") and said[0].startswith("classifiers: ")
    assert told_apart.in_words(works[1]) in said[1] and said[1].endswith("on this machine")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3, "less than a minute"),
        (60, "about a minute"),
        (89, "about a minute"),
        (301, "about 5 minutes"),
        (5400, "about 90 minutes"),
        (9000, "about 2.5 hours"),
    ],
)
def test_a_time_is_said_as_people_say_it(seconds, said):
    assert told_apart.in_words(seconds) == said


def test_several_generators_stand_in_one_table(files, command, tmp_path):
    """One given as showers, one as a folder that was judged before; published results are marked as other data."""
    before, out = tmp_path / "before", tmp_path / "judged"
    assert command(*arguments(files, before, "--quick", generated="doubled")) == 0
    others = ("--compare", f"doubled={files / 'doubled.hdf5'}", f"before={before}", "--published")
    assert command(*arguments(files, out, "--quick", *others)) == 0
    rows = {row[0]: row for row in Tables((out / "index.html").read_text()).rows if row}
    at = rows["generator"].index("S: E_tot")
    by_name = {name: row[at] for head, row in rows.items() for name in ("doubled", "before") if head.startswith(name)}
    assert by_name["doubled"] == by_name["before"]
    value = metrics(before)["separation.e_tot"]["value"]
    assert float(by_name["doubled"].split("±")[0].split("(")[0]) == pytest.approx(value, rel=0.06)
    published = [head for head in rows if "published: other data" in head]
    assert any("CaloDiffusion" in head for head in published)


def test_that_a_geometry_has_no_published_results_is_said(files, command, tmp_path, no_report, capsys, monkeypatch):
    monkeypatch.setattr(judging, "judge_read", lambda *_, **__: evaluation.Metrics({}, {}))
    (tmp_path / "one.xml").write_text(
        '<Bins><Bin pid="11" name="e"><Layer id="0" r_edges="0,1,2" n_bin_alpha="184"/></Bin></Bins>'
    )
    for number, (geometry, said) in enumerate(((tmp_path / "one.xml", True), ("ds1-photons", False))):
        sources = (files / "reference.hdf5", files / "honest.hdf5")
        out = tmp_path / str(number)
        assert command("evaluate", *sources, "--geometry", geometry, "--quick", "--published", "--out", out) == 0
        assert ("warning: there are no published results on" in capsys.readouterr().err) == said


def test_a_generator_judged_against_something_else_is_refused(files, command, tmp_path, no_report, capsys):
    before, out = tmp_path / "before", tmp_path / "judged"
    reference, generated = files / "train.hdf5", files / "honest.hdf5"
    assert command("evaluate", reference, generated, "--geometry", "ds1-photons", "--quick", "--out", before) == 0
    assert command(*arguments(files, out, "--quick", "--compare", f"before={before}")) == 2
    assert "reference" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("spoiled", ["missing", "layout", "cells", "judged"])
def test_other_generators_are_looked_at_before_anything_is_judged(
    files, command, tmp_path, no_report, capsys, spoiled, monkeypatch
):
    """Those that lie in files are looked at before anything is read."""
    other = tmp_path / "other.hdf5"
    if spoiled == "judged":
        other.mkdir()
        sample = {"source": "a file", "showers": 50, "digest": "of another"}
        floor = {"kind": "halves of the reference", "n_reference": 25, "n_generated": 25}
        inputs = {"reference": sample, "generated": sample, "geometry": {"name": "ds1-photons"}, "floor": floor}
        (other / "metrics.json").write_text(
            json.dumps({"schema": "calojax.metrics/1", "inputs": inputs, "metrics": {}})
        )
    elif spoiled != "missing":
        _write(other, np.ones((5, 1)), np.ones((5, 368 if spoiled == "layout" else 367)))
    if spoiled == "layout":
        with h5py.File(other, "a") as file:
            del file["incident_energies"]
    done, read = [], judging.read
    monkeypatch.setattr(judging, "read", lambda *given: done.append("read") or read(*given))
    monkeypatch.setattr(judging, "judge_read", lambda *_, **__: done.append("judged"))
    out = tmp_path / "judged"
    assert command(*arguments(files, out, "--quick", "--compare", f"good={files / 'honest.hdf5'}", f"bad={other}")) == 2
    assert ("bad" if spoiled == "judged" else "other.hdf5") in capsys.readouterr().err
    assert done == (["read"] if spoiled == "judged" else [])
    assert not out.exists()


@pytest.mark.parametrize("names", [("honest.hdf5",), ("one", "other", "one")])
def test_a_name_for_two_generators_is_refused_before_anything_is_read(files, command, tmp_path, capsys, names):
    """One of them would be missing from the report."""
    others = [f"{name}={files / 'doubled.hdf5'}" for name in names]
    assert command(*arguments(files, tmp_path / "judged", "--quick", "--compare", *others)) == 2
    said = capsys.readouterr().err
    assert names[0] in said and "name" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_names_of_generators_are_no_paths(files, command, tmp_path, trained, no_report):
    """And networks of the same showers are trained once, whatever these are called."""
    out = tmp_path / "a" / "b" / "judged"
    names = ("../../../escaped", "n" * 300)
    assert command(*arguments(files, out, "--compare", *(f"{name}={files / 'doubled.hdf5'}" for name in names))) == 0
    assert len(trained) == 2 * NETWORKS
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in out.parent.iterdir()] == ["judged"]
    assert sorted(path.name for path in out.iterdir()) == ["curves.npz", "metrics.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_classifiers_survive_a_kill(files, command, tmp_path, trained, no_report, capsys):
    calm, out = tmp_path / "calm", tmp_path / "judged"
    assert command(*arguments(files, calm)) == 0
    process = subprocess.Popen(
        [sys.executable, "-c", SMALL, *map(str, arguments(files, out))], stderr=subprocess.DEVNULL, env=os.environ
    )
    kept = tmp_path / ".judged.partial" / "classifiers"
    while process.poll() is None and len(list(kept.glob("*.json"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    assert command(*arguments(files, out)) == 2
    assert "--resume" in capsys.readouterr().err
    trained.clear()
    done = len(list(kept.glob("*.json")))
    assert command(*arguments(files, out, "--resume")) == 0
    assert len(trained) == NETWORKS - done
    assert metrics(out) == metrics(calm)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calm", "judged"]


def test_resuming_with_other_showers_trains_again(files, command, tmp_path, trained, no_report, monkeypatch):
    out, train = tmp_path / "judged", training.train

    def interrupted(*args, **options):
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(*args, **options)

    monkeypatch.setattr(training, "train", interrupted)
    assert command(*arguments(files, out)) == 130
    monkeypatch.setattr(training, "train", train)
    trained.clear()
    assert command(*arguments(files, out, "--resume", generated="doubled")) == 0
    assert len(trained) == NETWORKS
    assert np.isfinite(metrics(out)["classifier.low.auc"]["value"])


def test_resuming_what_is_done_is_done_if_the_request_is_the_same(files, command, tmp_path, monkeypatch, capsys):
    """The numbers are read, nothing is judged; a page that was not written is."""
    pages = []
    monkeypatch.setattr(report, "write", lambda out, *_, **__: (out / "index.html").touch() or pages.append(out))
    out, more = tmp_path / "judged", ("--quick", "--train", files / "train.hdf5", "--compare")
    other = f"other={files / 'doubled.hdf5'}"
    assert command(*arguments(files, out, *more, other, "--published")) == 0
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    judge = judging.judge_read
    monkeypatch.setattr(judging, "judge_read", lambda asked, **_: pytest.fail("judged again"))
    capsys.readouterr()
    assert command(*arguments(files, out, *more, other, "--published", "--resume")) == 0
    assert f"{len(metrics(out))} metrics" in capsys.readouterr().out
    keys = ("reference", "generated", "train", "geometry", "level", "compare", "published")
    for changed, differ in (
        (arguments(files, out, *more, other, "--published", generated="doubled"), {"generated"}),
        (arguments(files, out, *more, other), {"published"}),
        (arguments(files, out, *more, f"other={files / 'train.hdf5'}", "--published"), {"compare"}),
        (arguments(files, out, "--train", files / "train.hdf5"), {"level", "compare", "published"}),
        (arguments(files, out, *more[:1], "--compare", other, "--published"), {"train"}),
    ):
        assert command(*changed, "--resume") == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"calojax: {out}: was begun with ")
        assert {key for key in keys if re.search(rf"(with|\),) {key} ", error)} == differ
    assert command(*arguments(files, out, *more, other, "--published")) == 2  # without --resume
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written
    monkeypatch.setattr(judging, "judge_read", judge)
    (out / "index.html").unlink()
    assert command(*arguments(files, out, *more, other, "--published", "--resume")) == 0
    assert len(pages) == 2
