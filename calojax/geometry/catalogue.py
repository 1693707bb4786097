"""Geometries by name: the CaloChallenge data sets, or a binning XML by its path.

Sources: the binning files and the evaluation script of the CaloChallenge (arXiv:2410.21611). Layers of data sets 2 and
3 are 3.4 mm deep (two times 1.4 mm W and 0.3 mm Si); data set 1 gives no depths, there they are nominal.
"""

from functools import lru_cache
from pathlib import Path

from calojax.errors import InputError
from calojax.geometry.binning import NOMINAL_DEPTH, read_binning
from calojax.geometry.cylinder import Cylinder, Layer
from calojax.geometry.grid import Grid

_LAYERS = 45
_DEPTH = 3.4  # mm
_THRESHOLD = 0.5e-3 / 0.033  # MeV: 0.5 keV deposited, divided by the sampling fraction
_DS1_THRESHOLD = 1.0  # MeV, as in the evaluation script

# id: (alpha bins, ring edges in mm)
_FRONT = (0, 5, 10, 30, 50, 100, 200, 400, 600)
_BACK = (0, 50, 100, 200, 400, 600)
_TILE = (0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400)
_PHOTONS = {
    0: (1, _FRONT),
    1: (10, (0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200)),
    2: (10, (0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400)),
    3: (1, _BACK),
    12: (1, (0, 100, 200, 400, 1000, 2000)),
}
_PIONS = {
    0: (1, _FRONT),
    1: (10, (0, 1, 4, 7, 10, 15, 30, 50, 90, 150, 200)),
    2: (10, (0, 5, 10, 20, 30, 50, 80, 130, 200, 300, 400)),
    3: (1, _BACK),
    12: (10, (*_TILE, 1000, 2000)),
    13: (10, (*_TILE, 600, 1000, 2000)),
    14: (1, (0, 50, 100, 150, 200, 250, 300, 400, 600, 1000, 2000)),
}


def load(source: str | Path | Cylinder | Grid) -> Cylinder | Grid:
    """A geometry by name (`names()`), or from a CaloChallenge binning XML: `PATH`, or `PATH:PARTICLE` if the file holds
    several particles; or the geometry that is given. Raises InputError for an unknown name and for a file that cannot
    be used."""
    if isinstance(source, (Cylinder, Grid)):
        return source
    text = str(source)
    if text in _MAKE:
        return _built_in(text)
    path, _, particle = text.rpartition(":") if not _is_file(text) and ":" in text else (text, "", "")
    if path.lower().endswith(".xml") or _is_file(path):
        return read_binning(path, particle or None)
    raise InputError(
        where=f"geometry {text}",
        found="is neither a name nor a file",
        rule=f"the names are {', '.join(names())}",
        remedy="give one of them or the path of a binning XML",
    )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than a name can be, or in a folder that may not be looked into
        return False


def names() -> tuple[str, ...]:
    """The geometries that are built in."""
    return tuple(_MAKE)


def _regular(name: str, n_alpha: int, n_rings: int, ring_width: float) -> Cylinder:
    edges = tuple(round(ring * ring_width, 6) for ring in range(n_rings + 1))
    front = [round(layer * _DEPTH, 6) for layer in range(_LAYERS + 1)]
    layers = (Layer(layer, edges, n_alpha, front[layer], front[layer + 1]) for layer in range(_LAYERS))
    return Cylinder(name, tuple(layers), _THRESHOLD)


def _nominal(name: str, binning: dict[int, tuple[int, tuple[int, ...]]]) -> Cylinder:
    layers = (
        Layer(id, tuple(map(float, edges)), n_alpha, place * NOMINAL_DEPTH, (place + 1) * NOMINAL_DEPTH)
        for place, (id, (n_alpha, edges)) in enumerate(binning.items())
    )
    return Cylinder(name, tuple(layers), _DS1_THRESHOLD)


_MAKE = {
    "ds1-photons": lambda: _nominal("ds1-photons", _PHOTONS),
    "ds1-pions": lambda: _nominal("ds1-pions", _PIONS),
    "ds2": lambda: _regular("ds2", 16, 9, 4.65),
    "ds3": lambda: _regular("ds3", 50, 18, 2.325),
    "crystals-20x20": lambda: Grid("crystals-20x20", 20, 20, 20.0, 0.001),
}


@lru_cache
def _built_in(name: str) -> Cylinder | Grid:
    return _MAKE[name]()
