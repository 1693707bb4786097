"""Monotone rational-quadratic splines with linear tails.

K bins on [-B, B], the identity outside. With s = h/w, t = (x - x0)/w and D = s + (d1 + d0 - 2s) t (1-t)

    y     = y0 + h (s t^2 + d0 t (1-t)) / D
    dy/dx = s^2 (d1 t^2 + 2 s t (1-t) + d0 (1-t)^2) / D^2
    t     = 2c / (-b - sqrt(b^2 - 4ac)),   e = y - y0, m = d1 + d0 - 2s, a = h (s - d0) + e m, b = h d0 - e m, c = -s e

Source: Durkan et al., arXiv:1906.04032, with the root that does not cancel and a discriminant kept at or above 0
(float32 makes it negative after long training). Differs from the source: floors of 1e-2 on bin sizes and slopes, so
that a round trip in float32 stays bounded; zero parameters are the identity.

Layout: parameters first. Values have any shape S, parameters (3K-1, *S): K widths, K heights, K-1 inner slopes. The
bins are walked in Python, so that everything is element-wise over S and nothing is reduced over a short axis, and
the gradient is written by hand (automatic differentiation of the walk costs more).
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

FLOOR = 1e-2  # smallest share of a bin, smallest slope
_UNIT_SLOPE = math.log(math.expm1(1 - FLOOR))  # softplus of it is 1 - FLOOR: a raw slope of 0 is a slope of 1
_STEEPEST = 80.0  # raw sizes are clipped there: exponentials and their sums stay finite and above 0 in float32
_OUTER = 0.0  # raw slope at the ends: 1, that of the tails


class Moved(NamedTuple):
    """Values and log derivative, both of the shape of what came in."""

    values: Array
    log_slope: Array


class _Bin(NamedTuple):
    """The bin that holds a value: left edge, size, lower edge, height, raw slopes at both ends, number."""

    x0: Array
    w: Array
    y0: Array
    h: Array
    d0: Array
    d1: Array
    index: Array


def parameters(bins: int) -> int:
    """Raw parameters per transformed number."""
    return 3 * bins - 1


def forward(x: Array, raw: Array, bound: float) -> Moved:
    """Data to base. x of shape S, raw (3K-1, *S); returns values and log dy/dx, both of shape S."""
    moved: Any = _forward(x, raw, bound)
    return Moved(*moved)


def inverse(y: Array, raw: Array, bound: float) -> Moved:
    """Base to data: undoes `forward`; log_slope is log dx/dy."""
    picked = _pick(y, raw, bound, by_height=True)
    d0, d1 = _slope(picked.d0), _slope(picked.d1)
    s = picked.h / picked.w
    e = jnp.clip(y, -bound, bound) - picked.y0
    m = d1 + d0 - 2 * s
    a, b, c = picked.h * (s - d0) + e * m, picked.h * d0 - e * m, -s * e
    root = jnp.sqrt(jnp.maximum(b * b - 4 * a * c, 0.0))
    t = jnp.clip(2 * c / jnp.minimum(-b - root, -1e-20), 0.0, 1.0)
    inside = jnp.abs(y) < bound
    values = jnp.where(inside, picked.x0 + t * picked.w, y)
    return Moved(values, jnp.where(inside, -_log_slope(t, s, d0, d1), 0.0))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _forward(x, raw, bound):
    return _move(x, _pick(x, raw, bound, by_height=False), bound)


def _forward_saving(x, raw, bound):
    picked = _pick(x, raw, bound, by_height=False)
    return _move(x, picked, bound), (x, raw, picked)


def _forward_gradient(bound, saved, cotangents):
    x, raw, picked = saved
    bins = (raw.shape[0] + 1) // 3
    index = picked.index
    moved = lambda x, x0, w, y0, h, d0, d1: _move(x, _Bin(x0, w, y0, h, d0, d1, index), bound)
    _, pull_back = jax.vjp(moved, x, *picked[:6])
    g_x, g_x0, g_w, g_y0, g_h, g_d0, g_d1 = pull_back(cotangents)
    sizes = _sizes(raw, bound)
    g_widths = _softmax_gradient(sizes.widths, index, g_x0, g_w, picked.x0, picked.w, bound)
    g_heights = _softmax_gradient(sizes.heights, index, g_y0, g_h, picked.y0, picked.h, bound)
    g_slopes = [jnp.where(index == k + 1, g_d0, 0.0) + jnp.where(index == k, g_d1, 0.0) for k in range(bins - 1)]
    return g_x, jnp.stack(g_widths + g_heights + g_slopes)


_forward.defvjp(_forward_saving, _forward_gradient)


def _softmax_gradient(shares, index, g_edge, g_size, edge, size, bound):
    """Gradient to raw sizes: bins left of `index` move its edge, bin `index` is its size; then the softmax's own."""
    bins = shares.powers.shape[0]
    floor, room = 2 * bound * FLOOR, 2 * bound * (1 - bins * FLOOR)
    mean = (g_edge * (edge + bound - index * floor) + g_size * (size - floor)) / room  # sum_j p_j g_j
    out = []
    for k in range(bins):
        g = jnp.where(index > k, g_edge, jnp.where(index == k, g_size, 0.0))
        out.append(shares.powers[k] * shares.scale * (g - mean))
    return out


class _Shares(NamedTuple):
    """Bins are scale * powers[k] beyond the floor: powers (K, *S), scale (S)."""

    powers: Array
    scale: Array

    def size(self, k: int, bound: float) -> Array:
        return self.powers[k] * self.scale + 2 * bound * FLOOR


class _Sizes(NamedTuple):
    widths: _Shares
    heights: _Shares


def _sizes(raw, bound) -> _Sizes:
    """Of all bins. Barriers keep the exponentials in a loop of their own: XLA would otherwise fuse them into everything
    that uses a bin, and compute each of them several times."""
    bins = (raw.shape[0] + 1) // 3
    room = 2 * bound * (1 - bins * FLOOR)
    # nothing overflows, and the largest need not be subtracted, which takes longer
    (powers,) = jax.lax.optimization_barrier((jnp.exp(jnp.clip(raw[: 2 * bins], -_STEEPEST, _STEEPEST)),))
    of_kind = powers[:bins], powers[bins:]
    scales = jax.lax.optimization_barrier(tuple(room / sum(p[k] for k in range(bins)) for p in of_kind))
    return _Sizes(*(_Shares(p, scale) for p, scale in zip(of_kind, scales, strict=True)))


def _pick(value, raw, bound, *, by_height) -> _Bin:
    """Walk the knots and keep the bin that holds the value (clipped into the interval first)."""
    bins = (raw.shape[0] + 1) // 3
    sizes, slopes = _sizes(raw, bound), raw[2 * bins :]
    outer = jnp.full_like(value, _OUTER)
    inside = jnp.clip(value, -bound, bound)
    x = y = x0 = y0 = jnp.full_like(value, -bound)
    width, height = w, h = tuple(of_kind.size(0, bound) for of_kind in sizes)
    d0, d1 = outer, slopes[0]
    index = jnp.zeros(value.shape, jnp.int32)
    for k in range(1, bins):
        x, y = x + width, y + height
        width, height = (of_kind.size(k, bound) for of_kind in sizes)
        right = inside >= (y if by_height else x)
        x0, y0 = jnp.where(right, x, x0), jnp.where(right, y, y0)
        w, h = jnp.where(right, width, w), jnp.where(right, height, h)
        d0 = jnp.where(right, slopes[k - 1], d0)
        d1 = jnp.where(right, slopes[k] if k < bins - 1 else outer, d1)
        index = jnp.where(right, k, index)
    return _Bin(x0, w, y0, h, d0, d1, index)


def _slope(raw):
    return FLOOR + jax.nn.softplus(raw + _UNIT_SLOPE)


def _move(x, picked, bound):
    d0, d1 = _slope(picked.d0), _slope(picked.d1)
    s = picked.h / picked.w
    t = (jnp.clip(x, -bound, bound) - picked.x0) / picked.w
    inside = jnp.abs(x) < bound
    between = t * (1 - t)
    y = picked.y0 + picked.h * (s * t * t + d0 * between) / (s + (d1 + d0 - 2 * s) * between)
    return jnp.where(inside, y, x), jnp.where(inside, _log_slope(t, s, d0, d1), 0.0)


def _log_slope(t, s, d0, d1):
    between = t * (1 - t)
    top = d1 * t * t + 2 * s * between + d0 * (1 - t) * (1 - t)
    return 2 * jnp.log(s / (s + (d1 + d0 - 2 * s) * between)) + jnp.log(top)
