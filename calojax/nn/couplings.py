"""Coupling flow on a set: what moves is conditioned on what stays, on the neighbours and on the pooled set.

    y_stay = x_stay,   y_move = s(x_move; theta(x_stay, x_stay of the neighbours, pooled x_stay, context))

s is a rational-quadratic spline (`splines`). The density does not depend on the order of the elements: they are told
apart by their context (which carries their position), not by their place in the list. One map before the couplings
moves every dimension by a scale, a shift and a spline that depend on the context alone.

Sources: arXiv:1906.04032 (splines, couplings); arXiv:2403.15782 and its public code (pooled sets: mean of a point
network over the elements, from what stays only, so that the map can be inverted). Ours: the neighbours' kept numbers as
direct input, masks that alternate between dimensions and between even and odd elements, the map in front.

E elements of T showers in a flat list, D dimensions, M neighbours of an element, J couplings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.nn import dense, sets, splines


@dataclass(frozen=True)
class Shape:
    """Sizes of a set flow; pooled 0 leaves the set context out (a plain coupling flow on single elements)."""

    dims: int
    context: int
    neighbours: int = 0
    couplings: int = 8
    hidden: int = 64
    pooled: int = 32
    bins: int = 8
    bound: float = 6.0


class Setting(NamedTuple):
    """Where the elements stand.

    context (F, E); real (E,) bool; parity (E,) 0 or 1; owner (E,) in 0..T; neighbours: (D, E) -> (M D, E);
    exists (D, E) bool: dimensions that an element has (default: all). What does not exist is left alone and not seen.
    """

    context: Array
    real: Array
    parity: Array
    owner: Array
    showers: int
    neighbours: Callable[[Array], Array] | None = None
    exists: Array | None = None

    @property
    def alive(self) -> Array:
        """(D, E), or (E,) for all dimensions."""
        return self.real if self.exists is None else self.real & self.exists


class Moved(NamedTuple):
    """values (D, E) and log |det| per element (E,), 0 where not real."""

    values: Array
    log_det: Array


def init(key: Array, shape: Shape) -> dict[str, Any]:
    """Parameters; the flow starts as the identity."""
    first, rest = jax.random.split(key)
    outputs = shape.dims * (2 + splines.parameters(shape.bins))
    return {
        "front": dense.init_stack(first, (shape.context, shape.hidden, outputs)),
        "couplings": jax.vmap(lambda k: _init_coupling(k, shape))(jax.random.split(rest, shape.couplings)),
    }


def forward(params: dict[str, Any], x: Array, setting: Setting, shape: Shape) -> Moved:
    """Data to base; x (D, E)."""
    y, log_det = _front(params["front"], x, setting, shape, inverse=False)

    def body(carry, layer):
        moved = _couple(layer, carry[0], setting, shape, splines.forward)
        return (moved.values, carry[1] + moved.log_det), None

    (y, log_det), _ = jax.lax.scan(body, (y, log_det), (params["couplings"], _stays(shape)))
    return Moved(y, log_det)


def inverse(params: dict[str, Any], y: Array, setting: Setting, shape: Shape) -> Moved:
    """Base to data: undoes `forward` with the same arguments."""

    def body(carry, layer):
        moved = _couple(layer, carry[0], setting, shape, splines.inverse)
        return (moved.values, carry[1] + moved.log_det), None

    start = (y, jnp.zeros(y.shape[1]))
    (x, log_det), _ = jax.lax.scan(body, start, (params["couplings"], _stays(shape)), reverse=True)
    x, front = _front(params["front"], x, setting, shape, inverse=True)
    return Moved(x, log_det + front)


def log_density(params: dict[str, Any], x: Array, setting: Setting, shape: Shape) -> Array:
    """Log density of each element (E,), 0 where not real; their sum over a shower is that of the set."""
    moved = forward(params, x, setting, shape)
    return moved.log_det + jnp.sum(jnp.where(setting.alive, standard_normal(moved.values), 0.0), 0)


def standard_normal(z: Array) -> Array:
    """Log density of the standard normal, element-wise."""
    return -0.5 * (z * z + jnp.log(2 * jnp.pi))


def move_by_context(raw: Array, x: Array, bound: float) -> splines.Moved:
    """Data to base by scale, shift and spline: raw (2 + 3K - 1, *S), x of shape S."""
    scale = 3.0 * jnp.tanh(raw[1] / 3.0)  # at most a factor e^3 either way
    moved = splines.forward((x - raw[0]) * jnp.exp(-scale), raw[2:], bound)
    return splines.Moved(moved.values, moved.log_slope - scale)


def undo_by_context(raw: Array, y: Array, bound: float) -> splines.Moved:
    """Base to data: undoes `move_by_context`."""
    scale = 3.0 * jnp.tanh(raw[1] / 3.0)
    moved = splines.inverse(y, raw[2:], bound)
    return splines.Moved(moved.values * jnp.exp(scale) + raw[0], moved.log_slope + scale)


def _init_coupling(key, shape):
    keys = jax.random.split(key, 6)
    params = {
        "kept": dense.init(keys[0], shape.dims * (1 + shape.neighbours), shape.hidden),
        "context": dense.init(keys[1], shape.context, shape.hidden),
        "rest": dense.init_stack(keys[2], (shape.hidden, shape.hidden, shape.dims * splines.parameters(shape.bins))),
    }
    if shape.pooled:
        params["point"] = dense.init(keys[3], shape.dims + shape.context, shape.pooled)
        params["pooled"] = dense.init(keys[4], shape.pooled, shape.hidden)
    return params


def _stays(shape):
    """(J, D, 2) bool: what stays in an element of parity 0 or 1. Pairs of couplings cover everything."""
    j, d, parity = np.ogrid[: shape.couplings, : shape.dims, :2]
    by_element = (parity + j) % 2 == 0
    checkerboard = (d + parity + j) % 2 == 0
    alternate = (j // 2) % 2 == 1
    if shape.dims == 1:
        return np.broadcast_to(by_element, (shape.couplings, 1, 2))
    if not shape.neighbours and not shape.pooled:  # single elements: only dimensions can condition each other
        return np.broadcast_to((d + j) % 2 == 0, (shape.couplings, shape.dims, 2))
    return np.where(alternate, by_element, checkerboard)


def _couple(layer, x, setting, shape, spline):
    params, stays = layer
    stay = jnp.where(setting.parity == 0, stays[:, :1], stays[:, 1:])
    kept = jnp.where(stay & setting.alive, x, 0.0)
    raw = _condition(params, kept, setting, shape)
    moved = spline(x, raw.reshape(-1, shape.dims, x.shape[1]), shape.bound)
    moves = setting.alive & ~stay
    return Moved(jnp.where(moves, moved.values, x), jnp.sum(jnp.where(moves, moved.log_slope, 0.0), 0))


def _condition(params, kept, setting, shape):
    near = [kept] if setting.neighbours is None or not shape.neighbours else [kept, setting.neighbours(kept)]
    hidden = dense.apply(params["kept"], jnp.concatenate(near)) + dense.apply(params["context"], setting.context)
    if shape.pooled:
        points = jax.nn.relu(dense.apply(params["point"], jnp.concatenate([kept, setting.context])))
        mean = sets.mean_by_owner(points, setting.owner, setting.real, setting.showers)
        hidden += sets.of_owner(dense.apply(params["pooled"], mean), setting.owner)
    return dense.apply_stack_folded(params["rest"], jax.nn.relu(hidden))


def _front(layers, x, setting, shape, *, inverse):
    raw = dense.apply_stack(layers, setting.context).reshape(-1, shape.dims, x.shape[1])
    move = undo_by_context if inverse else move_by_context
    moved = move(raw, x, shape.bound)
    values = jnp.where(setting.alive, moved.values, x)
    return values, jnp.sum(jnp.where(setting.alive, moved.log_slope, 0.0), 0)
