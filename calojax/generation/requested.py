"""The showers that are asked for: whether they can be drawn, and their incident energies."""

import math

import numpy as np

from calojax.errors import InputError


def check(n: int | None, energy: float | None, energy_range: tuple[float, float] | None, seed: int) -> None:
    """InputError for numbers that no shower can be drawn from."""
    if n is not None and not 1 <= n <= 2**32:
        raise InputError(
            where="n", found=f"is {n}", rule="1 to 2^32 showers can be drawn at a time", remedy="give another --n"
        )
    if n is None and (energy, energy_range) != (None, None):
        name = "energy" if energy_range is None else "energy range"
        raise InputError(
            where=name,
            found="is given beside the energies themselves (--conditions)",
            rule="it is for a number of showers (--n)",
            remedy="leave one of them out",
        )
    if energy is not None and not 0 < energy < math.inf:
        raise InputError(where="energy", found=f"is {energy}", rule="it must be above 0 MeV", remedy="give another")
    if energy_range is not None and not 0 < energy_range[0] <= energy_range[1] < math.inf:
        raise InputError(
            where="energy range",
            found=f"is {energy_range[0]:g} to {energy_range[1]:g} MeV",
            rule="it must go from an energy above 0 to a larger one",
            remedy="give --energy-range LOW:HIGH in MeV",
        )
    if not 0 <= seed < 2**32:
        raise InputError(where="seed", found=f"is {seed}", rule="it must be 0 to 2^32 - 1", remedy="give another one")


def energies(n: int, energy: float | None, energy_range: tuple[float, float], seed: int) -> np.ndarray:
    """(n,) incident energies, MeV: all the same, or log-uniform in the range."""
    if energy is not None:
        return np.full(n, float(energy))
    low, high = np.log(energy_range)
    return np.exp(np.random.default_rng((seed, 1)).uniform(low, high, n))
