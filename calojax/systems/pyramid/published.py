"""Hit patterns as published: spline coupling flows on dequantised counts and Gumbel variables: coupling = "rqs".

One vector per parent: the number k of hit children, through its CDF table (`nn.cdf`), and one Gumbel variable per
child (`nn.gumbel`), standardised by the child's hit frequency q: mean .577 - 7 (1 - q), variance 1.645 + 49 q (1 - q).
A plain coupling flow for the layers of a shower, permutation-invariant ones for the rings of its hit layers and the
cells of its hit rings. Quantisation: the k largest. That k and the X of a parent are one vector is our reading of the
poster.

Log probabilities are lower bounds (dequantisation is variational) in the same measure as those of
`placed`; with dequantisation = "published" they are not even that, since some X quantise to another pattern.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import cdf, couplings, gumbel, sets
from calojax.systems.pyramid import hits as levels
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.coarse import NEIGHBOURS
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants, Parents
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import grid, ringlist
from calojax.systems.pyramid.truth import Rings

EULER, GUMBEL_VARIANCE = 0.57722, 1.64493


def shapes(config: Model, constants: Constants) -> dict[str, couplings.Shape]:
    """The flows of the three stages."""
    depth, radii = constants.tree.layer_rings.shape
    cells = constants.tree.ring_cells.shape[1]
    sizes = {"couplings": config.couplings, "bins": config.bins, "bound": config.bound}
    in_rings = 3 + constants.ring_features.shape[0] + len(NEIGHBOURS)
    near = {"layers": 0, "rings": len(grid.VECTORS), "cells": len(NEIGHBOURS)}
    if not config.neighbours:
        near = dict.fromkeys(near, 0)
    return {
        "layers": couplings.Shape(1 + depth, 3, near["layers"], hidden=2 * config.hidden, pooled=0, **sizes),
        "rings": couplings.Shape(
            1 + radii, grid.context_size(constants), near["rings"], hidden=config.hidden, pooled=config.pooled, **sizes
        ),
        "cells": couplings.Shape(
            1 + cells, in_rings, near["cells"], hidden=config.cell_hidden, pooled=config.pooled, **sizes
        ),
    }


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters of the three flows."""
    flows = shapes(config, constants)
    keys = jax.random.split(key, len(flows))
    return {name: couplings.init(k, shape) for k, (name, shape) in zip(keys, flows.items(), strict=True)}


def log_probability(
    params: dict[str, Any],
    incident_energy: Array,
    hits: Hits,
    key: Array,
    config: Model,
    constants: Constants,
    shift_showers: int = 0,
) -> dict[str, Array]:
    """Lower bound on the log probability of each stage's outcome given the stages above, each (T,), in nats."""
    n, depth = incident_energy.shape[0], constants.tree.layer_rings.shape[0]
    settings = _settings(incident_energy, hits, constants, shift_showers, config.neighbours)
    patterns = {
        "layers": hits.known.hit.reshape(n, depth).T,
        "rings": hits.counts > 0,
        "cells": hits.cells,
    }
    out = {}
    for number, (name, shape) in enumerate(shapes(config, constants).items()):
        setting, parents, position = settings[name], getattr(constants, f"{name}_of"), _position(name, hits, constants)
        score = _bound(
            params[name], patterns[name], position, parents, setting, shape, jax.random.fold_in(key, number), config
        )
        owner = setting.owner
        out[name] = sets.sum_by_owner(jnp.where(setting.real, score, 0.0), owner, n)
    return out


def draw(
    params: dict[str, Any], incident_energy: Array, noise: Noise, capacity: int, config: Model, constants: Constants
) -> Hits:
    """incident_energy (T,), MeV; capacity: hit rings that the tile's list can hold."""
    n, (depth, radii) = incident_energy.shape[0], constants.tree.layer_rings.shape
    flows = shapes(config, constants)
    z = noise.by_shower("hit layers", 1 + depth, normal=True)
    position = jnp.zeros(n, jnp.int32)
    layers = _quantised(
        params["layers"], z, position, constants.layers_of, _of_shower(incident_energy, constants), flows["layers"]
    )
    known = grid.build(incident_energy, layers.T, constants)
    z = noise.on_grid("hit rings", 1 + radii, depth, normal=True)
    in_rings = _of_layers(known, constants)
    position = jnp.arange(n * depth) % depth
    rings = _quantised(params["rings"], z, position, constants.rings_of, in_rings, flows["rings"]) & known.hit
    found = sets.compact(truth.from_grid(rings, constants), capacity)
    listed = truth.ring_list(found.owner, found.position, n, constants)
    z = noise.by_ring("cells", listed, 1 + constants.tree.ring_cells.shape[1], normal=True)
    setting = _of_rings(incident_energy, listed, constants, 0, config.neighbours)
    cells = _quantised(params["cells"], z, listed.ring, constants.cells_of, setting, flows["cells"]) & listed.real
    return levels.of_cells(incident_energy, listed, cells, constants, found.overflow)


def _bound(params, pattern, position, parents: Parents, setting, shape, key, config):
    """E over one draw of the dequantisation of log p(z, X) - log q(z, X | k, pattern), (E,)."""
    children, elements = pattern.shape
    k = jnp.sum(pattern, 0, dtype=jnp.int32)
    real = parents.exists[position].T
    z = cdf.dequantise(parents.table, position, k, jax.random.uniform(jax.random.fold_in(key, 0), (elements,)))
    uniforms = gumbel.uniforms(jax.random.fold_in(key, 1), children, elements)
    if config.dequantisation == "conditional":
        x = gumbel.dequantise_exactly(pattern, uniforms, real)
        log_q = gumbel.log_density(pattern, x, real)
    else:
        x = gumbel.dequantise(pattern, uniforms)
        log_q = gumbel.log_density_published(pattern, x, real)
    mean, width = _scale(parents, position)
    standard = jnp.where(real, (x - mean) / width, 0.0)
    vector = jnp.concatenate([z[None], standard])
    exists = jnp.concatenate([jnp.ones((1, elements), bool), real])
    moved = couplings.forward(params, vector, setting._replace(exists=exists), shape)
    log_p = moved.log_det + jnp.sum(jnp.where(exists, couplings.standard_normal(moved.values), 0.0), 0)
    log_p -= jnp.sum(jnp.where(real, jnp.log(width), 0.0), 0)
    log_k = cdf.log_probability(parents.table, position, k) - couplings.standard_normal(z)
    return log_p + log_k - log_q


def _quantised(params, z, position, parents: Parents, setting, shape):
    real = parents.exists[position].T
    exists = jnp.concatenate([jnp.ones((1, z.shape[1]), bool), real])
    vector = couplings.inverse(params, z, setting._replace(exists=exists), shape).values
    k = cdf.quantise(parents.table, position, vector[0])
    mean, width = _scale(parents, position)
    return gumbel.quantise(vector[1:] * width + mean, k, real)


def _scale(parents, position):
    q = parents.frequency[position].T
    return EULER + gumbel.SHIFT * (1 - q), jnp.sqrt(GUMBEL_VARIANCE + gumbel.SHIFT**2 * q * (1 - q))


def _position(name, hits, constants):
    """Row of the stage's tables for every element."""
    n, depth = hits.known.energy.shape[1], constants.tree.layer_rings.shape[0]
    if name == "layers":
        return jnp.zeros(n, jnp.int32)
    return jnp.arange(n * depth) % depth if name == "rings" else hits.rings.ring


def _settings(incident_energy, hits, constants, shift_showers, neighbours):
    return {
        "layers": _of_shower(incident_energy, constants),
        "rings": _of_layers(hits.known, constants),
        "cells": _of_rings(incident_energy, hits.rings, constants, shift_showers, neighbours),
    }


def _of_shower(incident_energy, constants):
    n = incident_energy.shape[0]
    energy, number = truth.energy_features(incident_energy, constants), jnp.arange(n)
    return couplings.Setting(energy, jnp.ones(n, bool), jnp.zeros(n, jnp.int32), number, n)


def _of_layers(known, constants):
    showers = known.energy.shape[1]
    apart = truth.layers_apart(constants.tree.layer_rings.shape[0], grid.VECTORS)
    return couplings.Setting(known.context, known.hit, known.parity, known.owner, showers, apart)


def _of_rings(incident_energy, rings: Rings, constants, shift_showers, neighbours):
    around = ringlist.surroundings(rings, constants, shift_showers)
    energy = sets.of_owner(truth.energy_features(incident_energy, constants), rings.owner)
    near_hit = (around.near < rings.owner.shape[0]).astype(jnp.float32)
    near_hit = near_hit if neighbours else jnp.zeros_like(near_hit)
    context = jnp.concatenate([energy, constants.ring_features[:, rings.ring], near_hit])
    near = lambda x: ringlist.near_numbers(x, around)
    parity = (constants.tree.ring_layer + constants.tree.ring_radius)[rings.ring] % 2
    return couplings.Setting(context, rings.real, parity, rings.owner, incident_energy.shape[0], near)
