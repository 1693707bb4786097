"""Coupling flow on plain vectors: the halves take turns, and only the half that moves is computed.

    y_move = s(x_move; theta(x_stay, context)),   y_stay = x_stay,   then they change places

s is a rational-quadratic spline (`splines`), theta a rectified network. Dimensions 0..D/2 move first. For sets of
vectors that see each other, see `couplings`.

Source: arXiv:1906.04032. D dimensions (even), F numbers of context, N vectors, J couplings.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.errors import InputError
from calojax.nn import dense, splines

Params = tuple[dense.Dense, ...]  # one network per coupling, their arrays one on another: weight (J, out, in)


@dataclass(frozen=True)
class Shape:
    """Sizes of the flow: dims is even, splines act on [-bound, bound]."""

    dims: int
    context: int
    couplings: int = 8
    hidden: int = 64
    bins: int = 8
    bound: float = 6.0

    def __post_init__(self):
        if self.dims < 2 or self.dims % 2:
            raise InputError(
                where="vector_flow.Shape",
                found=f"dims is {self.dims}",
                rule="both halves need the same number of dimensions",
                remedy="add a dimension of noise, or use nn.couplings",
            )


class Moved(NamedTuple):
    """values (D, N) and log |det| (N,)."""

    values: Array
    log_det: Array


def init(key: Array, shape: Shape) -> Params:
    """Parameters; the flow starts as the identity."""
    outputs = shape.dims // 2 * splines.parameters(shape.bins)
    sizes = (shape.dims // 2 + shape.context, shape.hidden, shape.hidden, outputs)
    return jax.vmap(lambda k: dense.init_stack(k, sizes))(jax.random.split(key, shape.couplings))


def forward(params: Params, x: Array, context: Array, shape: Shape) -> Moved:
    """Data to base; x (D, N), context (F, N)."""

    def body(carry, layers):
        moving, staying, log_det = carry
        moved = splines.forward(moving, _condition(layers, staying, context, shape), shape.bound)
        return (staying, moved.values, log_det + jnp.sum(moved.log_slope, 0)), None

    start = (*jnp.split(x, 2), jnp.zeros(x.shape[1]))
    (*halves, log_det), _ = jax.lax.scan(jax.checkpoint(body), start, params)
    return Moved(jnp.concatenate(halves), log_det)


def inverse(params: Params, y: Array, context: Array, shape: Shape) -> Moved:
    """Base to data: undoes `forward` with the same arguments."""

    def body(carry, layers):
        staying, moving, log_det = carry
        moved = splines.inverse(moving, _condition(layers, staying, context, shape), shape.bound)
        return (moved.values, staying, log_det + jnp.sum(moved.log_slope, 0)), None

    start = (*jnp.split(y, 2), jnp.zeros(y.shape[1]))
    (*halves, log_det), _ = jax.lax.scan(body, start, params, reverse=True)
    return Moved(jnp.concatenate(halves), log_det)


def log_density(params: Params, x: Array, context: Array, shape: Shape) -> Array:
    """Log density (N,) of x (D, N) given context (F, N)."""
    moved = forward(params, x, context, shape)
    return moved.log_det - 0.5 * jnp.sum(moved.values**2 + jnp.log(2 * jnp.pi), 0)


def sample(params: Params, key: Array, context: Array, shape: Shape) -> Array:
    """One vector for each context (F, N): (D, N)."""
    noise = jax.random.normal(key, (shape.dims, context.shape[1]))
    return inverse(params, noise, context, shape).values


def _condition(layers, staying, context, shape):
    raw = dense.apply_stack_folded(layers, jnp.concatenate([staying, context]))
    return raw.reshape(-1, *staying.shape)
