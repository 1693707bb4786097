"""What the cells of each ring see when they get their turn, as tables: plain numpy, made once for a detector.

The cells of a ring get their turn in the order of `placement.interleaved`, turned on by about a third of a turn from
layer to layer and by half a turn from ring to ring. So cells at the same angle in neighbouring rings come one after the
other, and cells of different rings that get their turn at the same time, which cannot see each other, are far apart.
Everything is seen from the cell, so that one network serves all cells of all rings; a neighbour with another number of
cells is entered at the cell that holds the same angle.

A cell is known by its turn, its number less the shift of its ring, and what is seen of a ring by bytes of eight cells
from some turn on. Where all rings have as many cells, nothing of this depends on the ring.
"""

from typing import NamedTuple

import numpy as np

from calojax.nn import placement
from calojax.systems.pyramid.coarse import FACES, NEIGHBOURS, OUTSIDE, Numbers, Tree

BYTE = 8
REACH = 2  # cells to either side that are seen of the rings that share no face
ENERGY_REACH = 1  # of those that share a face, where energies are shared out
GROUP = 4  # cells of a ring that are seen one after another, where energies are shared out


class Windows(NamedTuple):
    """A steps, B bytes, W words of a ring (`stages.ringbytes`); K is 1 where the ring does not matter, else N."""

    shift: Numbers  # (N,) cell of turn 0
    ring: Numbers  # (B, N) the ring that is seen in a byte, OUTSIDE the detector or its own
    first: Numbers  # (A, K, B) turn of the first cell in a byte
    mask: Numbers  # (A, W, K) the bits of the cell that gets its turn, none where there is no cell
    column: Numbers  # (8 B,) which of the numbers that are seen a bit is; one more than there are where it is none
    of_energies: "OfEnergies"  # the same where energies are shared out, cells in the order of their steps


class OfEnergies(NamedTuple):
    """What a cell sees where energies are shared out: G groups of GROUP cells one after another; A, K, N as above."""

    ring: Numbers  # (1 + FACES, N) the rings that are seen, its own and others, OUTSIDE the detector
    seen: Numbers  # (G,) which of these is in a group
    step: Numbers  # (A, K, GROUP G) when the cells of the groups get their turn
    column: Numbers  # (GROUP G,) which of the cells that are seen each is; one more than there are where it is none


def build(tree: Tree) -> Windows:
    """For all rings of a tree."""
    size = (tree.ring_cells != OUTSIDE).sum(1)
    shift = (size * 5 // 16 * tree.ring_layer + size // 2 * tree.ring_radius) % size
    cells = tree.ring_cells.shape[1]
    turn = placement.interleaved(cells)[:, None]
    cell = (turn + shift) % size  # (A, N)
    first, ring = [], []
    for number, width in enumerate(widths(cells)):
        seen, there, start = _start(tree, size, cell, number, width if number > FACES else 0)
        for byte in range(_n_bytes(width)):
            ring.append(seen)
            first.append(np.where(seen == OUTSIDE, -1, (start + BYTE * byte - shift[there]) % size[there]))
    of_word = BYTE * np.arange(-(-cells // BYTE))[:, None] + np.arange(2 * BYTE)
    here = of_word[:, None] % size[:, None] == turn[:, None, :, None]  # (A, W, N, 16)
    mask = (here << np.arange(2 * BYTE)).sum(-1).astype(np.uint32)
    first = _for_any_ring(np.stack(first, 1)).swapaxes(1, 2)
    of_energies = _of_energies(tree, size, shift, cell)
    return Windows(shift, np.stack(ring), first, _for_any_ring(mask), _columns(widths(cells), BYTE), of_energies)


def _of_energies(tree, size, shift, cell):
    cells = len(cell)
    step_of_turn = np.argsort(placement.interleaved(cells))
    ring, of_group, steps, sees = [], [], [], energy_widths(cells)
    for number, width in enumerate(sees):
        seen, there, start = _start(tree, size, cell, number, width if number else 0)
        groups = _n_parts(width, GROUP)
        ring.append(seen)
        of_group += [number] * groups
        for other in range(GROUP * groups):
            step = step_of_turn[(start + other - shift[there]) % size[there]]
            steps.append(np.where(seen == OUTSIDE, -1, step))
    steps = np.stack(steps, 1)
    return OfEnergies(np.stack(ring), np.array(of_group), _for_any_ring(steps).swapaxes(1, 2), _columns(sees, GROUP))


def _start(tree, size, cell, number, width):
    """Of the own ring, or a neighbour's number: it (N,), also with 0 for those OUTSIDE, and the first cell (A, N) of so
    many around the angle of `cell` (A, N); width 0: the one at that angle."""
    if number == 0:
        own = np.arange(len(size))
        return own, own, cell + 1
    seen = tree.ring_near[number - 1]
    there = np.where(seen == OUTSIDE, 0, seen)
    same = (2 * cell + 1) * size[there] // (2 * size)
    return seen, there, same - (max(width, 1) - 1) // 2


def window(cells: int, reach: int) -> int:
    """Cells that are seen of a neighbour, `reach` to either side."""
    return min(2 * reach + 1, cells + 1)


def widths(cells: int) -> list[int]:
    """How many cells are seen of the own ring and of every neighbour."""
    return [cells - 1, *[cells] * FACES, *[window(cells, REACH)] * (len(NEIGHBOURS) - FACES)]


def energy_widths(cells: int) -> list[int]:
    """The same where energies are shared out, of the own ring and those that share a face."""
    return [cells - 1, *[window(cells, ENERGY_REACH)] * FACES]


def starts(cells: int) -> list[int]:
    """The first byte of the own ring and of every neighbour."""
    sizes = [_n_bytes(width) for width in widths(cells)]
    return [sum(sizes[:number]) for number in range(len(sizes))]


def _n_bytes(width):
    return _n_parts(width, BYTE)


def _n_parts(width, size):
    """One at least, for the ring's share of hit cells."""
    return max(-(-width // size), 1)


def _for_any_ring(table):
    """table (A, X, N), -1 where nothing is seen -> (A, X, 1) if it does not depend on the ring."""
    most = table.max(-1, keepdims=True)
    same = ((table == most) | (table == -1)).all()
    return np.maximum(most if same else table, 0)


def _columns(widths, size):
    found, total = [], 0
    for width in widths:
        part = np.arange(size * _n_parts(width, size))
        found.append(np.where(part < width, total + part, sum(widths)))
        total += width
    return np.concatenate(found)
