"""The four stages together: the likelihood of true showers, and showers drawn from nothing but energies and noise."""

from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import sets
from calojax.systems.pyramid import hits, placed, published, truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import energies
from calojax.systems.pyramid.truth import Showers


class Drawn(NamedTuple):
    """Hit cells of a tile by ring: rings, cells (A, E) bool, excess (A, E) MeV; overflow: the list was too short."""

    rings: truth.Rings
    cells: Array
    excess: Array
    overflow: Array


def form(config: Model) -> ModuleType:
    """How hit patterns are modelled."""
    return {"gumbel-mixture": placed, "rqs": published}[config.coupling]


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters of all stages."""
    of_hits, of_energies = jax.random.split(key)
    return form(config).init(of_hits, config, constants) | {"energies": energies.init(of_energies, config, constants)}


def log_probability(
    params: dict[str, Any], showers: Showers, key: Array, config: Model, constants: Constants
) -> dict[str, Array]:
    """Log probability of each stage's outcome given the true stages above, each (T,), in nats."""
    incident_energy, rings = showers.incident_energy, showers.rings
    n = incident_energy.shape[0]
    pattern = hits.of_cells(incident_energy, rings, showers.cells, constants)
    scores = form(config).log_probability(params, incident_energy, pattern, key, config, constants)
    true = energies.of_showers(showers.excess, rings, constants)
    of_energies = energies.log_probability(params["energies"], incident_energy, pattern, true, config, constants)
    by_layer = lambda x: jnp.sum(x.reshape(n, -1), 1)
    return scores | {
        "energy_total": of_energies["total"],
        "energy_layers": by_layer(of_energies["layers"]),
        "energy_rings": by_layer(of_energies["rings"]),
        "energy_cells": sets.sum_by_owner(of_energies["cells"], rings.owner, n),
    }


def draw(
    params: dict[str, Any], incident_energy: Array, keys: Array, capacity: int, config: Model, constants: Constants
) -> Drawn:
    """incident_energy (T,), MeV; keys (T,), one per shower; capacity: hit rings that the tile's list can hold."""
    noise = Noise(keys)
    pattern = form(config).draw(params, incident_energy, noise, capacity, config, constants)
    of_energies = energies.noise(noise, pattern.rings, constants)
    excess = energies.draw(params["energies"], incident_energy, pattern, of_energies, config, constants)
    return Drawn(pattern.rings, pattern.cells, excess, jnp.asarray(pattern.overflow))
