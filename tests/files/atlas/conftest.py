"""Small voxel files made by the tests, and the large ones."""

import os
from pathlib import Path

import pytest

from tests.voxel_files import grow, write

__all__ = ["grow"]


@pytest.fixture
def make():
    """`write`."""
    return write


@pytest.fixture(scope="session")
def large():
    """The folder of the large files; tests are skipped without them."""
    repository = Path(__file__).parents[3]
    folder = Path(os.environ.get("CALOJAX_DATA", repository.parent / "shared" / "data")) / "atlas"
    if not (folder / "eta_000").is_dir():
        pytest.skip(f"needs the files of {folder}; CALOJAX_DATA names another folder")
    return folder
