"""Voxel geometries as data: cylinders of layers, rings and alpha bins; the CaloChallenge sets and binning XML."""

from calojax import lazy

_HOME = {
    "Cylinder": "cylinder",
    "Direction": "cylinder",
    "Layer": "cylinder",
    "from_json": "cylinder",
    "load": "catalogue",
    "names": "catalogue",
    "read_binning": "binning",
}
__all__ = sorted(_HOME)
__getattr__ = lazy.names(__name__, _HOME)
