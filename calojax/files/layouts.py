"""Which reader a file of showers needs: its keys say it."""

import warnings
from pathlib import Path
from types import ModuleType

from calojax.files import calochallenge, crystals, hdf5


def reader(path: Path) -> ModuleType:
    """`crystals` for a file of images, else `calochallenge`: modules with `summary(path)` and `stream(path, geometry)`.

    Raises InputError for a file that cannot be opened.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever reads it is told that it is locked
        with hdf5.opened(path) as file:
            return crystals if crystals.IMAGES in file and calochallenge.SHOWERS_KEY not in file else calochallenge
