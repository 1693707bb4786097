"""Contrastive divergence: maximum likelihood with samples in place of the machine's averages, as an ordinary loss.

    L = <E>_data - <E>_samples,    grad L = - (<v_i v_j>_data - <v_i v_j>_samples) for W_ij, likewise for b_i

Samples that started at the data give contrastive divergence, chains that go on from step to step persistent
contrastive divergence.

Centring: parameters are those of the same machine on v - mu, mu about the means of the data, from which
`machine.uncentred` makes the plain ones. A flip of bits does not change their gradients, and a weight that moves does
not take the mean fields of its nodes along. The published form instead maps the gradient g of the plain parameters to

    dW_ij = g_ij - mu_i g_j^T - g_i mu_j^T,    db_i = g_i - sum_j dW_ij mu_j

which is the same as long as every parameter moves in proportion to it. Adam moves each by its own measure: then weights
move the mean fields, biases do not follow, and the machine settles where its samples have lower energies than the data.
Source of the published form: J. Melchior, A. Fischer, L. Wiskott, arXiv:1311.1354.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from calojax.nn.boltzmann import machine
from calojax.nn.boltzmann.machine import Machine


def contrastive_loss(
    params: Machine, data: Array, samples: Array, *, weight: Array | None = None, sample_weight: Array | None = None
) -> Array:
    """<E>_data - <E>_samples, whose gradient is minus the direction of ascent of the likelihood.

    params: plain ones, masked; data (N, 4, n); samples (C, 4, n), through which no gradient flows; weight (N,),
    sample_weight (C,) of rows, default all the same. With partition 0 clamped, samples have the data's partition 0, and
    its biases mean nothing.
    """
    samples = jax.lax.stop_gradient(samples)
    means = [_mean(machine.energy(params, v), w) for v, w in ((data, weight), (samples, sample_weight))]
    return means[0] - means[1]


def persistent(chains: Array, bits: Array) -> Array:
    """Chains (C, 4, n) clamped to the energies of the current batch, bits (N, n): chain c to those of row c mod N."""
    return chains.at[:, 0].set(bits[jnp.arange(chains.shape[0]) % bits.shape[0]].astype(chains.dtype))


def adam(rate: Any, decay: float = 0.0) -> optax.GradientTransformation:
    """Adam (rate, or its schedule) that also takes a share `decay` of every parameter away in each step."""
    adam = optax.adam(rate)
    return optax.chain(adam, optax.add_decayed_weights(-decay)) if decay else adam


def _mean(x: Array, weight: Array | None) -> Array:
    """Over the first axis."""
    return jnp.mean(x, 0) if weight is None else jnp.tensordot(weight, x, 1) / jnp.sum(weight)
