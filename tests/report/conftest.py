"""The toy calorimeter of the judge's tests, judged once."""

import importlib.util
from pathlib import Path

_path = Path(__file__).parents[1] / "evaluation" / "conftest.py"
_spec = importlib.util.spec_from_file_location("showers_to_judge", _path)
assert _spec is not None and _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
toy, draw, judged = _fixtures.toy, _fixtures.draw, _fixtures.judged
