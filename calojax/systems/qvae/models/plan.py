"""The chains of kernels, strides and grids of encoder and decoder, from the grid (Z, A, R) of the showers.

Grids that were published have the published kernels: (5, 14, 24), (7, 14, 24), (45, 16, 9). What differs, on purpose:
from the grid (Z, A / 2, ...) on, the decoder's sectors are the closed circle (published: zeros at its ends, one or two
sectors too many, cut off), and nothing follows the last kernel of a head (published: a kernel of one number and a
rectifier). Other grids get chains by the same rules.

Channels are the published ones; `Model.channels` makes them narrower.
"""

from itertools import pairwise
from typing import NamedTuple

from calojax.errors import InputError
from calojax.nn.cylinder_conv import NONE, ONE, Padding, Steps, around
from calojax.systems.qvae.models.config import Heads

Grid = tuple[int, int, int]  # layers, sectors, rings

_DATA_SET_2 = (45, 16, 9)
_MOST = (8, 8, 6)  # the encoder halves what has more
_MOST_LAYERS = 15  # sub-decoders before the last hand on no more layers


class Down(NamedTuple):
    """A convolution; channels 0: as many as a partition has nodes."""

    channels: int
    kernel: Steps
    stride: Steps = ONE
    padding: Padding = NONE

    def grid(self, of: Grid) -> Grid:
        """What becomes of a grid."""
        padded = [size + sum(more) for size, more in zip(of, self.padding, strict=True)]
        return _grid((n - k) // s + 1 for n, k, s in zip(padded, self.kernel, self.stride, strict=True))


class Up(NamedTuple):
    """A transposed convolution, see `cylinder_conv.transpose`."""

    channels: int
    kernel: Steps
    stride: Steps = ONE
    closed: bool = False
    crop: Steps = (0, 0, 0)

    def grid(self, of: Grid) -> Grid:
        """What becomes of a grid."""
        sizes = zip(of, self.kernel, self.stride, self.crop, strict=True)
        layers, sectors, rings = ((n - 1) * s + k - 2 * c for n, k, s, c in sizes)
        return layers, of[1] * self.stride[1] if self.closed else sectors, rings


class Plan(NamedTuple):
    """Chains of layers.

    grid: (Z, A, R); encoder: its convolutions, the energy joins before number `energy_before`; stem, head: of a
    sub-decoder that begins at a point (1, 1, 1); refining: of one that begins on the whole grid; skip: from the latent
    variables to one channel on the whole grid; slab: layers that a sub-decoder before the last hands on.
    """

    grid: Grid
    encoder: tuple[Down, ...]
    energy_before: int
    stem: tuple[Up, ...]
    head: tuple[Up, ...]
    refining: tuple[Down, ...]
    skip: tuple[Up, ...]
    slab: int


def build(grid: Grid, heads: Heads) -> Plan:
    """The chains for showers on a grid (Z, A, R); InputError if it is too small."""
    if grid[0] < 1 or grid[1] < 3 or grid[2] < 3:
        raise InputError(
            where=f"a grid of {grid[0]} layers, {grid[1]} sectors and {grid[2]} rings",
            found="is too small",
            rule="the networks need a layer, 3 sectors and 3 rings at least",
            remedy="choose other layers, or a finer binning",
        )
    encoder, energy_before = _encoder(grid)
    stem, head = (
        _published_stem_and_head() if grid == _DATA_SET_2 and heads != "first-and-last" else _of_point(grid, heads)
    )
    same = (3, 3, 3)
    refining = (*(Down(32, same, ONE, around(same)) for _ in range(3)), Down(1, same, ONE, around(same)))
    slab = grid[0] if grid[0] <= _MOST_LAYERS else -(-grid[0] // 3)
    return Plan(grid, encoder, energy_before, stem, head, refining, _skip(grid), slab)


def grids(start: Grid, layers: tuple[Down, ...] | tuple[Up, ...]) -> list[Grid]:
    """The grid after every layer."""
    found = [start]
    for layer in layers:
        found.append(layer.grid(found[-1]))
    return found[1:]


def _grid(sizes) -> Grid:
    layers, sectors, rings = sizes
    return layers, sectors, rings


# ---- encoder


def _encoder(grid: Grid) -> tuple[tuple[Down, ...], int]:
    layers, sectors, rings = grid
    round_axis = Padding((0, 0), (1, 1), (1, 0))
    if (sectors, rings) == (14, 24) and layers in (5, 7):
        return (
            Down(32, (1, 3, 3), (1, 1, 2), round_axis),
            Down(128, (2, 2, 3), (1, 2, 2), round_axis),
            Down(256, (3, 3, 3), (1, 2, 1)),
            Down(0, (2 if layers == 5 else 3, 3, 3), (2, 2, 2)),
        ), 2
    if grid == _DATA_SET_2:
        return (
            Down(32, (3, 3, 3), (2, 1, 1), round_axis),
            Down(64, (3, 3, 3), (2, 1, 1), round_axis),
            Down(128, (3, 3, 3), (1, 2, 1), round_axis),
            Down(256, (3, 3, 3), (2, 2, 1)),
            Down(0, (3, 3, 3), (1, 2, 2)),
        ), 3
    return _other_encoder(grid)


def _other_encoder(grid: Grid) -> tuple[tuple[Down, ...], int]:
    """Halve what is too large, let the energy join, then end at a point."""
    around_it: list[Down] = []
    while len(around_it) < 2 or any(n > most for n, most in zip(grid, _MOST, strict=True)):
        halved = [n > most for n, most in zip(grid, _MOST, strict=True)]
        kernel = (3 if grid[0] > 1 else 1, 3, 3)
        ends = (0, 0) if halved[0] or grid[0] == 1 else (1, 1)
        padding = Padding(ends, (1, 1), (1, 0 if halved[2] else 1))
        layers, sectors, rings = (2 if half else 1 for half in halved)
        around_it.append(Down(0, kernel, (layers, sectors, rings), padding))
        grid = around_it[-1].grid(grid)
    growth = 4.0 ** (1 / (len(around_it) - 1))
    first = [layer._replace(channels=round(32 * growth**number)) for number, layer in enumerate(around_it)]
    inner = Down(256, _grid(min(3, n) for n in grid), _grid(2 if n > 6 else 1 for n in grid))
    return (*first, inner, Down(0, inner.grid(grid))), len(first)


# ---- decoder


def _published_stem_and_head() -> tuple[tuple[Up, ...], tuple[Up, ...]]:
    """Of (45, 16, 9)."""
    stem = (Up(512, (3, 3, 2)), Up(128, (5, 4, 2), (2, 2, 1)))
    head = (
        Up(64, (3, 3, 2), (2, 2, 2), closed=True),
        Up(32, (5, 3, 2), (2, 1, 1), closed=True),
        Up(1, (5, 3, 3), closed=True),
    )
    return stem, head


def _of_point(grid: Grid, heads: Heads) -> tuple[tuple[Up, ...], tuple[Up, ...]]:
    """A stem that ends at (Z, A / 2, about R / 3), and a head from there to the grid."""
    layers, sectors, rings = grid
    parts = 2 if sectors % 2 == 0 else 1
    half = (layers, sectors // parts, max(1, (rings - 3) // 3))
    widths = (512, 128) if heads == "all" else (512, 256, 128)
    sizes = [_grid(min(n, most) for n in half) for most in (3, 5)[: len(widths) - 1]]
    stem = _chain(widths, [(1, 1, 1), *sizes, half], half[1])
    deep = 1 if heads == "all" or layers == 1 else 3
    wide, last = (_along(*ends) for ends in pairwise((half[2], rings - 1, rings)))
    crop = (deep // 2, 0, 0)
    head = (
        Up(64, (deep, 3, wide[0]), (1, parts, wide[1]), True, crop),
        Up(32, (deep, 2, last[0]), (1, 1, last[1]), True, crop),
        Up(1, ONE, closed=True),
    )
    return stem, head


def _skip(grid: Grid) -> tuple[Up, ...]:
    layers, sectors, rings = grid
    middle = (min(5, layers), 2 * sectors // 3, 4 * rings // 5)
    first = _grid(min(n, most) for n, most in zip(middle, (3, 5, 7), strict=True))
    return _chain((64, 32, 1), [(1, 1, 1), first, middle, grid], sectors)


def _chain(widths: tuple[int, ...], sizes: list[Grid], circle: int) -> tuple[Up, ...]:
    """Layers that grow a map from size to size."""
    found = []
    for width, (before, after) in zip(widths, pairwise(sizes), strict=True):
        kernel, stride, crop = zip(*(_along(*ends) for ends in zip(before, after, strict=True)), strict=True)
        found.append(Up(width, _grid(kernel), _grid(stride), before[1] == circle, _grid(crop)))
    return tuple(found)


def _along(before: int, after: int) -> tuple[int, int, int]:
    """Kernel, stride and crop: the least stride with which the kernel is no longer than the map, or two strides."""
    if before == after:
        return (3, 1, 1) if before > 1 else (1, 1, 0)
    if before == 1:
        return after, 1, 0
    stride = next(s for s in range(1, after) if after - (before - 1) * s <= max(before, 2 * s))
    if after - (before - 1) * stride < stride:  # cells that nothing reaches
        stride -= 1
    return after - (before - 1) * stride, stride, 0
