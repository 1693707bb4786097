"""The four stages together: the likelihood of true showers, and showers drawn from nothing but energies and noise."""

from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense
from calojax.systems.pyramid import hits, placed, published, truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import energies
from calojax.systems.pyramid.truth import Showers


class Drawn(NamedTuple):
    """Hit cells of a tile by ring: rings, cells (A, E) bool, excess (A, E) MeV; overflow: a list was too short."""

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
    params = _in_precision(params, config)
    incident_energy, rings = showers.incident_energy, showers.rings
    pattern = hits.of_cells(incident_energy, rings, showers.cells, constants)
    scores = form(config).log_probability(params, incident_energy, pattern, key, config, constants)
    true = energies.of_showers(showers.excess, rings, constants)
    of_energies = energies.log_probability(params["energies"], pattern, true, showers.listed, constants)
    return scores | {f"energy_{level}": score for level, score in of_energies.items()}


def draw(
    params: dict[str, Any],
    incident_energy: Array,
    keys: Array,
    capacity: tuple[int, int],
    config: Model,
    constants: Constants,
) -> Drawn:
    """incident_energy (T,), MeV; keys (T,), one per shower; capacity: hit rings and cells that the tile can hold."""
    params = _in_precision(params, config)
    noise, (rings, cells) = Noise(keys), capacity
    pattern = form(config).draw(params, incident_energy, noise, rings, config, constants)
    uniforms = energies.noise(noise, pattern.rings, constants)
    excess = energies.draw(params["energies"], pattern, uniforms, cells, constants)
    return Drawn(pattern.rings, pattern.cells, excess, pattern.overflow | (jnp.sum(pattern.cells) > cells))


def _in_precision(params, config):
    return dense.narrowed(params) if config.precision == "bfloat16" else params
