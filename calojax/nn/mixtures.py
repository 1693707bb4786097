"""Mixtures of logistic distributions: a monotone map onto (0, 1) whose density and draws are in closed form.

    F(x) = sum_i w_i sigmoid((x - m_i) / s_i)

As a coupling it takes x to F(x), with free weights, positions and widths (arXiv:1902.00275); for integers F gives the
probability of an interval exactly, so that nothing has to be dequantised (arXiv:1701.05517).

raw (3 C, ...): parameters of C components, all 0 for a broad start.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_SPREAD, _LOG_WIDTH = 1.5, -0.7  # at the start components lie in [-1.5, 1.5], each exp(-0.7) wide
_LIMIT = 40.0  # |(x - m) / s| beyond which sigmoid is 0 or 1 in float32
_SMALLEST = 1e-6


def parameters(components: int) -> int:
    """Rows of raw parameters."""
    return 3 * components


def log_density(raw: Array, x: Array) -> Array:
    """raw (3 C, ...), x (...) -> (...)."""
    log_weight, position, log_width = _parts(raw)
    z = (x - position) * jnp.exp(-log_width)
    return jax.nn.logsumexp(log_weight - log_width + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z), axis=0)


def log_probability(raw: Array, low: Array, high: Array) -> Array:
    """Log probability of low < x < high, which may be infinite; raw (3 C, ...), low, high (...)."""
    log_weight, position, log_width = _parts(raw)
    scaled = lambda x: jnp.clip((jnp.clip(x, -1e4, 1e4) - position) * jnp.exp(-log_width), -_LIMIT, _LIMIT)
    a, b = scaled(low), scaled(high)
    # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b))
    gap = jnp.log(-jnp.expm1(-jnp.maximum(b - a, _SMALLEST)))
    return jax.nn.logsumexp(log_weight + jax.nn.log_sigmoid(b) + jax.nn.log_sigmoid(-a) + gap, axis=0)


def draw(raw: Array, uniform: Array) -> Array:
    """One number for every uniform number (...): it chooses the component, and what is left of it the place there.

    A walk over the components takes along what the one that is hit needs: reductions over so few rows, and logarithms
    of all of them, take several times as long on a CPU.
    """
    raw_weight, position, raw_width = jnp.split(raw, 3)
    weight, first = jnp.exp(raw_weight - jnp.max(raw_weight, 0)), _starts(len(position))
    target = uniform * sum(weight[1:], weight[0])
    begin = end = jnp.zeros_like(target)
    mine, at, width = weight[0], position[0] + first[0], raw_width[0]
    for i in range(1, len(weight)):
        end = end + weight[i - 1]
        beyond = target >= end
        begin, mine = jnp.where(beyond, end, begin), jnp.where(beyond, weight[i], mine)
        at, width = jnp.where(beyond, position[i] + first[i], at), jnp.where(beyond, raw_width[i], width)
    within = jnp.clip((target - begin) / jnp.maximum(mine, 1e-12), _SMALLEST, 1 - _SMALLEST)
    return at + jnp.exp(_log_width(width)) * (jnp.log(within) - jnp.log1p(-within))


def _parts(raw):
    n = raw.shape[0] // 3
    start = _starts(n).reshape(-1, *[1] * (raw.ndim - 1))
    return jax.nn.log_softmax(raw[:n], axis=0), raw[n : 2 * n] + start, _log_width(raw[2 * n :])


def _starts(components):
    return np.linspace(-_SPREAD, _SPREAD, components).astype(np.float32)


def _log_width(raw):
    return jnp.clip(raw, -4.0, 5.0) + _LOG_WIDTH
