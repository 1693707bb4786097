"""In what the voxels of a file are: fractions of the incident energy, as the ATLAS files have them, or MeV.

A shower deposits about its incident energy. So if the sums of the voxels are of order 1, they are fractions, and if the
sums over the incident energy are, they are MeV. The two differ by the incident energy itself: hundreds of MeV or more.
"""

from pathlib import Path

import numpy as np

from calojax.files.hdf5 import refused

FRACTIONS, MEV = "fractions", "MeV"
_FAR = 30.0  # a median sum further from 1 than this factor is of no shower
WORDS = {FRACTIONS: "fractions of the incident energy", MEV: "MeV"}


def detect(path: Path, sums: np.ndarray, incident: np.ndarray, stated: str | None = None) -> str:
    """FRACTIONS or MEV, from the sums (n,) of all voxels of some events and their incident energies (n,), MeV.

    stated: what they are said to be, an InputError if that cannot be. Events without energy tell nothing; if all are
    such, what is stated is taken, or fractions. Raises InputError if the sums fit to neither.
    """
    seen = sums > 0
    if not seen.any():
        return stated or FRACTIONS
    middle = {FRACTIONS: float(np.median(sums[seen])), MEV: float(np.median(sums[seen] / incident[seen]))}
    distance = {unit: abs(np.log(value)) for unit, value in middle.items()}
    best = min(distance, key=distance.__getitem__)
    said = f"the median sum of an event is {middle[FRACTIONS]:.4g}, and {middle[MEV]:.4g} times its incident energy"
    if distance[stated or best] > np.log(_FAR):
        likely = f"they look like {WORDS[best]}" if stated and distance[best] <= np.log(_FAR) else "it is neither"
        where = f"{path}, energy_layer_*"
        rule = f"one of the two is of order 1 for showers: {likely}"
        if stated:
            rule = f"in {WORDS[stated]} it is of order 1: {likely}"
        raise refused(where, said, rule, "check the units of voxels and incident energies (MeV)")
    return stated or best
