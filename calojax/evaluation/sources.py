"""Where the judge takes showers from: a file in the CaloChallenge layout or of crystal images, or two arrays."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax import writing
from calojax.errors import InputError

ROWS = 1024

Advance = Callable[[int], None]


class Block(NamedTuple):
    """Consecutive showers: incident_energy (n,) float64 MeV, showers (n, V) float32 or float64 MeV."""

    incident_energy: np.ndarray
    showers: np.ndarray


Source = Path | str | tuple[np.ndarray, np.ndarray]  # a file, or (incident_energy (N,), showers (N, V)) in MeV


def blocks(source: Source, geometry: Any, *, name: str, rows: int = ROWS, any_values: bool = False) -> Iterator[Block]:
    """Showers of a source in order, at most `rows` at a time.

    name: what the source is called in an error; any_values: cells of a file may be negative or not finite.
    Raises InputError for what cannot be showers of this geometry.
    """
    if isinstance(source, (str, Path)):
        from calojax.files import layouts  # noqa: PLC0415  (h5py)

        read = layouts.reader(Path(source)).stream
        for energies, showers in read(Path(source), geometry, rows=rows, any_values=any_values):
            yield Block(np.asarray(energies, np.float64).reshape(-1), showers)
        return
    energies, showers = (np.asarray(array) for array in source)
    energies = energies.astype(np.float64).reshape(-1)
    _check(energies, showers, geometry, name)
    kind = np.float64 if showers.dtype.itemsize == 8 else np.float32  # sums of half floats would overflow
    for first in range(0, len(showers), rows):
        yield Block(energies[first : first + rows], showers[first : first + rows].astype(kind, copy=False))


def refuse_unusable(source: Source, geometry: Any, *, name: str) -> None:
    """InputError for what is no showers of this geometry, as far as can be told from the layout and the first one."""
    next(blocks(source, geometry, name=name, rows=1, any_values=True))


def count(source: Source) -> int:
    """How many showers there are, as far as can be told without reading them."""
    if isinstance(source, (str, Path)):
        from calojax.files import layouts  # noqa: PLC0415  (h5py)

        return layouts.reader(Path(source)).summary(Path(source)).rows
    return len(source[1])


def label(source: Source) -> str:
    """The name of the file, or that it is arrays."""
    return writing.storable(Path(source).name) if isinstance(source, (str, Path)) else "arrays"


def title(given: str, sample: str) -> str:
    """What the showers of a sample are called, whose `label` is given."""
    return f"{sample} showers" if given == "arrays" else given


def origin(source: Source) -> dict[str, Any]:
    """What a file says of itself: {"attributes": {...}}, such as seed, run and versions; nothing for arrays."""
    if not isinstance(source, (str, Path)):
        return {}
    from calojax.files import layouts  # noqa: PLC0415  (h5py)

    attributes = layouts.reader(Path(source)).summary(Path(source)).attributes
    return {"attributes": attributes} if attributes else {}


def _check(energies: np.ndarray, showers: np.ndarray, geometry: Any, name: str) -> None:
    if showers.ndim != 2 or showers.shape[1] != geometry.n_cells:
        raise InputError(
            where=f"{name}, showers",
            found=f"the array has shape {showers.shape}",
            rule=f"{geometry.name} has {geometry.n_cells} cells",
            remedy="give showers (N, cells) of this geometry, or another geometry",
        )
    if len(energies) != len(showers) or len(showers) == 0:
        raise InputError(
            where=f"{name}, incident energies",
            found=f"{len(energies)} energies for {len(showers)} showers",
            rule="every shower needs one, and at least one shower is needed",
            remedy="give the incident energies in the order of the showers",
        )
    bad = ~(np.isfinite(energies) & (energies > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            where=f"{name}, incident energies, row {row}",
            found=f"the energy is {energies[row]}",
            rule="incident energies are finite and positive, in MeV",
            remedy="remove these showers",
        )
