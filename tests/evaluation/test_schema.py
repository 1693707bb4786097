"""metrics.json: what is written can be read, what is not of the layout is refused."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import calojax
from calojax import evaluation, inspection, report
from calojax.errors import InputError
from calojax.evaluation import schema


def test_what_is_saved_is_loaded(judged, tmp_path):
    judged.save(tmp_path)
    loaded = evaluation.load_metrics(tmp_path)
    assert loaded.to_table() == judged.to_table()
    assert set(loaded.curves) == set(judged.curves)
    assert evaluation.load_metrics(tmp_path / "metrics.json").to_table() == judged.to_table()


def test_numbers_that_are_not_finite_become_none_with_a_reason():
    one = schema.metric(np.nan, np.inf, None, (3, 4), "too few", more=np.nan)
    assert (one.value, one.error, one.floor, one.reason, one.more) == (None, None, None, "too few", {"more": None})
    assert schema.metric(1.0, np.nan, np.nan, (3, 4)).reason is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "the schema is 'list'"),
        ('{"schema": "calojax.metrics/9"}', "calojax.metrics/9"),
        ('{"schema": "calojax.metrics/1", "inputs": {}}', "'metrics' is missing"),
        (json.dumps({"schema": "calojax.metrics/1", "inputs": {}, "metrics": {"x": {"value": 1}}}), "'error' is miss"),
    ],
)
def test_other_layouts_are_refused_in_one_sentence(tmp_path, text, words):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(InputError, match=words):
        evaluation.load_metrics(tmp_path)


def test_a_folder_without_metrics_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        evaluation.load_metrics(tmp_path)


@pytest.mark.parametrize("kept", [{}, {"schema": np.array("calojax.curves/0")}], ids=["none", "other"])
def test_curves_of_another_version_are_refused_in_one_sentence(judged, tmp_path, kept):
    judged.save(tmp_path)
    with np.load(tmp_path / "curves.npz") as stored:
        arrays = {name: stored[name] for name in stored.files if name != "schema"}
    np.savez(tmp_path / "curves.npz", **arrays, **kept)
    for read in (evaluation.load_metrics, report.write, calojax.info):
        with pytest.raises(InputError, match=r"curves\.npz: is of another version.*judge again"):
            read(tmp_path)


def test_a_generator_without_curves_is_compared_in_the_table_alone(judged, tmp_path):
    numbers = replace(judged, curves={})
    text = report.write(tmp_path, judged, compare={"other": numbers}, progress=False).read_text()
    assert "Beside others" in text
    assert "Histograms of several generators" not in text


def test_info_shows_the_verdict_as_a_table(judged, tmp_path):
    judged.save(tmp_path)
    found = calojax.info(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert set(found["metrics"]) == set(judged)
    head, table, said = inspection.text(found).split("\n\n")
    assert "warning: " in head
    assert f"reference: arrays, {judged.inputs['reference']['showers']:,} showers" in head
    rows = [re.split(r" {2,}", row) for row in table.splitlines()]
    assert [(row[0], row[-1]) for row in rows[1:]] == [(line.name, line.words) for line in evaluation.verdict(judged)]
    assert {len(row) for row in rows} == {6}
    assert said == evaluation.summary(evaluation.verdict(judged))


def test_of_the_matrices_of_layers_the_verdict_takes_the_one_that_is_farthest_off():
    """A distance far below its floor is not far off, however significant that is."""
    one = lambda value: schema.metric(value, 0.1, 10.0, (9, 9), floor_error=0.1)
    layers = {0: 10.0, 1: 5.0, 2: 12.0, 10: 10.2}
    judged = schema.Metrics({}, {f"frobenius.within_layer.{layer}": one(value) for layer, value in layers.items()})
    (line,) = evaluation.verdict(judged)
    assert (line.name, line.level, line.words) == ("frobenius.within_layer.2", 2, "visible difference")
