"""Voxel geometries as data: cylinders of layers, rings and alpha bins; the CaloChallenge sets and binning XML."""

import importlib

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


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
