"""In what the voxels of a file are: fractions of the incident energy, as the ATLAS files have them, or MeV.

A shower deposits about its incident energy. So if the sums of the voxels are of order 1, they are fractions, and if the
sums over the incident energy are, they are MeV. The two differ by the incident energy itself: hundreds of MeV or more.
"""

from pathlib import Path

import numpy as np

from calojax.files.hdf5 import refused

FRACTIONS, MEV = "fractions", "MeV"
WORDS = {FRACTIONS: "fractions of the incident energy", MEV: "MeV"}
ATTRIBUTE = "energy_unit"  # of the files written here, which need not look like showers
_LEAST, _MOST = 0.1, 3.0  # of its incident energy: what the middle event has at the least, and nine of ten at the most


def detect(path: Path, sums: np.ndarray, incident: np.ndarray, stated: str | None = None) -> str:
    """FRACTIONS or MEV, from the sums (n,) of all voxels of some events and their incident energies (n,), MeV.

    stated: what they are said to be; InputError if they have more energy than showers then, or look like the other.
    Without it, InputError unless they look like one of the two. Events without energy tell nothing; if all are such,
    they are what is stated, or fractions.
    """
    seen = sums > 0
    if not seen.any():
        return stated or FRACTIONS
    response = {FRACTIONS: sums[seen], MEV: sums[seen] / incident[seen]}
    middle, high = ({unit: float(np.quantile(r, q)) for unit, r in response.items()} for q in (0.5, 0.9))
    likely = [unit for unit in response if middle[unit] >= _LEAST and high[unit] <= _MOST]
    if stated is None and len(likely) == 1:
        return likely[0]
    if stated is not None and high[stated] <= _MOST and (stated in likely or not likely):
        return stated
    look = f"they look like {WORDS[likely[0]]}" if len(likely) == 1 else "neither is" if not likely else "both are"
    asked = f"in {WORDS[stated]} it would be of order 1" if stated else "one of the two is of order 1 for showers"
    raise refused(
        f"{path}, energies of the voxels",
        f"the median sum of an event is {middle[FRACTIONS]:.4g}, which is {middle[MEV]:.4g} times its incident energy",
        f"{asked}, and {look}",
        "say what they are, or check the units of voxels and incident energies (MeV)",
    )
