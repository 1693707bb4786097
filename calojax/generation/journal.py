"""Files of showers that survive an interruption: a journal of packed pieces, from which the file is written at the end.

The journal is a folder `.NAME.partial` beside the file: `request.json` and a file for each piece. Several processes of
one request write their pieces into the same folder. The file is written from the pieces front to back, so its bytes do
not depend on when and by whom they were made.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import h5py
import numpy as np

from calojax import config as configuration
from calojax import stopping, writing
from calojax.errors import InputError, NotFinite
from calojax.generation.layouts import Layout, Piece
from calojax.generation.sinks import Block
from calojax.training import processes

_REQUEST = "request.json"


class Files:
    """A sink whose `finish` gives the path of a file that holds the whole request.

    request: what decides the bytes, as JSON can hold it; resume: go on with a journal of the same request, and return
    at once if its file is there; without it both are refused.
    """

    def __init__(self, path: Path | str, layout: Layout, request: Mapping[str, Any], *, resume: bool = False):
        self.path, self.rows = Path(path), layout.rows
        self._layout, self._request, self._resume = layout, json.loads(json.dumps(request)), resume
        self._folder = writing.partial(self.path)
        self._whole = False

    def __enter__(self) -> "Files":
        self._whole = self._resume and _request_of(self.path) == self._request
        with ExitStack() as stack:
            with processes.together():
                if processes.is_first():
                    self._remove_leftover() if self._whole else self._begin(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, *error) -> None:
        with self._stack:
            if not processes.is_first() or self._whole:
                return
            kept = self._pieces()
            if kind is None or issubclass(kind, NotFinite) or not kept:
                shutil.rmtree(self._folder, ignore_errors=True)
        if kind is KeyboardInterrupt and kept:
            raise KeyboardInterrupt(
                f"interrupted, {kept} pieces of {self.path} are kept; go on with --resume"
            ) from None

    def has(self, piece: int) -> bool:
        """Whether a piece was written before."""
        return self._whole or self._name(piece).is_file()

    def append(self, piece: int, block: Block) -> None:
        packed = self._layout.pack(block)
        with writing.refusals(self._folder):
            writing.need_room(self._folder, sum(array.nbytes for array in packed.values()))
            temporary = writing.partial(self._name(piece))
            with temporary.open("wb") as stream:
                np.savez(stream, **packed)  # type: ignore[arg-type]
            os.replace(temporary, self._name(piece))

    def finish(self, pieces: int) -> Path:
        with processes.together(), writing.refusals(self.path):
            if processes.is_first() and not self._whole:
                whole = self._folder / "whole"
                whole.unlink(missing_ok=True)
                self._layout.write(whole, map(self._read, range(pieces)))
                writing.refuse_existing(self.path)
                os.replace(whole, self.path)
        return self.path

    def _begin(self, stack: ExitStack) -> None:
        """Claim the journal and see to it that it is of this request."""
        if self._resume and (made_for := _request_of(self.path)):
            writing.refuse_other_request(self.path, made_for, self._request)
        writing.refuse_existing(self.path)
        stack.enter_context(writing.claimed(self._folder))
        writing.refuse_existing(self.path)  # made by another process just before
        begun = self._folder / _REQUEST
        if begun.is_file() and self._pieces():
            if not self._resume:
                raise InputError(
                    where=str(self.path),
                    found=f"was begun and interrupted ({self._folder.name} lies beside it)",
                    rule="what is there is not thrown away",
                    remedy="go on with --resume, or remove that folder",
                )
            writing.refuse_other_request(self.path, configuration.read_json(begun), self._request)
        stack.enter_context(stopping.before_leaving(self._remove_if_empty))
        if not begun.is_file():
            for left in self._folder.iterdir():  # pieces of any request, whose removal was cut short
                left.unlink()
        writing.text(begun, json.dumps(self._request, indent=1))

    def _pieces(self) -> int:
        """How many are there."""
        return sum(1 for _ in self._folder.glob("[0-9]*.npz"))

    def _remove_if_empty(self) -> None:
        """Take away a journal that has no piece."""
        if not self._pieces():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _remove_leftover(self) -> None:
        """Take away the journal of a file that is whole, where its writer was killed before it could."""
        begun = self._folder / _REQUEST
        if not begun.is_file() or configuration.read_json(begun) == self._request:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _name(self, piece: int) -> Path:
        return self._folder / f"{piece:06d}.npz"

    def _read(self, piece: int) -> Piece:
        path = self._name(piece)
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, BadZipFile):
            path.unlink(missing_ok=True)
            raise InputError(
                where=str(path),
                found="is damaged and was removed",
                rule="every piece must be as it was written",
                remedy="make it again with --resume",
            ) from None


def _request_of(path: Path) -> dict[str, Any] | None:
    """The request that a file was made for; None of one that is not there or not ours."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = json.loads(str(file.attrs["request"]))
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None
