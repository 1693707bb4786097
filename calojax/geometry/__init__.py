"""Geometries as data: cylinders of layers, rings and alpha bins (CaloChallenge, binning XML), and crystal grids."""

from calojax import lazy

_HOME = {
    "Cylinder": "cylinder",
    "Direction": "cylinder",
    "Grid": "grid",
    "Layer": "cylinder",
    "Layered": "layered",
    "Rectangle": "rectangular",
    "RingLayer": "layered",
    "from_json": "cylinder",
    "known_as": "catalogue",
    "load": "catalogue",
    "names": "catalogue",
    "read_binning": "binning",
    "rectangle": "rectangular",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.names(__name__, _HOME)
