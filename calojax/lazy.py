"""Rooms whose names are imported when they are first used, so that a configuration can be read without JAX."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def names(room: str, home: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a room: `home` says in which of its modules each public name lives."""

    def __getattr__(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{room}.{home[name]}"), name)

    return __getattr__, lambda: sorted(home)
