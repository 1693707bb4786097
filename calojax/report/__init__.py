"""The reports: an HTML page with everything the judge found, and one with the losses of a run.

Values come from the judge and from metrics.jsonl, never computed again.
"""

from calojax import lazy

_HOME = {"PAGE": "frame", "write": "page", "write_run": "losses"}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.names(__name__, _HOME)
