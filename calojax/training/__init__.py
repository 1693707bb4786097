"""One training loop for every system: step, optimiser, checkpoints, run folder. The config needs no JAX."""

from calojax import lazy

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
__getattr__, __dir__ = lazy.names(__name__, _HOME)
