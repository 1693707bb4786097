"""Partition 0: the incident energy as bits.

Three whole numbers, floor(E), floor(sqrt(10 E)) and floor(e^10 ln E) with E in MeV, are written in binary, the least
significant bit first, one after another; the whole is repeated as often as it fits into the n nodes of a partition,
and filled up with zeros. Widths come from the data, so that no number is cut off. If the nodes are too few for that,
the least significant bits are left out. The published widths, some of which cut off the most significant bits, are here
to compare.

The code is that of the energy in float32, and exact: square root and logarithm are looked up in sorted tables of the
least float32 energy for every number, made in float64. So the same energy has the same bits on any device, and numbers
never decrease with energy. Source: public code of the CaloQVAE line.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.errors import InputError

_MOST = 2.0**24  # MeV; above it float32 does not have every whole number


class Code(NamedTuple):
    """widths: bits of the three numbers, the least significant of which are dropped.

    largest: energy, MeV, above which all energies have the same code. The numbers are floor(E), floor(root sqrt(E)) and
    floor(log ln(E)), 0 below 1 MeV.
    """

    widths: tuple[int, int, int]
    dropped: tuple[int, int, int] = (0, 0, 0)
    largest: float = _MOST
    root: float = math.sqrt(10.0)
    log: float = math.exp(10.0)

    @property
    def bits(self) -> int:
        """Of the three numbers together, without those dropped."""
        return sum(self.widths) - sum(self.dropped)


class Tables(NamedTuple):
    """float32, sorted: the least energies at which the numbers of square root and logarithm are 1, 2, 3, ..."""

    roots: np.ndarray | Array
    logs: np.ndarray | Array


PUBLISHED = {
    "20/20/20": Code((20, 20, 20)),
    "15/15/15": Code((15, 15, 15)),
    "19/17/17": Code((19, 17, 17), root=200.0, log=1e4),
}


def for_range(highest: float, nodes: int) -> Code:
    """The code of energies up to `highest` (MeV) in a partition of so many nodes; InputError if it cannot be."""
    if not 1 < highest <= _MOST:
        raise InputError(
            where="incident energies",
            found=f"go up to {highest} MeV",
            rule=f"their bits are made for more than 1 and at most {_MOST:.0f} MeV",
            remedy="check the unit of the file",
        )
    code = Code((1, 1, 1), largest=float(np.float32(highest)))
    numbers = (math.floor(code.largest), *(_most(function, code) for function in _functions(code)))
    widths = [number.bit_length() for number in numbers]
    dropped = [0, 0, 0]
    while sum(widths) - sum(dropped) > nodes:
        left = [width - less for width, less in zip(widths, dropped, strict=True)]
        dropped[left.index(max(left))] += 1
    return code._replace(widths=tuple(widths), dropped=tuple(dropped))


def tables(code: Code) -> Tables:
    """What `encode` looks up: up to some hundred thousand numbers."""
    of_root, of_log = _functions(code)
    roots = np.arange(1, _most(of_root, code) + 1)
    logs = np.arange(1, _most(of_log, code) + 1)
    return Tables(
        _least(of_root, roots, (roots / code.root) ** 2),
        _least(of_log, logs, np.exp(logs / code.log)),
    )


def numbers(code: Code, known: Tables, energy: Array) -> tuple[Array, Array, Array]:
    """energy (N,) MeV -> the three whole numbers, (N,) int32 each, nothing cut off."""
    energy = jnp.clip(energy.astype(jnp.float32), 0.0, code.largest)
    look_up = lambda table: jnp.searchsorted(table, energy, side="right").astype(jnp.int32)
    return jnp.floor(energy).astype(jnp.int32), look_up(known.roots), look_up(known.logs)


def encode(code: Code, known: Tables, energy: Array, nodes: int) -> Array:
    """energy (N,) MeV -> (N, nodes) float32, 0 or 1."""
    if nodes < code.bits:
        raise InputError(
            where="[model] nodes",
            found=f"is {nodes}",
            rule=f"the bits of the incident energy are {code.bits}",
            remedy="take more nodes, or the code that `for_range` makes for these",
        )
    parts = zip(numbers(code, known, energy), code.dropped, code.widths, strict=True)
    bits = jnp.concatenate([number[:, None] >> np.arange(low, high) & 1 for number, low, high in parts], 1)
    return jnp.pad(jnp.tile(bits, nodes // code.bits), ((0, 0), (0, nodes % code.bits))).astype(jnp.float32)


def _functions(code: Code) -> tuple[Callable, Callable]:
    """float64 energies -> what square root and logarithm are before they are rounded down."""
    return lambda energy: code.root * np.sqrt(energy), lambda energy: code.log * np.log(energy)


def _most(function: Callable, code: Code) -> int:
    return math.floor(function(code.largest))


def _least(function: Callable, number: np.ndarray, about: np.ndarray) -> np.ndarray:
    """The least float32 energy whose function is at least the number, `about` it."""
    found = about.astype(np.float32)
    for _ in range(2):
        below = np.nextafter(found, np.float32(0))
        found = np.where(function(below.astype(np.float64)) >= number, below, found)
        too_low = function(found.astype(np.float64)) < number
        found = np.where(too_low, np.nextafter(found, np.float32(np.inf)), found)
    return found
