"""Small ATLAS voxel files for tests."""

import h5py
import numpy as np
import pytest

FULL = 2 * np.pi
REGULAR = {0: [4] * 5, 1: [4] * 5, 12: [2] * 3}  # sectors of each ring, by layer
DEFAULT = {0: [1, 4, 4], 2: [1, 2, 8, 8]}
FINE = {0: [8] * 10, 1: [8] * 10, 12: [4] * 6}


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


def write_fine(path, coarse):
    """The fine file of a coarse one: each voxel cut 2 x 2, a quarter of its energy in each part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(coarse) as given, h5py.File(path, "w") as file:
        file["incident_energy"] = given["incident_energy"][:]
        for layer, sectors in FINE.items():
            rings, n = len(sectors) // 2, sectors[0] // 2
            energy = given[f"energy_layer_{layer}"][:].reshape(-1, rings, n)
            parts = np.repeat(np.repeat(energy, 2, axis=1), 2, axis=2) / 4
            file[f"energy_layer_{layer}"] = parts.reshape(len(energy), -1)
            names = ("binstart_radius", "binsize_radius", "binstart_alpha", "binsize_alpha")
            for name, array in zip(names, bins(sectors, width=2.5), strict=True):
                file[f"{name}_layer_{layer}"] = array.astype("f4")


def write_positive(path, combined):
    """The positive file of a signed one."""
    with h5py.File(combined) as given, h5py.File(path, "w") as file:
        for key in given:
            file[key] = np.maximum(given[key][:], 0) if key.startswith("energy") else given[key][:]


@pytest.fixture
def grow(tmp_path):
    """A tree: eta 0.00 complete with three kinds and three jobs of two kinds, and eta 0.05 in the default binning."""

    def make_tree(name="atlas"):
        root = tmp_path / name
        top = root / "eta_000" / "eta_000_regular_binning"
        write(top / "dataset_combined.hdf5", negative=0.1, empty=[12])
        write_positive(top / "dataset_combined_positive.hdf5", top / "dataset_combined.hdf5")
        write_fine(top / "dataset_combined_fine.hdf5", top / "dataset_combined.hdf5")
        for job in range(3):
            path = top / str(job) / "dataset_combined.hdf5"
            write(path, rows=7 + job, seed=10 + job, negative=0.1, probabilities=True)
            write_positive(path.with_name("dataset_combined_positive.hdf5"), path)
        other = root / "eta_005" / "eta_005_default_binning"
        write(other / "dataset_combined.hdf5", {0: [1, 4, 4], 2: [1, 2, 8, 8]}, rows=11)
        return root

    return make_tree
