"""The report: one HTML page with everything the judge found. Values come from the judge, never computed again."""

from importlib import import_module
from typing import Any

_HOMES = {"write": "page"}
__all__ = ["write"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
