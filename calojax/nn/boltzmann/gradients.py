"""Contrastive divergence: maximum likelihood with samples in place of the machine's averages, as an ordinary loss.

    L = <E>_data - <E>_samples,    grad L = - (<v_i v_j>_data - <v_i v_j>_samples) for W_ij, likewise for b_i

Samples that started at the data give contrastive divergence, chains that go on from step to step persistent
contrastive divergence. Centred gradients are those of the same machine with v - mu in place of v, which a flip of bits
does not change and which condition better. They are a linear map of the plain ones g:

    dW_ij = g_ij - mu_i g_j^T - g_i mu_j^T,    db_i = g_i - sum_j dW_ij mu_j

mu from the data is the usual centring; the mean of data and samples gives the enhanced gradient, in which dW is the
difference of the covariances of data and samples, each about its own means (over N, not N - 1). Source: J. Melchior, A.
Fischer, L. Wiskott, arXiv:1311.1354, who saw the latter diverge at times, since mu follows the samples: so it does here
with strong couplings, and "data" is the default.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from calojax.nn.boltzmann import machine
from calojax.nn.boltzmann.machine import PAIRS, Machine

Centring = Literal["none", "data", "both"]


def contrastive_loss(
    params: Machine,
    data: Array,
    samples: Array,
    *,
    mask: Array | None = None,
    centring: Centring = "data",
    weight: Array | None = None,
    sample_weight: Array | None = None,
) -> Array:
    """<E>_data - <E>_samples, whose gradient is minus the (centred) direction of ascent of the likelihood.

    data (N, 4, n); samples (C, 4, n), through which no gradient flows; weight (N,), sample_weight (C,) of rows, default
    all the same. With partition 0 clamped, samples have the data's partition 0, and its biases mean nothing.
    """
    samples = jax.lax.stop_gradient(samples)
    if centring != "none":
        params = centred(params, jax.lax.stop_gradient(offsets(data, samples, centring, weight, sample_weight)), mask)
    params = machine.masked(params, mask)
    means = [_mean(machine.energy(params, v), w) for v, w in ((data, weight), (samples, sample_weight))]
    return means[0] - means[1]


def offsets(data: Array, samples: Array, centring: Centring, weight=None, sample_weight=None) -> Array:
    """mu (4, n): mean of the data, or of the means of data and samples."""
    mean = _mean(data, weight)
    return mean if centring == "data" else 0.5 * (mean + _mean(samples, sample_weight))


def persistent(chains: Array, bits: Array) -> Array:
    """Chains (C, 4, n) clamped to the energies of the current batch, bits (N, n): chain c to those of row c mod N."""
    return chains.at[:, 0].set(bits[jnp.arange(chains.shape[0]) % bits.shape[0]].astype(chains.dtype))


@jax.custom_vjp
def centred(params: Machine, offset: Array, mask: Array | None) -> Machine:
    """The parameters as they are; a gradient that comes back through here is centred about offset (4, n)."""
    return params


def _keep(params, offset, mask):
    return params, (offset, mask)


def _centre(kept, gradient):
    offset, mask = kept
    outer = [jnp.outer(offset[i], gradient.biases[j]) + jnp.outer(gradient.biases[i], offset[j]) for i, j in PAIRS]
    found = machine.masked(gradient._replace(weights=gradient.weights - jnp.stack(outer)), mask)
    pulls = machine.fields(found._replace(biases=jnp.zeros_like(offset)), offset)
    return found._replace(biases=found.biases - pulls), None, None


centred.defvjp(_keep, _centre)


def adam(rate: Any, decay: float = 0.0) -> optax.GradientTransformation:
    """Adam (rate, or its schedule) that also takes a share `decay` of every parameter away in each step."""
    adam = optax.adam(rate)
    return optax.chain(adam, optax.add_decayed_weights(-decay)) if decay else adam


def _mean(x: Array, weight: Array | None) -> Array:
    """Over the first axis."""
    return jnp.mean(x, 0) if weight is None else jnp.tensordot(weight, x, 1) / jnp.sum(weight)
