"""Rings of the grid drawn where there is a choice, against the networks of all rings in every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.geometry import Cylinder, Layer
from calojax.nn import placement
from calojax.systems.pyramid import constants, hits, statistics, truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.stages import counts, energy_rings, grid, gridlist, rings, shares
from calojax.systems.pyramid.stages.layers import categorical

SHOWERS = 4
DETECTORS = {"alike": [(3, 5)] * 5, "many rings": [(9, 4)] * 7, "unlike": [(3, 4), (1, 8), (4, 1), (3, 6), (2, 5)]}


@pytest.fixture(scope="module", params=DETECTORS)
def known(request):
    """Constants of a detector with layers of so many rings of so many cells."""
    shapes = enumerate(DETECTORS[request.param])
    layers = (Layer(i, tuple(5.0 * np.arange(r + 1)), n, 10.0 * i, 10.0 * i + 10) for i, (r, n) in shapes)
    cylinder = Cylinder("small", tuple(layers), 0.5)
    gathered = statistics.Statistics(cylinder, 0.5)
    deposits = np.random.default_rng(0).exponential(1.0, (6, cylinder.n_cells))
    gathered.add(np.geomspace(1e3, 1e4, 6), statistics.hits(deposits, 0.5))
    return jax.tree.map(jnp.asarray, constants.build(cylinder, 0.5, gathered.arrays(), 0.5))


@pytest.fixture(scope="module")
def pattern(known):
    """Showers with rings of none to all cells hit, some layers with one hit ring, or none."""
    draw, sizes = np.random.default_rng(1), np.asarray(grid.ring_sizes(known, SHOWERS))
    share = draw.choice([0.0, 0.1, 0.7, 1.0], (1, sizes.shape[1]))
    numbers = np.where(draw.random(sizes.shape) < share, draw.integers(0, sizes + 1), 0)
    in_tree = np.asarray(truth.from_grid(jnp.asarray(numbers), known))
    owner, ring = np.nonzero(in_tree)
    listed = truth.ring_list(jnp.asarray(owner), jnp.asarray(ring), SHOWERS, known)
    cells = jnp.arange(known.tree.ring_cells.shape[1])[:, None] < in_tree[owner, ring]
    return hits.of_cells(jnp.geomspace(1e3, 1e5, SHOWERS), listed, cells, known)


def shaken(module, known):
    params = module.init(jax.random.key(0), Model(hidden=8), known)
    return jax.tree.map(lambda a: a + 0.3 * jax.random.normal(jax.random.key(a.size), a.shape), params)


def uniforms(pattern):
    return jax.random.uniform(jax.random.key(2), pattern.counts.shape)


def test_pieces_are_what_is_seen_around_a_ring(known, pattern):
    """Of two quantities, in every step and layer."""
    radii, size = pattern.counts.shape
    values = list(jax.random.normal(jax.random.key(3), (2, radii, size)))
    over = gridlist.turns_over(radii, 2)
    parity = pattern.known.parity
    turn = grid.in_order(jnp.tile(jnp.arange(radii)[:, None], (1, size)), parity)
    for step in range(radii):
        layer, ring = jnp.arange(size), grid.ring_order(parity, radii)[step]
        some = gridlist.Rings(layer, ring, layer >= 0, ring * size + layer, step * size + layer)
        seen = gridlist.surroundings(values, known).around(some) * over[2 * step + parity]
        before = [jnp.where(turn < step, values[0], 0), values[1]]
        expected = [jnp.concatenate(grid.around_ring(x, jnp.int32(step), pattern.known)) for x in before]
        np.testing.assert_array_equal(seen.reshape(size, -1, 2), jnp.stack(expected, -1).swapaxes(0, 1))


@pytest.mark.optimised  # without, sums are rounded otherwise here and there
def test_the_same_energies_as_from_all_rings(known, pattern):
    params, given = shaken(energy_rings, known), uniforms(pattern)
    layers = jnp.where(pattern.known.hit, 10.0 + jnp.arange(pattern.counts.shape[1]), 0.0)

    def everywhere(params, pattern, layers, given, known):
        take = lambda raw, mine, fit, left, here, free: shares.draw(raw, mine, fit, left, here, free)
        ordered = grid.in_order(given, pattern.known.parity)
        return energy_rings._divide(params, pattern, layers, ordered, known, take)[0]

    found = jax.jit(energy_rings.draw)(params, pattern, layers, given, known)
    expected = jax.jit(everywhere)(params, pattern, layers, given, known)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found > 0, pattern.counts > 0)
    np.testing.assert_allclose(found.sum(0), layers, rtol=1e-5)


def test_the_same_counts_as_from_all_rings(known, pattern):
    params, given, hit = shaken(counts, known), uniforms(pattern), pattern.counts > 0
    choose = lambda logits, uniform: categorical(logits, uniform) + 1
    found = jax.jit(counts.draw, static_argnums=5)(
        params, pattern.known, pattern.numbers, hit, given, len(pattern.rings.owner), known
    )
    everywhere = jax.jit(lambda *given: counts._share(*given, choose)[0])
    expected = everywhere(params, pattern.known, pattern.numbers, hit, given, known)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found.sum(0), pattern.numbers.cells)


def test_the_same_rings_as_from_all_rings(known, pattern):
    params, given = shaken(rings, known), uniforms(pattern)

    def everywhere(params, grid_known, numbers, given, known):
        logit, order = rings._logit(params, grid_known, numbers, known), grid.ring_order(grid_known.parity, len(given))
        return placement.draw(logit, order, numbers.rings, rings._real(grid_known, known), given).pattern

    of_all = (params, pattern.known, pattern.numbers, given, known)
    found, expected = jax.jit(rings.draw)(*of_all), jax.jit(everywhere)(*of_all)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found.sum(0), pattern.numbers.rings)
