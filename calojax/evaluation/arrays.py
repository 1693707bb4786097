"""What a metric may be given: arrays are looked at here, once, before anything is computed of them."""

from typing import Any

import numpy as np

from calojax.errors import InputError


def points(reference: Any, generated: Any, *, least: int = 2, name: str = "reference") -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (N, D), (M, D) of finite numbers, at least `least` rows each. Raises InputError for others.

    name: what the first is called in an error.
    """
    x, y = table(reference, name, least=least), table(generated, "generated", least=least)
    if x.shape[1] != y.shape[1]:
        raise InputError(
            where=f"{name} and generated",
            found=f"they have {x.shape[1]} and {y.shape[1]} columns",
            rule="a metric compares equal columns",
            remedy="make both in the same way",
        )
    return x, y


def table(given: Any, name: str, *, least: int = 1) -> np.ndarray:
    """Finite numbers (N, D), N at least `least`. Raises InputError for others."""
    found = _numbers(given, name)
    if found.ndim != 2 or found.shape[1] == 0 or len(found) < least:
        raise _shape(name, found, f"rows of numbers (N, D) are compared, at least {least}", "give one row a shower")
    _refuse_not_finite(found, name)
    return found


def values(reference: Any, generated: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (N,), (M,) of finite numbers, at least one each. Raises InputError for others."""
    return series(reference, "reference"), series(generated, "generated")


def series(numbers: Any, name: str) -> np.ndarray:
    """Finite numbers (N,), at least one. Raises InputError for others."""
    found = _numbers(numbers, name)
    if found.ndim != 1 or not len(found):
        raise _shape(name, found, "numbers (N,) are compared, at least one", "give one number for each shower")
    _refuse_not_finite(found, name)
    return found


def showers(given: Any, geometry: Any, name: str = "", *, any_values: bool = False) -> np.ndarray:
    """Showers as an array (N, V) for the V cells of the geometry. Raises InputError for others.

    name: what they are called in an error. any_values: cells may be nan or infinite.
    """
    place = _place(name, "showers")
    found = _numbers(given, place)
    if found.ndim != 2 or found.shape[1] != geometry.n_cells:
        raise _shape(
            place,
            found,
            f"{geometry.name} has {geometry.n_cells} cells",
            "give showers (N, cells) of this geometry, or another geometry",
        )
    if not any_values:
        _refuse_not_finite(found, place)
    return found


def incident_energies(given: Any, n_showers: int, name: str = "") -> np.ndarray:
    """Incident energies (N,) or (N, 1), MeV, of N showers as (N,) float64. Raises InputError for others."""
    place = _place(name, "incident energies")
    found = _numbers(given, place).astype(np.float64).reshape(-1)
    if len(found) != n_showers or n_showers == 0:
        raise InputError(
            where=place,
            found=f"{len(found)} energies for {n_showers} showers",
            rule="every shower needs one, and at least one shower is needed",
            remedy="give the incident energies in the order of the showers",
        )
    bad = ~(np.isfinite(found) & (found > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            where=f"{place}, row {row}",
            found=f"the energy is {found[row]}",
            rule="incident energies are finite and positive, in MeV",
            remedy="remove these showers",
        )
    return found


def _numbers(given: Any, name: str) -> np.ndarray:
    try:
        found = np.asarray(given)
    except ValueError:  # lists of different lengths
        found = np.empty(0, object)
    if found.dtype.kind not in "biuf":
        raise InputError(
            where=name, found="is no array of real numbers", rule="a metric is one of numbers", remedy="give an array"
        )
    return found


def _refuse_not_finite(found: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        at = np.unravel_index(bad[0], found.shape)
        raise InputError(
            where=", ".join([name, *(f"{axis} {i}" for axis, i in zip(("row", "column"), at, strict=False))]),
            found=f"is {found[at]}",
            rule="numbers must be finite",
            remedy="leave these rows out, and look at what made them",
        )


def _shape(name: str, found: np.ndarray, rule: str, remedy: str) -> InputError:
    return InputError(where=name, found=f"the array has shape {found.shape}", rule=rule, remedy=remedy)


def _place(name: str, what: str) -> str:
    return f"{name}, {what}" if name else what
