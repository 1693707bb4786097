import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import sets


def test_compact_lists_what_is_there_in_order_and_tells_of_more():
    present = jnp.array([[True, False, True], [False, False, False], [False, True, True]])
    found = sets.compact(present, 6)
    np.testing.assert_array_equal(found.owner, [0, 0, 2, 2, 3, 3])
    np.testing.assert_array_equal(found.position[:4], [0, 2, 1, 2])
    assert not found.overflow and sets.compact(present, 3).overflow


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("number, capacity", [(1, 4), (16, 16), (100, 40), (100, 200), (1000, 300)])
def test_places_are_those_of_nonzero(number, capacity, share):
    """Also of none, in part of a run, and of more than there is room for."""
    chosen = jnp.asarray(np.random.default_rng(number).random(number) < share)
    found = jax.jit(sets.places, static_argnums=1)(chosen, capacity)
    np.testing.assert_array_equal(found, jnp.nonzero(chosen, size=capacity, fill_value=number)[0])
    assert found.dtype == jnp.int32


def test_slots_lead_back_to_the_list():
    present = jnp.array([[True, False, True], [False, True, True]])
    found = sets.compact(present, 5)
    table = sets.slots(found.owner, found.position, 2, 3)
    np.testing.assert_array_equal(table, [[0, 5, 1], [5, 2, 3]])


def test_means_skip_padding_and_empty_showers_get_zero():
    owner = jnp.array([0, 0, 2, 3])
    x = jnp.array([[1.0, 3.0, 5.0, 1e6]])
    mean = sets.mean_by_owner(x, owner, owner < 3, 3)
    np.testing.assert_allclose(mean, [[2.0, 0.0, 5.0]])
