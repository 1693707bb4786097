"""FLOP are counted as often as loops run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import arithmetic

# numpy, since what is collected must not start JAX: others choose the number of devices first
A, B = np.ones((8, 16), np.float32), np.ones((16, 32), np.float32)
ONE = 2 * 8 * 16 * 32
SQUARE, OF_SQUARE = np.full((4, 4), 0.1, np.float32), 2 * 4**3


def test_a_product_is_what_xla_says():
    counted = arithmetic.of(jnp.matmul, A, B)[""]["products"]
    assert counted == ONE == arithmetic.xla(jax.jit(jnp.matmul).lower(A, B).compile())["xla_flop_bodies_once"]


def test_a_scan_counts_its_length():
    def repeated(x):
        return jax.lax.scan(jax.checkpoint(lambda x, _: (jnp.tanh(x @ x), None)), x, None, length=7)[0]

    assert arithmetic.of(repeated, SQUARE)[""] == {"products": 7 * OF_SQUARE, "transcendentals": 7 * 16}


def repeated(x, n):
    return jax.lax.while_loop(lambda state: state[0] < n, lambda state: (state[0] + 1, state[1] @ x), (0, x))[1]


@pytest.mark.parametrize("n", [0, 3, 5])
def test_a_while_loop_counts_what_the_data_make_of_it(n):
    assert arithmetic.of(jax.jit(repeated), SQUARE, n)[""]["products"] == n * OF_SQUARE


def test_loops_inside_loops_are_added_up():
    def inside(n):
        once = lambda x, n: (repeated(x, n), n)
        x, _ = jax.lax.scan(once, SQUARE, n)
        more = lambda state: (state[0] - 1, repeated(state[1], state[0]))
        return jax.lax.while_loop(lambda state: state[0] > 0, more, (n[0], x))

    counted = arithmetic.of(inside, jnp.array([4, 0, 2]))[""]["products"]
    assert counted == OF_SQUARE * (4 + 0 + 2 + 4 + 3 + 2 + 1)


def test_the_largest_branch_counts_and_parts_have_their_own():
    def both(flag, x):
        x = jax.lax.cond(flag, lambda x: x @ x, lambda x: (x @ x) @ x, x)
        return x @ x

    found = arithmetic.of(both, True, SQUARE, place=lambda files: "here" if __file__ in files else None)
    assert found["here"] == found[""] == {"products": 3 * OF_SQUARE}


def test_a_convolution_counts_every_tap_of_every_outcome():
    def convolved(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (2, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x, kernel = jnp.ones((2, 7, 6, 3)), jnp.ones((3, 2, 3, 5))
    assert arithmetic.of(convolved, x, kernel)[""] == {"products": 2 * (2 * 3 * 5 * 5) * (3 * 2 * 3)}
