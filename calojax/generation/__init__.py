"""Drawing showers in bulk: tiles, keys, capacities, streaming. The config needs no JAX."""

import importlib

_HOME = {
    "Arrays": "sinks",
    "Block": "sinks",
    "Files": "sinks",
    "Generation": "config",
    "NonFiniteShower": "engine",
    "Showers": "sinks",
    "attributes": "sinks",
    "run": "engine",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
