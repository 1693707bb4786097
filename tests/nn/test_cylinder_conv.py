"""Convolutions on cylinders: the circle is closed, lines go through the axis, and all forms give the same numbers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import cylinder_conv
from calojax.nn.cylinder_conv import Padding, around

GRID = (5, 6, 4)
CASES = {
    "keeps the grid": ((3, 3, 3), (1, 1, 1), around((3, 3, 3))),
    "strides": ((3, 3, 3), (2, 2, 1), Padding((1, 1), (1, 1), (1, 0))),
    "one plane": ((1, 3, 3), (1, 1, 2), Padding((0, 0), (1, 1), (1, 0))),
    "even": ((2, 2, 3), (1, 2, 2), Padding((0, 0), (1, 1), (2, 1))),
    "no padding": ((3, 3, 3), (2, 1, 1), cylinder_conv.NONE),
    "whole depth": ((5, 1, 1), (1, 1, 1), Padding((2, 2))),
    "ends": ((3, 1, 2), (2, 1, 1), Padding((2, 0), (0, 1), (0, 1))),
}


def given(kernel, inputs=2, outputs=3, grid=GRID, n=2):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(*kernel, inputs, outputs)).astype(np.float32)
    return rng.normal(size=(n, *grid, inputs)).astype(np.float32), weight


@pytest.mark.parametrize("case", CASES)
def test_forms_agree_and_are_sums_over_taps(case):
    """In values, and in gradients with each other."""
    kernel, stride, padding = CASES[case]
    x, weight = given(kernel)

    @jax.jit
    def of_all(x, weight):
        def of(form, x, weight):
            y = cylinder_conv.convolve(x, weight, stride, padding, form)
            return jnp.sum(jnp.sin(y)), y

        grad = jax.grad(of, argnums=(1, 2), has_aux=True)
        return [grad(form, x, weight) for form in ("space", "stack", "fold", "taps")]

    plain, *others = of_all(x, weight)
    for form, leaf in itertools.product(others, range(3)):
        np.testing.assert_allclose(*(jax.tree.leaves(found)[leaf] for found in (form, plain)), rtol=1e-4, atol=2e-5)
    _check_sum_over_taps(plain[1], x, weight, kernel, stride, padding)


def _check_sum_over_taps(found, x, weight, kernel, stride, padding):
    (zero, _), (before, _), (inner, _) = padding

    def value(z, a, r):
        """Of the map without ends: the circle goes around, beyond the axis is the opposite sector."""
        z, a, r = z - zero, a - before, r - inner
        if not 0 <= z < GRID[0] or r >= GRID[2]:
            return np.zeros_like(x[:, 0, 0, 0])
        if r < 0:
            a, r = a + GRID[1] // 2, -1 - r
        return x[:, z, a % GRID[1], r]

    found = np.asarray(found)
    for place in itertools.product(*map(range, found.shape[1:4])):
        total = 0.0
        for tap in itertools.product(*map(range, kernel)):
            at = (p * s + t for p, s, t in zip(place, stride, tap, strict=True))
            total = total + value(*at) @ weight[tap]
        np.testing.assert_allclose(found[:, *place], total, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("sectors", [6, 7, 1])
def test_a_turn_of_the_map_is_a_turn_of_the_outcome(sectors):
    x, weight = given((3, 3, 3), grid=(5, sectors, 4))
    apply = jax.jit(lambda x: cylinder_conv.convolve(x, weight, padding=around((3, 3, 3))))
    turned = apply(np.roll(x, 1, 2))
    np.testing.assert_allclose(turned, np.roll(apply(x), 1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3, 3), (1, 1, 1)), ((1, 3, 5), (1, 2, 3)), ((3, 2, 2), (2, 1, 1))])
@pytest.mark.parametrize("sectors", [4, 5])
def test_a_turn_of_a_spread_map_is_a_turn_of_the_outcome(kernel, stride, sectors):
    x, weight = given(kernel, grid=(2, sectors, 3))
    weight = np.moveaxis(weight, 3, 0)
    apply = jax.jit(lambda x: cylinder_conv.transpose(x, weight, stride, closed=True))
    found = apply(x)
    assert found.shape[2] == sectors * stride[1]
    np.testing.assert_allclose(apply(np.roll(x, 1, 2)), np.roll(found, stride[1], 2), rtol=1e-4, atol=1e-5)


def test_a_line_through_the_axis_has_no_end_there():
    """Both half lines of opposite sectors, one after another, are one line for the convolution."""
    x, weight = given((1, 1, 3))
    found = cylinder_conv.convolve(x, weight, padding=around((1, 1, 3)))
    line = lambda x: np.concatenate([np.roll(x, GRID[1] // 2, 2)[:, :, :, ::-1], x], 3)
    plain = jax.lax.conv_general_dilated(
        line(x), weight, (1, 1, 1), [(0, 0), (0, 0), (1, 1)], dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )
    np.testing.assert_allclose(found, plain[:, :, :, GRID[2] :], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "stride", "crop"),
    [
        ((3, 3, 3), (1, 1, 1), (1, 0, 1)),
        ((3, 3, 5), (1, 2, 3), (1, 0, 0)),
        ((5, 2, 2), (2, 1, 1), (0, 0, 0)),
        ((1, 1, 1), (1, 1, 1), (0, 0, 0)),
        ((2, 5, 7), (2, 2, 2), (0, 0, 0)),
        ((3, 2, 3), (1, 1, 1), (1, 0, 1)),  # keeps its size: a convolution
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_spreading_is_a_sum_over_cells_and_taps(kernel, stride, crop, closed):
    grid = (2, 4, 3)
    x, weight = given(kernel, grid=grid)
    weight = np.moveaxis(weight, 3, 0)
    if not closed:
        crop = (crop[0], min(kernel[1] // 2, 1), crop[2])
    found = jax.jit(lambda x: cylinder_conv.transpose(x, weight, stride, closed=closed, crop=crop))(x)
    expected = np.zeros(found.shape)
    offset = (crop[0], (max(kernel[1] - stride[1], 0)) // 2 if closed else crop[1], crop[2])
    rings = range(-grid[2] if closed else 0, grid[2])
    for z, a, r in itertools.product(range(grid[0]), range(grid[1]), rings):
        cell = x[:, z, a, r] if r >= 0 else x[:, z, (a + grid[1] // 2) % grid[1], -1 - r]
        for tap in itertools.product(*map(range, kernel)):
            at = [c * s + t - o for c, s, t, o in zip((z, a, r), stride, tap, offset, strict=True)]
            at[1] = at[1] % found.shape[2] if closed else at[1]
            if all(0 <= i < n for i, n in zip(at, found.shape[1:4], strict=True)):
                expected[:, *at] += np.einsum("nc,co->no", cell, weight[:, *tap])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


def test_from_a_point_it_is_one_product():
    x, weight = given((3, 3, 2), inputs=5, grid=(1, 1, 1))
    weight = np.moveaxis(weight, 3, 0)
    apply = lambda x: cylinder_conv.transpose(x, weight, closed=False)
    np.testing.assert_allclose(apply(x), np.einsum("nc,cijko->nijko", x[:, 0, 0, 0], weight), rtol=1e-4, atol=1e-5)
    assert [str(eqn.primitive) for eqn in jax.make_jaxpr(apply)(x).eqns].count("dot_general") == 1


def test_half_a_turn_of_an_odd_circle_ends_between_two_sectors():
    x = np.arange(5.0).reshape(1, 1, 5, 1, 1)
    np.testing.assert_allclose(cylinder_conv.opposite(x).ravel(), [2.5, 3.5, 2.0, 0.5, 1.5])
