"""Published results of the CaloChallenge, for context: other showers, other numbers of them, other classifiers' luck.

Source: final_results/CaloChallenge_results_*.hdf of CaloChallenge/homepage (all numbers of the figures and tables of
arXiv:2410.21611), as of August 2025, rounded. AUC: mean and standard deviation of ten trainings; separation powers:
mean over layers. On data set 1 some submissions have no errors here; separation powers that round to 0 are left out.
"""

import json
from functools import cache
from importlib import resources

Published = dict[str, dict[str, tuple[float, float | None]]]  # submission -> metric -> value and error


def published(geometry: str) -> Published:
    """Results on ds1-photons, ds1-pions, ds2 or ds3 under the names of our metrics; empty for other geometries.

    `Geant4` is the simulation against itself: the floor at the challenge's numbers of showers.
    """
    found = _all().get(geometry, {})
    return {
        submission: {name: (numbers[0], numbers[1] if len(numbers) > 1 else None) for name, numbers in row.items()}
        for submission, row in found.items()
    }


@cache
def _all() -> dict[str, dict[str, dict[str, list[float]]]]:
    text = resources.files("calojax.evaluation").joinpath("published.json").read_text(encoding="utf-8")
    return json.loads(text)
