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
    """One number for every uniform number (...): it chooses the component, and what is left of it the place there."""
    log_weight, position, log_width = _parts(raw)
    weight = jnp.exp(log_weight)
    end = jnp.cumsum(weight, axis=0)
    begin = end - weight
    within = jnp.clip((uniform * end[-1] - begin) / jnp.maximum(weight, 1e-12), _SMALLEST, 1 - _SMALLEST)
    values = position + jnp.exp(log_width) * (jnp.log(within) - jnp.log1p(-within))
    mine = jnp.sum((uniform * end[-1] >= end[:-1]).astype(jnp.int32), axis=0)
    components = jnp.arange(weight.shape[0]).reshape(-1, *[1] * uniform.ndim)
    return jnp.sum(jnp.where(components == mine, values, 0.0), axis=0)


def _parts(raw):
    n = raw.shape[0] // 3
    start = np.linspace(-_SPREAD, _SPREAD, n).reshape(-1, *[1] * (raw.ndim - 1)).astype(np.float32)
    log_width = jnp.clip(raw[2 * n :], -4.0, 5.0) + _LOG_WIDTH
    return jax.nn.log_softmax(raw[:n], axis=0), raw[n : 2 * n] + start, log_width
