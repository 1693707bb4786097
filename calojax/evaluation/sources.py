"""Where the judge takes showers from: a file in the CaloChallenge layout or of crystal images, or two arrays."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax import writing
from calojax.evaluation import arrays

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
    showers = arrays.showers(source[1], geometry, name, any_values=True)
    energies = arrays.incident_energies(source[0], len(showers), name)
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
