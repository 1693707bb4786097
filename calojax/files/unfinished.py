"""A new HDF5 file under a temporary name, which gets its own when it is whole."""

import contextlib
import os
from pathlib import Path

import h5py

from calojax import writing


class Unfinished:
    """`begin`, then `keep` or `discard`; a process that is killed leaves `.NAME.partial`."""

    def __init__(self, path: Path):
        self.path, self.partial = path, writing.partial(path)

    def begin(self) -> h5py.File:
        """The file, to write into; InputError if the path exists or the disk has no room."""
        writing.refuse_existing(self.path)
        with writing.refusals(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            writing.need_room(self.path.parent, 0)
            self._file = h5py.File(self.partial, "w")
        return self._file

    def keep(self) -> None:
        """It is whole."""
        self._file.close()
        os.replace(self.partial, self.path)

    def discard(self) -> None:
        """Nothing is left of it; after `keep` nothing happens."""
        with contextlib.suppress(Exception):  # HDF5 may fail to close what it failed to write
            self._file.close()
        self.partial.unlink(missing_ok=True)
