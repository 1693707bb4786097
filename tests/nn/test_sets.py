import jax.numpy as jnp
import numpy as np

from calojax.nn import sets


def test_compact_lists_what_is_there_in_order_and_tells_of_more():
    present = jnp.array([[True, False, True], [False, False, False], [False, True, True]])
    found = sets.compact(present, 6)
    np.testing.assert_array_equal(found.owner, [0, 0, 2, 2, 3, 3])
    np.testing.assert_array_equal(found.position[:4], [0, 2, 1, 2])
    assert not found.overflow and sets.compact(present, 3).overflow


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
