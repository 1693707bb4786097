"""Binary variables that a gradient can pass: smoothed Bernoulli samples, and the schedules that sharpen them.

    zeta = sigmoid(beta (logit + noise)),   noise = ln rho - ln(1 - rho),   rho uniform in (0, 1)

For a large sharpness beta this is a draw of Bernoulli(sigmoid(logit)), and for `HARD` it is one exactly: 1 where
logit + noise > 0. Sources: arXiv:1611.01144, arXiv:1611.00712.
"""

import jax
import jax.numpy as jnp
from jax import Array

HARD = None  # the sharpness of samples that are 0 or 1
_SHARPNESS, _SLOPE = (1.0, 100.0), (0.05, 0.0)


def logistic(key: Array, shape: tuple[int, ...]) -> Array:
    """Logistic noise, always finite: rho takes the middles of 2^23 equal parts of (0, 1), so that |noise| < 17."""
    part = jax.random.bits(key, shape, jnp.uint32) >> 9
    rho = (part.astype(jnp.float32) + 0.5) * 2.0**-23
    return jnp.log(rho) - jnp.log1p(-rho)


def sample(logit: Array, noise: Array | float, sharpness: Array | float | None) -> Array:
    """zeta, of the shape of logit; sharpness: beta, or HARD. Noise 0 with HARD gives what is more likely."""
    drawn = logit + noise
    if sharpness is None:  # HARD
        return (drawn > 0).astype(logit.dtype)
    return jax.nn.sigmoid(sharpness * drawn)


def sharpness(step: Array | int, hold: int, ramp: int) -> Array:
    """beta at a step: 1 for `hold` steps, then linear to 100 within `ramp` steps."""
    return _linear(step, hold, ramp, *_SHARPNESS)


def leak(step: Array | int, hold: int, ramp: int) -> Array:
    """Slope of the energy head below zero, on the same line: .05 down to 0."""
    return _linear(step, hold, ramp, *_SLOPE)


def _linear(step, hold, ramp, first, last):
    passed = jnp.clip((jnp.asarray(step, jnp.float32) - hold) / max(ramp, 1), 0.0, 1.0)
    return first + (last - first) * passed
