"""Where a file of showers comes from: what it says of it, and what has to be the same for it to be gone on with."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from calojax import cache, digests
from calojax import config as configuration
from calojax.generation import sizes
from calojax.training.folder import versions

_DIGITS = 24  # of a digest, in a request


def attributes(loaded: Any, seed: int, showers: int) -> dict[str, Any]:
    """What a generated file of so many showers says of its origin. loaded: a training.Loaded."""
    tile, window, _ = sizes.suited(loaded.config.generation, showers, jax.default_backend())
    return {
        "generator": f"calojax {loaded.manifest.system}",
        "run": loaded.name,
        "step": loaded.step,
        "seed": seed,
        "config_digest": configuration.digest(loaded.config),
        "data_digest": loaded.manifest.digest,
        "tile": tile,
        "window": window,
        "versions": " ".join(f"{name}={version}" for name, version in versions().items()),
    }


def described(loaded: Any) -> dict[str, Any]:
    """A trained run, as JSON can hold it. loaded: a training.Loaded."""
    return {
        "name": loaded.name,
        "system": loaded.manifest.system,
        "step": loaded.step,
        "config_digest": configuration.digest(loaded.config),
        "parameters": _digest(jax.tree.leaves((loaded.model.params, loaded.model.state))),
    }


def request(loaded: Any, conditions: Mapping[str, np.ndarray], seed: int, **more: Any) -> dict[str, Any]:
    """What decides the bytes of a file of showers, as JSON can hold it: its origin, the parameters, the conditions, the
    code, the kind of device, how it multiplies matrices, and `more`."""
    arrays = jax.tree.leaves((loaded.model.params, loaded.model.state))
    found = {
        "parameters": _digest(arrays),
        "code": digests.of_code()[:_DIGITS],
        "device": _device(),
        "matmul precision": getattr(jax.config, "jax_default_matmul_precision", None) or "default",
    }
    found |= {f"conditions {name}": _digest([array]) for name, array in conditions.items()}
    return attributes(loaded, seed, len(conditions["incident_energy"])) | found | more


def _device() -> str:
    """The kind of device; CPUs of other instruction sets round differently."""
    device = jax.devices()[0]
    return f"{device.device_kind} {cache.cpu()}" if device.platform == "cpu" else device.device_kind


def _digest(arrays: Iterable[Any]) -> str:
    return digests.of_arrays(map(np.asarray, arrays))[:_DIGITS]
