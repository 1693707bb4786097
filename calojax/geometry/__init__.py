"""Voxel geometries as data.

`load` gives a `Cylinder` by name or from a CaloChallenge binning XML. Needs numpy, never JAX.
"""

import importlib

_HOME = {
    "Cylinder": "cylinder",
    "Layer": "cylinder",
    "from_json": "cylinder",
    "NAMES": "calochallenge",
    "load": "calochallenge",
    "read_binning": "binning_xml",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
