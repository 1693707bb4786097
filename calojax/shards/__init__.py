"""What systems train from: a manifest, arrays in files and a prefetching loader. Needs numpy, never JAX."""

from calojax import lazy

_HOME = {
    "Batches": "batches",
    "Position": "batches",
    "capacities": "batches",
    "Field": "manifest",
    "Manifest": "manifest",
    "Source": "manifest",
    "Loader": "loader",
    "Shards": "reader",
    "Writer": "writer",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.names(__name__, _HOME)
