"""A packaged model: a trained run in a few files, without optimiser and history. `training.load` reads it like a run.

`params.npz` (averaged parameters and state, float32, by path), `config.toml`, `manifest.json` (with `statistics.npz`);
whoever ships it adds `metrics.json` and `card.md`.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from calojax import config as configuration
from calojax.errors import InputError
from calojax.system import Model
from calojax.training.optimiser import path_names

PARAMS = "params.npz"
CONFIG = "config.toml"
_STEP = "step"


def write(loaded: Any, out: Path | str) -> None:
    """Write a training.Loaded into a new folder."""
    out = Path(out)
    out.mkdir(parents=True)
    model: Model = loaded.model
    arrays = {"params": model.params, "state": model.state}
    np.savez(out / PARAMS, **{_STEP: np.int64(loaded.step)}, **jax.device_get(_by_path(arrays)))
    (out / CONFIG).write_text(configuration.to_toml(loaded.config, system=loaded.manifest.system), encoding="utf-8")
    loaded.manifest.write(out)


def read(folder: Path, params: Any, state: Any) -> tuple[Any, Any, int]:
    """Parameters, state and step of a package; targets: trees of arrays or shapes.

    Raises InputError naming the array that is missing or of another shape.
    """
    like = {"params": params, "state": state}
    with np.load(folder / PARAMS, allow_pickle=False) as stored:
        found = {name: stored[name] for name in stored.files}
    for name, target in _by_path(like).items():
        shape = found[name].shape if name in found else None
        if shape != target.shape:
            raise InputError(
                where=f"{folder / PARAMS}, {name}",
                found="is missing" if shape is None else f"has the shape {shape}",
                rule=f"the model of {CONFIG} needs {target.shape}",
                remedy="package the run again",
            )
    tree = jax.tree_util.tree_map_with_path(lambda path, a: jnp.asarray(found[_name(path)], a.dtype), like)
    return tree["params"], tree["state"], int(found[_STEP])


def _by_path(tree: Any) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(path_names(path))
