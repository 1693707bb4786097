"""The geometries of the CaloChallenge: dataset 1 (photons, pions), 2 and 3.

Edges, sectors and thresholds as in the challenge's binning files and evaluation script (CaloChallenge/homepage). Depth is
given there for datasets 2 and 3 only (45 layers of 3.4 mm); dataset 1 gets `binning_xml.NOMINAL_DEPTH` per layer.
"""

from pathlib import Path

from calojax.errors import InputError
from calojax.geometry.binning_xml import read_binning, stacked
from calojax.geometry.cylinder import Cylinder

NAMES = ("ds1-photons", "ds1-pions", "ds2", "ds3")

_DEPTH = 3.4  # mm: two times 1.4 mm W and 0.3 mm Si
_SAMPLING = 0.033  # datasets 2 and 3 are divided by it
_FIRST = (0, 5, 10, 30, 50, 100, 200, 400, 600)
_PRESAMPLER_BACK = (0, 50, 100, 200, 400, 600)
# layer id: (ring edges in mm, sectors)
_PHOTONS = {
    0: (_FIRST, 1),
    1: ((0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200), 10),
    2: ((0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400), 10),
    3: (_PRESAMPLER_BACK, 1),
    12: ((0, 100, 200, 400, 1000, 2000), 1),
}
_TILE = (0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400)
_PIONS = {
    0: (_FIRST, 1),
    1: ((0, 1, 4, 7, 10, 15, 30, 50, 90, 150, 200), 10),
    2: ((0, 5, 10, 20, 30, 50, 80, 130, 200, 300, 400), 10),
    3: (_PRESAMPLER_BACK, 1),
    12: ((*_TILE, 1000, 2000), 10),
    13: ((*_TILE, 600, 1000, 2000), 10),
    14: ((0, 50, 100, 150, 200, 250, 300, 400, 600, 1000, 2000), 1),
}


def load(name: str | Path) -> Cylinder:
    """A geometry by name (`NAMES`), or from a binning XML: path, or path:particle where the file has several.

    Raises InputError for an unknown name or a file that is no binning.
    """
    text = str(name)
    if text in ("ds1-photons", "ds1-pions"):
        return stacked(text, _PHOTONS if text == "ds1-photons" else _PIONS, threshold=1.0)
    if text in ("ds2", "ds3"):
        rings, sectors = (9, 16) if text == "ds2" else (18, 50)
        edges = tuple(round(41.85 * i / rings, 6) for i in range(rings + 1))
        layers = {layer: (edges, sectors) for layer in range(45)}
        return stacked(text, layers, threshold=0.5e-3 / _SAMPLING, depth=_DEPTH)
    path, _, particle = text.partition(".xml:")
    if text.endswith(".xml") or particle:
        return read_binning(Path(text if not particle else f"{path}.xml"), particle or None)
    raise InputError(
        where=f"geometry {text}",
        found="is not known",
        rule=f"it must be one of {', '.join(NAMES)} or a binning XML",
        remedy="check the spelling",
    )
