"""What systems train from: a manifest, memory-mapped arrays and a prefetching loader. Needs numpy, never JAX."""

import importlib

_HOME = {
    "Batches": "batches",
    "Position": "batches",
    "capacities": "batches",
    "Field": "manifest",
    "Manifest": "manifest",
    "Source": "manifest",
    "Loader": "loader",
    "Shards": "reader",
    "Writer": "writer",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
