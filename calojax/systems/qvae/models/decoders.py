"""Decoders: four sub-decoders, one after another, end in a hit head (logits) and an energy head.

`init` and `decode` choose the chain by `Model.heads`: "last" and "all" begin every sub-decoder at a point (`flat`),
"first-and-last" works on the whole grid from the first sub-decoder on (`gridded`). Source: the CaloQVAE line
(arXiv:2410.22870 and its public code).

Differences, on purpose: latent groups for skip connections are taken from the latent variables, never from another
layer's outcome; the incident energy is one normalised channel; both heads end linearly, since a rectifier on logits
flattens them, and what energies below zero become is the loss's and the draw's affair (`drawing`).
"""

from typing import Any

from jax import Array

from calojax.systems.qvae.models import flat, gridded
from calojax.systems.qvae.models.config import Model
from calojax.systems.qvae.models.decoded import Decoded
from calojax.systems.qvae.models.plan import Plan


def init(key: Array, plan: Plan, model: Model) -> Any:
    """Parameters of the decoder."""
    return _of(model).init(key, plan, model)


def decode(params: Any, plan: Plan, model: Model, latent: Array, energy: Array) -> Decoded:
    """latent (N, 4, n), partition 0 the energy's bits; energy (N,) as `conditioning.channel` -> heads (N, Z, A, R)."""
    return _of(model).decode(params, plan, model, latent, energy)


def _of(model: Model):
    return gridded if model.heads == "first-and-last" else flat
