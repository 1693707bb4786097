"""The examples of the pages that need a trained run, with a small one in its place."""

import re
from pathlib import Path

import pytest

from calojax import data

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"^<!-- executed with a small run -->\n```python\n(.*?)^```$", re.M | re.S)

pytestmark = pytest.mark.timeout(1200)  # the small run compiles


@pytest.fixture
def after_the_demo(run, place, tmp_path, monkeypatch):
    """A folder in which `make demo` seems to have run, on the slice as the sample."""
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "run").symlink_to(run)
    monkeypatch.setitem(data.SAMPLES, "pyramid", str(place / "slice.hdf5"))
    monkeypatch.setitem(data.TRAINING_ROWS, "pyramid", 32)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_examples_of_a_page_run(page, after_the_demo):
    examples = EXAMPLE.findall((ROOT / page).read_text())
    names: dict = {}
    for example in examples:
        exec(compile(example, page, "exec"), names)
    assert names["made"].showers.shape == (8, 6480)
    assert len(names["metrics"]) > 0
