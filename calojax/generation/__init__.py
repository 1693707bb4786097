"""Drawing showers in bulk: tiles, keys, capacities, streaming. The config needs no JAX."""

from calojax import lazy

_HOME = {
    "Arrays": "sinks",
    "AtlasVoxels": "layouts",
    "Block": "sinks",
    "Files": "journal",
    "Generation": "config",
    "NonFiniteShower": "engine",
    "Points": "layouts",
    "Showers": "sinks",
    "Voxels": "layouts",
    "attributes": "origin",
    "described": "origin",
    "request": "origin",
    "run": "engine",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.names(__name__, _HOME)
