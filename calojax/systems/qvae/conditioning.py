"""The incident energy as one channel of the networks."""

import jax.numpy as jnp
from jax import Array


def channel(incident_energy: Array, lowest: Array | float, highest: Array | float) -> Array:
    """(N,) MeV -> (ln E - ln lowest) / (ln highest - ln lowest): 0 to 1 over the energies of the training data.

    If they are all the same it is ln E - ln lowest.
    """
    low, high = jnp.log(lowest), jnp.log(highest)
    return (jnp.log(incident_energy) - low) / jnp.where(high > low, high - low, 1.0)
