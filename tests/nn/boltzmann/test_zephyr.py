import itertools

import numpy as np
import pytest

from calojax.errors import InputError
from calojax.nn.boltzmann import machine, neighbours, zephyr
from calojax.nn.boltzmann.machine import PAIRS


def by_rule(m, t):
    """Edges of Z_(m,t), node by node: lines of equal (u, w, k), crossings of the two orientations."""
    found = set()
    all_nodes = list(itertools.product((0, 1), range(2 * m + 1), range(t), (0, 1), range(m)))
    number = {node: index for index, node in enumerate(all_nodes)}
    for a, b in itertools.combinations(all_nodes, 2):
        (u, w, k, j, z), (u2, w2, k2, j2, z2) = a, b
        if (u, w, k) == (u2, w2, k2):
            coupled = abs(2 * z + j - 2 * z2 - j2) == (2 if j == j2 else 1)
        else:
            coupled = u != u2 and w2 - 2 * z - j in (0, 1) and w - 2 * z2 - j2 in (0, 1)
        if coupled:
            found.add((number[a], number[b]))
    return found


@pytest.mark.parametrize("m, t", [(1, 1), (2, 1), (2, 3)])
def test_edges_are_those_of_the_rule(m, t):
    found = zephyr.edges(m, t)
    assert set(map(tuple, found.tolist())) == by_rule(m, t) and len(found) == len(by_rule(m, t))


def test_numbers_degrees_and_classes_of_a_chip():
    edges, classes = zephyr.edges(12, 4), zephyr.colours(12, 4)
    assert len(classes) == 4800 and len(np.unique(edges, axis=0)) == len(edges) == 45864
    degrees = dict(zip(*np.unique(np.bincount(edges.ravel()), return_counts=True), strict=True))
    assert degrees == {10: 32, 11: 32, 12: 320, 18: 368, 19: 368, 20: 3680}
    assert np.all(np.bincount(classes) == 1200)
    pairs = np.sort(classes[edges], 1)
    assert [np.sum(np.all(pairs == pair, 1)) for pair in PAIRS] == [5760, 11416, 5756, 5756, 11416, 5760]
    assert len(zephyr.edges(15, 4)) == 71736


@pytest.mark.parametrize(
    "n, edges", [(512, [2405, 4745, 2414, 2414, 4745, 2405]), (302, [1397, 2737, 1396, 1396, 2737, 1397])]
)
def test_couplings_of_the_nodes_in_the_middle(n, edges):
    found = zephyr.layout(n)
    assert found.mask.sum((1, 2)).tolist() == edges
    assert found.qubits.shape == (4, n) and np.all(np.diff(found.qubits) > 0)
    assert np.array_equal(zephyr.colours(12, 4)[found.qubits], np.arange(4)[:, None] + np.zeros(n))
    couplings = {tuple(edge) for edge in zephyr.edges(12, 4).tolist()}
    listed = {
        tuple(sorted((found.qubits[i, a], found.qubits[j, b])))
        for (i, j), block in zip(PAIRS, found.mask, strict=True)
        for a, b in zip(*np.nonzero(block), strict=True)
    }
    assert listed <= couplings and len(listed) == sum(edges)


def test_more_nodes_than_there_are_is_an_error():
    with pytest.raises(InputError, match="a class has 12"):
        zephyr.layout(13, 1, 4)
    assert zephyr.layout(6, 1, 4).mask.shape == (6, 6, 6)


def test_neighbour_lists_hold_the_couplings_of_the_mask():
    mask = zephyr.layout(20, 2, 4).mask
    lists = neighbours.of(mask)
    params = machine.Machine(np.arange(1.0, mask.size + 1).reshape(mask.shape), np.zeros((4, 20)))
    whole = np.zeros((80, 80))
    for p, q in itertools.permutations(range(4), 2):
        weight = np.asarray(neighbours.weights(params, lists, p, q))
        assert weight.shape == lists.node[p][q].shape
        for slot, row in zip(lists.node[p][q], weight, strict=True):
            assert np.all(slot // 20 == np.where(row > 0, q, slot // 20))
            whole[np.arange(20) + 20 * p, slot] += row
    expected = np.zeros((80, 80))
    for (i, j), block in zip(PAIRS, np.where(mask, params.weights, 0), strict=True):
        expected[20 * i : 20 * i + 20, 20 * j : 20 * j + 20] = block
    np.testing.assert_array_equal(whole, expected + expected.T)


def test_lists_are_for_machines_with_few_couplings():
    assert neighbours.few(zephyr.layout(302).mask)
    assert not neighbours.few(zephyr.layout(20, 2, 4).mask) and not neighbours.few(None)
