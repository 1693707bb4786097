"""The report: one HTML page with everything the judge found. Values come from the judge, never computed again."""

from calojax import lazy

_HOME = {"write": "page"}
__all__ = ["write"]
__getattr__ = lazy.names(__name__, _HOME)
