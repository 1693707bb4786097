"""metrics.json: what is written can be read, what is not of the layout is refused."""

import json

import numpy as np
import pytest

from calojax import evaluation
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
