"""Small voxel files made by the tests."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

FULL = 2 * np.pi
REGULAR = {0: [4] * 5, 1: [4] * 5, 12: [2] * 3}  # sectors of each ring, by layer
DEFAULT = {0: [1, 4, 4], 2: [1, 2, 8, 8]}


def bins(sectors, origin=0.0, width=5.0):
    """The four arrays of a layer, ring-major."""
    ring = np.repeat(np.arange(len(sectors)), sectors)
    n = np.repeat(sectors, sectors)
    alpha = origin + np.concatenate([np.arange(each) for each in sectors]) * FULL / n
    return [width * ring, np.full(len(ring), width), alpha, FULL / n]


def fractions(rows, sectors, seed, negative=0.0):
    """(rows, V) per layer: shares of an event that add up to 0.9; a part of the voxels is negative."""
    random = np.random.default_rng(seed)
    sizes = [sum(each) for each in sectors.values()]
    shares = random.exponential(size=(rows, sum(sizes))) * (random.uniform(size=(rows, sum(sizes))) < 0.6)
    shares *= 0.9 / shares.sum(axis=1, keepdims=True)
    shares[random.uniform(size=shares.shape) < negative] *= -0.01
    return dict(zip(sectors, np.split(shares, np.cumsum(sizes)[:-1], axis=1), strict=True))


def write(
    path,
    sectors=REGULAR,
    rows=23,
    seed=1,
    *,
    origin=0.0,
    shuffled=False,
    key="incident_energy",
    column=False,
    mev=False,
    negative=0.0,
    empty=(),
    probabilities=False,
):
    """A raw file. empty: layers without energy; column: incident energies are (N, 1). Gives incident energies (rows,),
    and energies in MeV (rows, V) by layer, ring-major with alpha from 0."""
    random = np.random.default_rng(seed + 1000)
    incident = np.exp(random.uniform(6, 10, rows)).astype("f4")
    shares = fractions(rows, sectors, seed, negative)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[key] = incident[:, None] if column else incident
        file["eta_mod"] = random.uniform(size=rows)
        for layer, values in shares.items():
            if layer in empty:
                values[:] = 0
            order = random.permutation(values.shape[1]) if shuffled else np.arange(values.shape[1])
            stored = (values * incident[:, None] if mev else values).astype("f4")
            file[f"energy_layer_{layer}"] = stored[:, order]
            names = ("binstart_radius", "binsize_radius", "binstart_alpha", "binsize_alpha")
            for name, array in zip(names, bins(sectors[layer], origin), strict=True):
                file[f"{name}_layer_{layer}"] = array[order].astype("f4")
            if probabilities:
                cuts = np.sort(random.uniform(size=(len(order), 3)), axis=1)
                file[f"probabilities_layer_{layer}"] = cuts
            shares[layer] = stored.astype("f8") * (1 if mev else incident[:, None].astype("f8"))
    return incident, shares


@pytest.fixture
def make():
    """`write`."""
    return write


@pytest.fixture(scope="session")
def tree():
    """The folder of the large files; tests are skipped without them."""
    repository = Path(__file__).parents[3]
    folder = Path(os.environ.get("CALOJAX_DATA", repository.parent / "shared" / "data")) / "atlas"
    if not (folder / "eta_000").is_dir():
        pytest.skip(f"needs the files of {folder}; CALOJAX_DATA names another folder")
    return folder
