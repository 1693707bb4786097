"""Zephyr graphs Z_(m,t): which qubits of an annealer are coupled, and four classes of them, none coupled within.

A node is (u, w, k, j, z): orientation u (0 vertical, 1 horizontal), offset across 0 <= w <= 2m and 0 <= k < t, shift
j in {0, 1}, position along 0 <= z < m. Its number is z + m (j + 2 (k + t (w + (2m + 1) u))). It is coupled to

    the next ones in its line                (u, w, k, j, z + 1);
    those that overlap it in its line        (u, w, k, 1 - j, z), and (u, w, k, 0, z + 1) where j = 1;
    all that cross it, where u = 0           (1, w', k', j', z'), w' - (2z + j) in {0, 1}, w - (2z' + j') in {0, 1}.

Sources: K. Boothby, A. King, J. Raymond, Zephyr Topology of D-Wave Quantum Processors (2021), and for where nodes are
drawn `zephyr_layout` of dwave-networkx. The classes (2u + w + 2z + j) mod 4 are those of CaloQVAE.
"""

from typing import NamedTuple

import numpy as np

from calojax.errors import InputError
from calojax.nn.boltzmann.machine import PAIRS, PARTITIONS


class Nodes(NamedTuple):
    """Coordinates of all nodes in the order of their numbers, each (4 t m (2m + 1),)."""

    u: np.ndarray
    w: np.ndarray
    k: np.ndarray
    j: np.ndarray
    z: np.ndarray


def nodes(m: int, t: int) -> Nodes:
    """Of Z_(m,t)."""
    shape = (2, 2 * m + 1, t, 2, m)
    return Nodes(*(axis.ravel() for axis in np.indices(shape)))


def edges(m: int, t: int) -> np.ndarray:
    """(E, 2) numbers of coupled nodes, the smaller one first."""
    u, w, k, j, z = nodes(m, t)
    number = lambda u, w, k, j, z: z + m * (j + 2 * (k + t * (w + (2 * m + 1) * u)))
    here = np.arange(len(u))
    found = [(here[z < m - 1], here[z < m - 1] + 1)]
    found += [(here[j == 0], number(u, w, k, 1, z)[j == 0])]
    last = (j == 1) & (z < m - 1)
    found += [(number(u, w, k, 0, z + 1)[last], here[last])]
    vertical = here[u == 0]
    u, w, k, j, z = (axis[vertical] for axis in (u, w, k, j, z))
    for across, along, other in np.ndindex(2, 2, t):
        at = w - along  # = 2z' + j' of the one that crosses
        fits = (at >= 0) & (at < 2 * m)
        crossing = number(1, 2 * z + j + across, other, at % 2, at // 2)
        found += [(vertical[fits], crossing[fits])]
    return np.concatenate([np.sort(np.stack(pair, 1), 1) for pair in found])


def colours(m: int, t: int) -> np.ndarray:
    """Class of every node, 0 to 3; no two nodes of a class are coupled."""
    u, w, _, j, z = nodes(m, t)
    return (2 * u + w + 2 * z + j) % PARTITIONS


def positions(m: int, t: int) -> np.ndarray:
    """(nodes, 2) where nodes are drawn, in eighths of the drawing's unit: integers, so that ties are ties."""
    u, w, k, j, z = nodes(m, t)
    across, along = 16 * (t * w + k) + 5 * j + 1, 16 * t * (2 * z + j + 1) - 4
    return np.where(u[:, None] == 0, np.stack([across, along], 1), np.stack([along, across], 1))


class Layout(NamedTuple):
    """qubits (4, n) numbers of the nodes of each partition, increasing; mask (6, n, n) bool, blocks of PAIRS."""

    qubits: np.ndarray
    mask: np.ndarray


def layout(n: int, m: int = 12, t: int = 4) -> Layout:
    """The n nodes of each class that are drawn closest to the centre, and their couplings.

    Distances are Euclidean, from the middle of the drawing; of nodes equally far the first ones are taken. InputError
    if a class has fewer than n.
    """
    classes = colours(m, t)
    most = len(classes) // PARTITIONS
    if not 1 <= n <= most:
        raise InputError(
            where=f"Zephyr graph Z_({m},{t})",
            found=f"is asked for {n} nodes of a class",
            rule=f"a class has {most}",
            remedy="ask for fewer nodes of a partition, or for a larger graph",
        )
    places = positions(m, t)
    apart = np.sum((2 * places - places.min(0) - places.max(0)) ** 2, 1)
    nearest = lambda of: np.sort(of[np.argsort(apart[of], kind="stable")[:n]])
    qubits = np.stack([nearest(np.flatnonzero(classes == partition)) for partition in range(PARTITIONS)])
    place = np.full((2, len(classes)), -1)  # partition and place within it
    place[:, qubits] = np.indices((PARTITIONS, n))
    pairs = place[:, edges(m, t)]  # (2, E, 2)
    pairs = pairs[:, np.all(pairs[0] >= 0, 1)]
    pairs = np.take_along_axis(pairs, np.argsort(pairs[0], 1)[None], 2)
    block = np.full((PARTITIONS, PARTITIONS), -1)
    block[tuple(np.transpose(PAIRS))] = range(len(PAIRS))
    mask = np.zeros((len(PAIRS), n, n), bool)
    mask[block[pairs[0, :, 0], pairs[0, :, 1]], pairs[1, :, 0], pairs[1, :, 1]] = True
    return Layout(qubits, mask)
