"""SHA-256 digests (hex): of files, of tables, of arrays, of this package's code. They name what a result depends on."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def of_file(path: Path | str) -> str:
    """Of a file's bytes, read in blocks."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_table(table: Any) -> str:
    """Of what JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def of_arrays(arrays: "Iterable[np.ndarray]") -> str:
    """Of arrays on the host, in this order: types, shapes and bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def of_code() -> str:
    """Of this package's source: the same version may be many states of a checkout."""
    return of_table([of_file(path) for path in sorted(Path(__file__).parent.rglob("*.py"))])
