import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln

from calojax.nn import placement

N, PARENTS = 6, 500


def equal_chances(step, cell, states, owed, left):
    return jnp.zeros(cell.shape)


def depends_on_neighbours(step, cell, states, owed, left):
    """Placed neighbours attract, and cells differ."""
    at = lambda shift: jnp.sum(jnp.where(jnp.arange(states.shape[0])[:, None] == (cell + shift) % N, states, 0), 0)
    return 0.8 * at(1) + 0.8 * at(-1) + 0.3 * cell - 0.5


@pytest.fixture
def order():
    return jnp.tile(jnp.asarray(placement.interleaved(N))[:, None], (1, PARENTS))


@pytest.mark.parametrize("logit", [equal_chances, depends_on_neighbours])
def test_the_number_comes_out_exactly(order, logit):
    k = jax.random.randint(jax.random.key(0), (PARENTS,), 0, N + 1)
    drawn = placement.draw(
        logit, order, k, jnp.ones((N, PARENTS), bool), jax.random.uniform(jax.random.key(1), (N, PARENTS))
    )
    np.testing.assert_array_equal(drawn.pattern.sum(0), k)


def test_missing_cells_are_never_placed(order):
    real = jnp.broadcast_to(jnp.arange(N)[:, None] < 4, (N, PARENTS))
    k = jax.random.randint(jax.random.key(0), (PARENTS,), 0, 5)
    drawn = placement.draw(depends_on_neighbours, order, k, real, jax.random.uniform(jax.random.key(1), (N, PARENTS)))
    np.testing.assert_array_equal(drawn.pattern.sum(0), k)
    assert not (drawn.pattern & ~real).any()


def test_score_is_the_log_probability_of_the_draw(order):
    k = jax.random.randint(jax.random.key(0), (PARENTS,), 0, N + 1)
    real = jnp.ones((N, PARENTS), bool)
    drawn = placement.draw(depends_on_neighbours, order, k, real, jax.random.uniform(jax.random.key(1), (N, PARENTS)))
    scored = placement.score(depends_on_neighbours, order, k, real, drawn.pattern)
    np.testing.assert_allclose(scored.log_probability, drawn.log_probability, atol=1e-6)


def test_a_zero_logit_is_a_draw_without_replacement(order):
    k = jax.random.randint(jax.random.key(0), (PARENTS,), 0, N + 1)
    pattern = placement.draw(
        equal_chances, order, k, jnp.ones((N, PARENTS), bool), jax.random.uniform(jax.random.key(1), (N, PARENTS))
    )
    expected = gammaln(k + 1) + gammaln(N - k + 1) - gammaln(N + 1)
    np.testing.assert_allclose(pattern.log_probability, expected, atol=1e-5)


@pytest.mark.parametrize("k", range(N + 1))
def test_probabilities_of_all_patterns_with_k_hits_add_up_to_one(k):
    pattern = np.array([p for p in itertools.product([False, True], repeat=N) if sum(p) == k]).T
    order = jnp.tile(jnp.asarray(placement.interleaved(N))[:, None], (1, pattern.shape[1]))
    counts = jnp.full(pattern.shape[1], k)
    scored = placement.score(depends_on_neighbours, order, counts, jnp.ones(pattern.shape, bool), jnp.asarray(pattern))
    assert float(jnp.exp(scored.log_probability).sum()) == pytest.approx(1.0, abs=1e-5)


def test_the_last_step_asks_for_no_logit(order):
    k = jax.random.randint(jax.random.key(0), (PARENTS,), 0, N + 1)
    real, uniforms = jnp.ones((N, PARENTS), bool), jax.random.uniform(jax.random.key(1), (N, PARENTS))
    but_last = lambda step, *given: jnp.where(step == N - 1, jnp.nan, depends_on_neighbours(step, *given))
    drawn = [placement.draw(logit, order, k, real, uniforms) for logit in (but_last, depends_on_neighbours)]
    scored = placement.score(but_last, order, k, real, drawn[0].pattern)
    chex.assert_trees_all_equal(*drawn)
    np.testing.assert_allclose(scored.log_probability, drawn[1].log_probability, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, PARENTS, 2 * PARENTS])
@pytest.mark.parametrize("most", [0, 1, N])
def test_logits_are_needed_only_where_a_decision_is_open(order, chunk, most):
    k = jax.random.randint(jax.random.key(0), (PARENTS,), 0, most + 1)
    real, uniforms = jnp.ones((N, PARENTS), bool), jax.random.uniform(jax.random.key(1), (N, PARENTS))

    def look(step, states):
        def decide(place, owed, left):
            open_ = (owed > 0) & (owed < left)
            logit = depends_on_neighbours(step, order[step][place], states[:, place], owed, left)
            return jnp.where(open_, logit + 0.1 * owed, jnp.nan)

        return decide

    def dense(step, cell, states, owed, left):
        return depends_on_neighbours(step, cell, states, owed, left) + 0.1 * owed

    draw = jax.jit(lambda logit: placement.draw(logit, order, k, real, uniforms), static_argnums=0)
    found, expected = draw(placement.where_open(look, chunk)), draw(dense)
    np.testing.assert_array_equal(found.pattern, expected.pattern)
    np.testing.assert_allclose(found.log_probability, expected.log_probability, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 16, 45, 50])
def test_interleaved_is_a_permutation_spread_over_the_circle(n):
    order = placement.interleaved(n)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    if n == 16:
        np.testing.assert_array_equal(order[:8], [0, 8, 4, 12, 2, 10, 6, 14])


def test_what_is_remembered_is_up_to_the_caller(order):
    """The same draw from running sums of the hits as from the states of the cells."""
    k = jax.random.randint(jax.random.key(0), (PARENTS,), 0, N + 1)
    real, uniforms = jnp.ones((N, PARENTS), bool), jax.random.uniform(jax.random.key(1), (N, PARENTS))
    from_states = lambda step, cell, states, owed, left: 0.5 * jnp.sum(states == placement.HIT, 0)
    from_sum = lambda step, cell, memory, owed, left: 0.5 * memory.sum(0)
    put = lambda memory, step, hit: memory + (hit & (jnp.arange(N)[:, None] == order[step]))
    memory = placement.Memory(jnp.zeros((N, PARENTS), int), put, lambda memory: memory > 0)
    one = placement.draw(from_states, order, k, real, uniforms)
    other = placement.draw(from_sum, order, k, real, uniforms, memory)
    np.testing.assert_array_equal(one.pattern, other.pattern)
    np.testing.assert_array_equal(one.log_probability, other.log_probability)


@pytest.mark.parametrize(("cells", "k"), [(1, 0), (1, 1), (N, 0), (N, 1), (N, N)])
def test_few_cells_and_few_hits_have_finite_values_and_gradients(cells, k):
    order = jnp.arange(cells)[:, None]  # of one parent
    real, pattern = jnp.ones((cells, 1), bool), order < k

    def total(weight):
        logit = lambda step, cell, states, owed, left: weight * (1.0 + states.sum(0))
        return placement.score(logit, order, jnp.array([k]), real, pattern).log_probability.sum()

    value, gradient = jax.value_and_grad(total)(0.7)
    chex.assert_tree_all_finite((value, gradient))
    if cells == 1 or k in (0, cells):  # nothing to choose
        assert value == gradient == 0
    else:
        assert value < 0 and gradient != 0


def test_more_cells_are_not_a_longer_program():
    def text(cells):
        array = lambda dtype: jax.ShapeDtypeStruct((cells, PARENTS), dtype)
        weight = jax.ShapeDtypeStruct((), jnp.float32)

        def total(weight, order, real, pattern):
            logit = lambda step, cell, states, owed, left: weight * states.sum(0)
            return placement.score(logit, order, pattern.sum(0), real, pattern).log_probability.sum()

        args = weight, array(jnp.int32), array(jnp.bool_), array(jnp.bool_)
        return len(jax.jit(jax.value_and_grad(total)).lower(*args).as_text())

    assert text(64) < 1.05 * text(4)
