"""Values that no pyramid can be built or prepared with are refused where they are given."""

import pytest

from calojax.errors import InputError
from calojax.systems.pyramid.config import Data, Model


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Data, {"rows": 0}),
        (Data, {"rows_per_shard": 0}),
        (Data, {"threshold": -1.0}),
        (Data, {"threshold": float("nan")}),
        (Data, {"most_energy": 0.0}),
        (Data, {"most_energy": float("nan")}),
        (Data, {"pseudo_counts": 0.0}),
        (Model, {"hidden": 0}),
        (Model, {"components": -3}),
        (Model, {"bound": float("inf")}),
        (Model, {"coupling": "affine"}),
        (Model, {"dequantisation": "uniform"}),
        (Model, {"precision": "float16"}),
    ],
)
def test_an_impossible_value_is_refused_by_name(kind, values):
    (name, value), table = *values.items(), kind.__name__.lower()
    with pytest.raises(InputError, match=rf"\[{table}\] {name}: is {value}, but it must be .*--set {table}\.{name}="):
        kind(**values)
