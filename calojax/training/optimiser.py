"""AdamW or Muon with clipping, warm-up and cosine, and the split of parameters into trained and frozen ones.

Source: AdamW arXiv:1711.05101; Muon, with Adam for what is no matrix, K. Jordan et al. (2024,
kellerjordan.github.io/posts/muon), its weight decay arXiv:2502.16982; cosine arXiv:1608.03983.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from calojax.training.config import Training

# last names of leaves that are no matrices even where stacked layers give them a second axis
_UNDECAYED = {"b", "bias", "biases", "scale", "shift", "gain", "offset", "beta", "gamma"}

Tree = Any


def schedule(config: Training, steps: int) -> optax.Schedule:
    """Learning rate by step: linear to the peak over `warmup_steps`, cosine to `final_learning_rate` at `steps`."""
    warmup = min(config.warmup_steps, max(0, steps - 1))
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(steps, 1),
        end_value=config.final_learning_rate,
    )


def build(config: Training, steps: int) -> optax.GradientTransformation:
    """The default optimiser of a phase of `steps` steps."""
    rate, decay = schedule(config, steps), config.weight_decay
    if config.optimiser == "muon":
        update = optax.contrib.muon(rate, weight_decay=decay, muon_weight_dimension_numbers=_matrix_axes)
    else:
        update = optax.adamw(rate, weight_decay=decay, mask=decayed)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), update)


def decayed(params: Tree) -> Tree:
    """Which leaves are matrices, to which weight decay applies: two or more axes, not named as a bias or scale."""
    return jax.tree_util.tree_map_with_path(_is_matrix, params)


def _matrix_axes(params: Tree) -> Tree:
    """Muon's view of matrices: (..., out, in), with stacked layers in front; Flax kernels are (..., in, out)."""

    def axes(path, leaf):
        if not _is_matrix(path, leaf):
            return None
        n_in, n_out = (leaf.ndim - 2, leaf.ndim - 1) if _name(path) == "kernel" else (leaf.ndim - 1, leaf.ndim - 2)
        return optax.contrib.MuonDimensionNumbers(reduction_axis=n_in, output_axis=n_out)

    return jax.tree_util.tree_map_with_path(axes, params)


def _is_matrix(path, leaf) -> bool:
    return leaf.ndim >= 2 and _name(path) not in _UNDECAYED


def _name(path) -> str:
    return path_names(path)[-1].split("/")[-1] if path else ""


class Split(NamedTuple):
    """Positions of the trained leaves of a parameter tree."""

    trained: tuple[bool, ...]

    def take(self, params: Tree) -> dict[str, jax.Array]:
        """The trained leaves, by path."""
        leaves = jax.tree_util.tree_leaves_with_path(params)
        return {"/".join(path_names(p)): leaf for (p, leaf), on in zip(leaves, self.trained, strict=True) if on}

    def put(self, params: Tree, chosen: dict[str, jax.Array]) -> Tree:
        """`params` with the trained leaves replaced."""
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        new = [
            chosen["/".join(path_names(p))] if on else leaf for (p, leaf), on in zip(leaves, self.trained, strict=True)
        ]
        return jax.tree.unflatten(structure, new)


def split(params: Tree, trainable: tuple[str, ...] | Callable[[tuple[str, ...]], bool] | None) -> Split:
    """Trained leaves: all (None), those under some top-level keys, or those whose path a predicate accepts."""
    paths = [path_names(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    if trainable is None:
        return Split((True,) * len(paths))
    accepts = trainable if callable(trainable) else lambda path: path[:1] != () and path[0] in trainable
    trained = tuple(bool(accepts(path)) for path in paths)
    if not any(trained):
        raise ValueError(
            f"no parameter is trained by {trainable}; the parameters are {sorted(set(p[0] for p in paths))}"
        )
    return Split(trained)


def path_names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """Keys, indices and attribute names of a path into a tree, as words."""
    return tuple(jax.tree_util.keystr((entry,), simple=True) for entry in path)
