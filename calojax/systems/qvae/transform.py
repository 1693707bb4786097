"""The transform of voxel energies, and its inverse: u = logit(x) - logit(R), x = R + (1 - 2R) eps, eps = energy / E.

E is the incident energy and R = 1e-7. An empty voxel has u = 0 exactly; eps = 1e-7 has .69, 1e-3 has 9.2, 1 has 32.24.
As differences and ratios of numbers near 1 these formulas lose eps near 1e-8 and near 1 in float32. Written as

    u = log(1 + a eps) - log(1 - b eps),   a = (1 - 2R) / R,   b = (1 - 2R) / (1 - R)
    eps = c w / (1 + R w),   w = exp(u) - 1,   c = R (1 - R) / (1 - 2R)

with log(1 + x) and exp(x) - 1 computed as such, and near eps = 1 with 1 - eps from E - energy, which is exact there,
they are right to rounding everywhere. What is left is the rounding of u itself, up to 1e-6 of eps there and back.

Source of the transform: public code of the CaloQVAE line, and CaloDiffusion (arXiv:2308.03876).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.errors import InputError

R = 1e-7
_ZERO = 1e-8  # MeV: what the inverse takes for nothing
_RISE, _FALL, _BACK = (1 - 2 * R) / R, (1 - 2 * R) / (1 - R), R * (1 - R) / (1 - 2 * R)
LARGEST = 2 * float(np.log((1 - R) / R))  # u of a voxel with all the energy


def transform(showers: Array, incident_energy: Array) -> Array:
    """showers (N, ...) and incident_energy (N,), MeV, 0 <= showers < incident_energy -> u of the same shape.

    Outside of that u is wrong or NaN: see `check`.
    """
    whole = incident_energy.reshape(-1, *(1,) * (showers.ndim - 1))
    share, rest = showers / whole, (whole - showers) / whole
    fall = jnp.where(share > 0.5, jnp.log(rest + R / (1 - R) * share), jnp.log1p(-_FALL * jnp.minimum(share, 0.5)))
    return jnp.log1p(_RISE * share) - fall


def inverse(u: Array, incident_energy: Array) -> Array:
    """u (N, ...) -> voxel energies, MeV, from 0 to incident_energy (N,); u <= 0 gives 0, as does less than 1e-8 MeV."""
    w = jnp.expm1(jnp.clip(u, 0.0, LARGEST))
    energy = _BACK * w / (1 + R * w) * incident_energy.reshape(-1, *(1,) * (u.ndim - 1))
    return jnp.where(energy > _ZERO, energy, 0.0)


def takes(showers: np.ndarray, incident_energy: np.ndarray) -> np.ndarray:
    """(N,) bool: showers (N, V) all of whose voxels lie from 0 to below their incident energy (N,)."""
    inside = (showers >= 0) & (showers < np.asarray(incident_energy).reshape(-1, 1))
    return np.all(inside, axis=1)


def log_energy(u: Array | float) -> Array:
    """u -> log(x / R) but for a constant near 0: the logarithm of what is linear in the energy."""
    return u - jnp.log1p(R / (1 - R) * jnp.exp(u))


def of_log_energy(value: Array) -> Array:
    """The u of a `log_energy`, below ln((1 - R) / R)."""
    return value - jnp.log1p(-R / (1 - R) * jnp.exp(value))


class Outside(NamedTuple):
    """How many voxels the transform cannot take, and the first shower with one (-1: none)."""

    negative: int
    too_large: int
    not_finite: int
    first: int


def outside(showers: np.ndarray, incident_energy: np.ndarray) -> Outside:
    """Count in showers (N, ...) voxels below 0, at or above incident_energy (N,), and not finite (any in float64)."""
    voxels = np.asarray(showers, np.float64).reshape(len(showers), -1)
    whole = np.asarray(incident_energy, np.float64).reshape(-1, 1)
    strange = ~(np.isfinite(voxels) & np.isfinite(whole) & (whole > 0))
    negative, large = (voxels < 0) & ~strange, (voxels >= whole) & ~strange
    rows = np.flatnonzero((negative | large | strange).any(1))
    counts = (int(found.sum()) for found in (negative, large, strange))
    return Outside(*counts, first=int(rows[0]) if len(rows) else -1)


def check(showers: np.ndarray, incident_energy: np.ndarray, where: str) -> None:
    """InputError if there is a voxel that the transform cannot take; where: file and key."""
    found = outside(showers, incident_energy)
    if found.first < 0:
        return
    raise InputError(
        where=f"{where}, shower {found.first}",
        found=f"is the first with voxels outside: {found.negative} below 0, {found.too_large} at or above their "
        f"incident energy, {found.not_finite} not finite in all",
        rule="the logarithmic transform takes energies from 0 up to the incident energy, without it",
        remedy="clean the showers, or clip what is negative",
    )
