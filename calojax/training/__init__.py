"""One training loop for every system: step, optimiser, checkpoints, run folder. The config needs no JAX."""

import importlib

_HOME = {
    "Fitted": "fitting",
    "Loaded": "folder",
    "NonFiniteLoss": "diagnosis",
    "Trained": "loop",
    "Training": "config",
    "fit": "fitting",
    "load": "folder",
    "run": "loop",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
