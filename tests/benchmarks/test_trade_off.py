"""The figure of quality against time: its published points, what it needs, and that names do not cover each other."""

import json

import numpy as np
import pytest

from benchmarks import files, labels, machine, measuring, trade_off
from calojax import evaluation
from calojax.errors import InputError
from calojax.evaluation.published import published
from calojax.report import drawing


def judged(folder, **changed):
    metrics = {
        "classifier.low.auc": evaluation.Metric(0.52, 0.01, 0.5, 500, 500),
        "fpd": evaluation.Metric(0.16, 0.004, 0.153, 500, 500, more={"floor_error": 0.005}),
    }
    kept = {name: one for name, one in (metrics | changed).items() if one}
    inputs = {"geometry": {"name": "ds2"}}
    evaluation.Metrics(inputs, kept).save(folder)
    return folder


def results(path, *places):
    row = measuring.row(measuring.spread([2.0]), "ms per shower")
    rows = {f"generation/float32/{place}/batch={batch}/arrays": row for place, batch in places}
    files.write(path, files.empty(machine.describe()) | {"results": rows})
    return path


@pytest.mark.parametrize("geometry", ["ds2", "ds3"])
def test_published_times_are_of_published_generators(geometry):
    timed = json.loads(trade_off._TIMES.read_text())[geometry]
    assert set(timed) == set(published(geometry)) - {"Geant4"}
    for about in timed.values():
        assert about["kind"] in trade_off.KINDS and len(about["cpu"]) == len(about["gpu"]) == 3
        assert all(value is None or value > 0 for value in about["cpu"] + about["gpu"])


def test_published_points_are_above_their_floor():
    points = {point.name: point for point in trade_off.others("ds2")}
    assert points["CaloINN"].ms["cpu", 1] == 388 and points["CaloINN"].ms["gpu", 10_000] == 0.65
    assert points["CaloDREAM"].fpd[0] == pytest.approx(0.0246 - 0.0108)
    assert ("gpu", 10_000) not in points["CaloDREAM"].ms


def test_ours_has_the_times_that_were_measured(tmp_path):
    point, geometry, name = trade_off.ours(
        judged(tmp_path / "j"), results(tmp_path / "r.json", ("one", 1), ("gpu", 100))
    )
    assert point.ms == {("cpu", 1): 2.0, ("gpu", 100): 2.0} and geometry == "ds2" and "one thread" in name
    assert point.auc == (0.52, 0.01) and point.fpd == pytest.approx((0.007, np.hypot(0.004, 0.005)))


def test_numbers_that_are_missing_are_asked_for(tmp_path):
    with pytest.raises(InputError, match="no time of a shower"):
        trade_off.ours(judged(tmp_path / "a"), results(tmp_path / "r.json"))
    without = judged(tmp_path / "b", **{"classifier.low.auc": None})
    with pytest.raises(InputError, match=r"no classifier\.low\.auc"):
        trade_off.ours(without, results(tmp_path / "r.json", ("one", 1)))


def test_the_figure_is_made(tmp_path, monkeypatch):
    told = [judged(tmp_path / "j"), results(tmp_path / "r.json", ("one", 1), ("one", 100))]
    out = tmp_path / "figure.svg"
    monkeypatch.setattr("sys.argv", ["trade_off", *map(str, told), "--out", str(out)])
    trade_off.main()
    assert out.stat().st_size > 10_000


def test_names_cover_neither_each_other_nor_points():
    rng = np.random.default_rng(0)
    with drawing.style():
        drawn = drawing.figure(6, 5)
        drawn.set_layout_engine("none")
        axis = drawn.add_axes((0.1, 0.1, 0.8, 0.8))
        axis.set(xlim=(0, 1), ylim=(0, 1))
        points = [labels.Named(x, y, f"name {i}", "black") for i, (x, y) in enumerate(rng.uniform(0, 1, (15, 2)))]
        labels.place(axis, points)
        drawn.canvas.draw()
        boxes = [np.ravel(text.get_window_extent().get_points()) for text in axis.texts]
    assert len(boxes) == 15
    at = axis.transData.transform([(point.x, point.y) for point in points])
    assert not any(labels._common(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert not any((b[:2] < xy).all() and (xy < b[2:]).all() for b in boxes for xy in at)
