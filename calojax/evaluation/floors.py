"""What real showers give in place of the generated ones: the floor of every metric.

As many training showers as there are generated ones are compared with the reference; without a training file, one half
of the reference with the other. Distances at their floor depend on how many showers there are. Where the floor is made
with other numbers than the value, as many generated showers are compared in the same way: what they are above the floor
is the generator's part, and `floor_at_counts` is the value without it.
"""

from collections.abc import Mapping

import numpy as np

from calojax.evaluation import inspection
from calojax.evaluation.measures import Measured
from calojax.evaluation.schema import Metric, metric
from calojax.evaluation.sparse import Sparse, evenly

Pair = tuple[str, str]  # names of sets: a reference, and what is compared with it


def sets_and_pairs(showers: Mapping[str, Sparse]) -> tuple[dict[str, Sparse], list[Pair]]:
    """What is digested, by name, and what is compared: for the value, for its floor, and, where that has other numbers
    of showers, as many generated ones in the place of the floor's.

    train: as many training showers as there are generated ones, none of them a copy of a reference shower.
    """
    reference, generated = showers["reference"], showers["generated"]
    sets, pairs = {"reference": reference, "generated": generated}, [("reference", "generated")]
    if "train" in showers:
        fresh = np.flatnonzero(~inspection.copies(showers["train"], reference))
        if 2 * len(fresh) > len(showers["train"]):
            sets["train"] = showers["train"].take(fresh[evenly(len(fresh), len(generated))])
            pairs.append(("reference", "train"))
    if len(pairs) == 1 and len(reference) > 1:
        even, odd = (np.arange(first, len(reference), 2) for first in (0, 1))
        sets["half"] = reference.take(even)
        sets["other half"] = reference.take(odd).spread(len(generated))
        pairs.append(("half", "other half"))
    if len(pairs) > 1:
        of_floor, other = pairs[1]
        if (len(sets[of_floor]), len(sets[other])) != (len(reference), len(generated)):
            sets["as many"] = generated.spread(len(sets[other]))
            pairs.append((of_floor, "as many"))
    return sets, pairs


def with_floor(measured: list[dict[str, Measured]], n: list[tuple[int, int]]) -> dict[str, Metric]:
    """Each measure of the generated showers as a metric, with its floor. measured, n: of the value, then, if there are
    any, of the floor and of as many generated showers; n are the showers that were compared."""
    metrics = {}
    for name, one in measured[0].items():
        counts, more, floor = one.n or n[0], dict(one.more), None
        if len(measured) > 1:
            floor = measured[1][name]
            more["floor_error"] = floor.error
            if "reference" in one.more:
                more["floor_reference"] = floor.more["reference"]
            elif len(measured) > 2 and one.power and (floor.n or n[1]) != counts:
                more |= _at_counts(one, floor, measured[2][name])
        metrics[name] = metric(one.value, one.error, floor and floor.value, counts, one.reason, **more)
    return metrics


def _at_counts(one: Measured, floor: Measured, as_many: Measured) -> dict[str, float]:
    """floor_at_counts, and the error of the value's excess over it; values go as (1/N + 1/M)^power at their floor."""
    of_value, of_floor, of_as_many = (max(x.value, 0.0) ** (1 / one.power) for x in (one, floor, as_many))
    at_counts = max(of_value - of_as_many + of_floor, 0.0) ** one.power
    return {"floor_at_counts": at_counts, "excess_error": float(np.hypot(floor.error, as_many.error))}
