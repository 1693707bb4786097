"""Stage 4, second level: the shower's energy shared out to its hit layers, from front to back.

A layer sees the numbers of hits, the total, how far the layers before it departed from the usual share, and how much
energy is left for each hit that is left, relative to the shower's and in MeV: a single particle that crosses a layer
leaves the same energy in any shower.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures, rows
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.stages import grid, numbers, shares

_MOST = 8.0  # departures, and the logarithm of the energy per hit in MeV, are seen up to here


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys, hidden = jax.random.split(key, 2), config.hidden
    context = numbers.seen_size(constants) + 1
    sizes = (len(numbers.HISTORY) + 3, hidden, hidden, mixtures.parameters(config.components))
    return {"layer_context": dense.init(keys[0], context, hidden), "layers": dense.init_stack(keys[1], sizes)}


def log_density(
    params: dict[str, Any], pattern: Hits, total: Array, standard: Array, layers: Array, constants: Constants
) -> Array:
    """Of the logits of the layers' energies (G,): (G,); total (T,) MeV, and standardised."""
    depth = constants.tree.layer_rings.shape[0]
    by_layer, on_grid = lambda x: x.reshape(-1, depth).T, lambda x: x.T.ravel()
    energy, hits = by_layer(layers), by_layer(pattern.numbers.cells)
    rest, hits_rest = shares.left_behind(energy), shares.left_behind(hits)
    free = on_grid((hits > 0) & (hits_rest > 0))
    fit = _fit(pattern, constants)
    departed = jnp.clip(shares.standard(fit, layers, on_grid(rest), free), -_MOST, _MOST)
    history = truth.layers_apart(depth, numbers.HISTORY)(departed[None])
    per_hit = truth.on_grid((total / jnp.maximum(jnp.sum(hits, 0), 1))[None], depth)[0]
    context = _context(params, pattern, standard, constants)
    network = partial(dense.apply_stack, params["layers"])
    raw = _raw(network, context, history, on_grid(energy + rest), on_grid(hits + hits_rest), per_hit)
    return shares.log_density(raw, fit, layers, on_grid(rest), free)


def draw(
    params: dict[str, Any], pattern: Hits, total: Array, standard: Array, uniforms: Array, constants: Constants
) -> Array:
    """Energies of the layers (G,); uniforms (G,)."""
    depth = constants.tree.layer_rings.shape[0]
    by_layer = lambda x: jnp.moveaxis(x.reshape(*x.shape[:-1], -1, depth), -1, 0)
    hits = by_layer(pattern.numbers.cells)
    hits_rest = shares.left_behind(hits)
    per_hit = total / jnp.maximum(jnp.sum(hits, 0), 1)
    fits = shares.Fit(*(by_layer(x) for x in _fit(pattern, constants)))
    context = by_layer(_context(params, pattern, standard, constants)).swapaxes(1, 2)
    network = rows.network(params["layers"])

    def body(carry, layer):
        left, history = carry
        hits, hits_rest, fit, context, uniform = layer
        here, free = hits > 0, (hits > 0) & (hits_rest > 0)
        raw = _raw(network, context, history, left, hits + hits_rest, per_hit)
        taken, rest = shares.draw(raw, uniform, fit, left, here, free)
        departed = jnp.clip(shares.standard(fit, taken, rest, free & (taken > 0) & (rest > 0)), -_MOST, _MOST)
        return (rest, jnp.concatenate([departed[None], history[:-1]])), taken

    start = (total, jnp.zeros((len(numbers.HISTORY), total.shape[0])))
    steps = (hits, hits_rest, fits, context, by_layer(uniforms))
    return grid.from_front(body, start, steps, hits > 0, jnp.zeros(hits.shape)).T.ravel()


def _context(params, pattern, standard, constants):
    own_total = truth.on_grid(standard[None], constants.tree.layer_rings.shape[0])
    seen = numbers.seen(pattern.known, pattern.numbers, constants)
    return dense.apply(params["layer_context"], jnp.concatenate([seen, own_total]))


def _fit(pattern, constants):
    """Mean and width (G,) of the logits of the layers' shares: those of their hits, and the usual at this energy."""
    energy = pattern.known.incident_energy
    by_layer = lambda values: values.T.ravel()
    of_hits = shares.logits(pattern.numbers.cells.reshape(energy.shape[0], -1).T.astype(jnp.float32))
    mean, width = truth.mean(constants.layer_share, energy), truth.width(constants.layer_share, energy)
    return shares.Fit(by_layer(mean + of_hits), by_layer(width))


def _raw(network, context, history, left, hits_left, energy_per_hit):
    hits = jnp.maximum(hits_left, 1)
    ratio = shares.log_ratio(left, hits * energy_per_hit, 5.0)
    per_hit = jnp.clip(jnp.log(left / hits + shares.TINY), -_MOST, _MOST)
    counted = jnp.stack([ratio, jnp.log1p(hits_left) / 4.0, per_hit])
    return network(jnp.concatenate([history / 2.0, counted]), context)
