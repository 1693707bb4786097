"""Where a file of showers comes from: what it says of it, and what has to be the same for it to be gone on with."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from calojax import config as configuration
from calojax.training.folder import versions


def attributes(loaded: Any, seed: int) -> dict[str, Any]:
    """What a generated file says of its origin. loaded: a training.Loaded."""
    generation = loaded.config.generation
    return {
        "generator": f"calojax {loaded.manifest.system}",
        "run": loaded.name,
        "step": loaded.step,
        "seed": seed,
        "config_digest": configuration.digest(loaded.config),
        "data_digest": loaded.manifest.digest,
        "tile": generation.tile,
        "window": generation.window,
        "versions": " ".join(f"{name}={version}" for name, version in versions().items()),
    }


def request(loaded: Any, conditions: Mapping[str, np.ndarray], seed: int, **more: Any) -> dict[str, Any]:
    """What decides the bytes of a file of showers, as JSON can hold it: its origin, the parameters, the conditions, the
    kind of device, and `more`."""
    arrays = jax.tree.leaves((loaded.model.params, loaded.model.state))
    found = {"parameters": _digest(arrays), "device": jax.devices()[0].device_kind}
    found |= {f"conditions {name}": _digest([array]) for name, array in conditions.items()}
    return attributes(loaded, seed) | found | more


def _digest(arrays: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        host = np.asarray(array)
        found.update(f"{host.dtype}{host.shape}".encode() + np.ascontiguousarray(host).tobytes())
    return found.hexdigest()[:24]
