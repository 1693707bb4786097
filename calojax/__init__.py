"""Calorimeter showers on accelerators: generate them, judge them.

The verbs (`prepare`, `train`, `generate`, `evaluate`, `load`, `info`, `bench`, `demo`) and the rooms (`geometry`,
`files`, `shards`, `training`, `generation`, `evaluation`, `report`) are imported when they are first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_VERBS = ("bench", "evaluate", "generate", "info", "load", "prepare", "train")
_ROOMS = ("evaluation", "files", "generation", "geometry", "nn", "report", "shards", "training")
_HOME = {verb: "verbs" for verb in _VERBS} | {"demo": "demonstration", "InputError": "errors"}
__all__ = sorted([*_HOME, *_ROOMS])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"calojax.{_HOME[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"calojax.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
