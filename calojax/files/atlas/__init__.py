"""ATLAS voxel files: the showers of a tree of folders, one for each pseudorapidity, and what is derived from them.

`reading` reads files of every form and `writer` writes raw ones; `voxels` is the raw form, `concatenated` has those in
which the active layers are one table; `tree` knows the names of folders and files, and every operation on a tree has a
module of its own.
"""

from calojax import lazy

_HOME = {
    "Events": "voxels",
    "NEGATIVES": "reading",
    "Summary": "reading",
    "Writer": "writer",
    "active_layers": "reading",
    "cylinder": "reading",
    "geometry": "reading",
    "read": "reading",
    "read_energies": "reading",
    "read_places": "reading",
    "stream": "reading",
    "summary": "reading",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.names(__name__, _HOME)
