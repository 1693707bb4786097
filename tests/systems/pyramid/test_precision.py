"""model.precision = "bfloat16": what is computed in it, and that nothing else is."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import dense
from calojax.systems.pyramid import placed, system, truth
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import energies, energy_cells, energy_layers, energy_rings

MOVES = ("convert_element_type", "transpose")  # how an operand gets to a product


def in_precision(config, precision):
    return dataclasses.replace(config, model=dataclasses.replace(config.model, precision=precision))


def scored(config):
    """(params, model, batch) -> ((total, nats by stage), gradient)."""

    def total(params, model, batch):
        found = system.loss(params, model, batch, jax.random.key(0), config)
        return found.total, found.metrics

    return jax.value_and_grad(total, has_aux=True)


def equations(jaxpr):
    """Those that have no program inside, also of the programs inside."""
    for equation in jaxpr.eqns:
        inner = [p for p in jax.tree.leaves(equation.params, is_leaf=is_program) if is_program(p)]
        for program in inner:
            yield from equations(getattr(program, "jaxpr", program))
        if not inner:
            yield equation


def is_program(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def training(small, batch, precision):
    config, model = in_precision(small[0], precision), small[1]
    return jax.make_jaxpr(scored(config))(model.params, model, batch)


def generation(small, precision):
    config, model = in_precision(small[0], precision), small[1]
    energy, keys = jnp.geomspace(1e3, 1e5, 8), jax.random.split(jax.random.key(4, impl="threefry2x32"), 8)
    capacity = system.capacities(config, model.constants)[-1]
    return jax.make_jaxpr(
        lambda model, energy, keys: system.generate(model, {"incident_energy": energy}, keys, config, capacity)
    )(model, energy, keys)


def test_showers_may_be_drawn_in_another_precision_than_was_trained_in(small):
    changed = dataclasses.replace(small[0].generation, precision="bfloat16")
    drawn = generation((dataclasses.replace(small[0], generation=changed), small[1]), "float32")
    assert str(drawn) == str(generation(small, "bfloat16"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_operands_of_products_are_bfloat16(small, batch, precision):
    narrow = lambda variables: [v.aval.dtype == jnp.bfloat16 for v in variables]
    for program in (training(small, batch, precision), generation(small, precision)):
        products = 0
        for equation in equations(program.jaxpr):
            if equation.primitive.name == "dot_general":
                assert all(v.aval.dtype == jnp.float32 for v in equation.outvars)
                polynomial = equation.params["precision"] is not None
                assert narrow(equation.invars) == [precision == "bfloat16" and not polynomial] * 2
                products += not polynomial
            else:
                touched = any(narrow([*equation.invars, *equation.outvars]))
                assert not touched or (precision == "bfloat16" and equation.primitive.name in MOVES), equation
        assert products > 0


@pytest.mark.parametrize("small", ["gumbel-mixture", pytest.param("rqs", marks=pytest.mark.slow)], indirect=True)
def test_losses_and_gradients_are_float32_and_near_those_of_float32(small, batch):
    config, model = small
    plain = jax.jit(lambda *args: system.loss(*args, jax.random.key(0), config).metrics)(model.params, model, batch)
    (_, narrow), gradient = jax.jit(scored(in_precision(config, "bfloat16")))(model.params, model, batch)
    chex.assert_trees_all_equal_dtypes(plain, narrow)
    chex.assert_trees_all_equal_dtypes(model.params, gradient)
    chex.assert_tree_all_finite((narrow, gradient))
    for name, nats in plain.items():
        np.testing.assert_allclose(narrow[name], nats, rtol=1e-2, atol=1.0, err_msg=name)


@pytest.mark.parametrize("small", ["gumbel-mixture"], indirect=True)
def test_numbers_and_sums_of_energies_stay_exact(small, detector):
    config, model = in_precision(small[0], "bfloat16"), small[1]
    energy, known = jnp.geomspace(1e3, 1e5, 8), model.constants
    noise = Noise(jax.random.split(jax.random.key(4, impl="threefry2x32"), 8))

    @jax.jit
    def drawn(params):
        params = dense.narrowed(params)
        pattern = placed.draw(params, energy, noise, 8 * known.ring_size.shape[0], config.model, known)
        uniforms, total = energies.noise(noise, pattern.rings, known), 0.9 * energy
        in_layers = energy_layers.draw(params["energies"], pattern, total, total / energy, uniforms.layers, known)
        in_rings = energy_rings.draw(params["energies"], pattern, in_layers, uniforms.rings, known)
        listed = truth.from_grid(in_rings, known)[jnp.minimum(pattern.rings.owner, 7), pattern.rings.ring]
        listed = jnp.where(pattern.rings.real, listed, 0.0)
        in_cells = energy_cells.draw(params["energies"], pattern, listed, uniforms.cells, 8 * detector.n_cells, known)
        return pattern, energies.Energies(total, in_layers, in_rings, in_cells)

    pattern, found = drawn(model.params)
    hit = pattern.known.hit.reshape(8, -1)
    np.testing.assert_array_equal(hit, pattern.numbers.cells.reshape(8, -1) > 0)
    np.testing.assert_array_equal(pattern.numbers.rings, (pattern.counts > 0).sum(0))
    np.testing.assert_array_equal(pattern.numbers.cells, pattern.counts.sum(0))
    np.testing.assert_array_equal(truth.grid(pattern.cells.sum(0), pattern.rings, known), pattern.counts)
    np.testing.assert_allclose(found.layers.reshape(8, -1).sum(1), jnp.where(hit.any(1), found.total, 0.0), rtol=1e-5)
    np.testing.assert_allclose(found.rings.sum(0), found.layers, rtol=1e-5)
    np.testing.assert_allclose(truth.grid(found.cells.sum(0), pattern.rings, known), found.rings, rtol=1e-5)
    assert ((found.cells > 0) <= pattern.cells).all()
