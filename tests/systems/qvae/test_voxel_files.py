"""From rebuilt, positive and fine ATLAS files through a qvae to files that a reader of the originals reads."""

from pathlib import Path

import h5py
import jax
import numpy as np
import pytest

import calojax
from calojax import cli, geometry
from calojax.errors import InputError
from calojax.files import atlas
from calojax.files.atlas import rebuilding
from calojax.shards import Manifest
from calojax.systems.qvae import system
from calojax.systems.qvae.config import Config, Generation, Prior
from calojax.systems.qvae.models.config import Model
from calojax.training.config import Training
from calojax.training.folder import Loaded

pytestmark = pytest.mark.slow

FOLDER = Path("eta_000", "eta_000_regular_binning")


def untrained(sources, shards, *flags) -> Loaded:
    """A qvae on shards of these files, as it is before its training."""
    assert cli.main(["prepare", "qvae", *map(str, sources), "--out", str(shards), *flags]) == 0
    manifest = Manifest.read(shards)
    config = Config(
        model=Model(nodes=40, width=1 / 64),
        prior=Prior(chains=4),
        training=Training(steps=1, batch=8, tile=8),
        generation=Generation(tile=8, sweeps=2),
    )
    model = jax.jit(lambda: system.init(jax.random.key(0), config, manifest))()
    return Loaded("run", system, config, manifest, model, 0)


def by_the_originals(path):
    """Incident energies (N,), and by layer energies (N, V) in MeV with the four arrays of bins, read with the keys of
    the originals alone: fractions, ring by ring; a layer that is not there is inactive."""
    layers = {}
    with h5py.File(path) as file:
        incident = file["incident_energy"][:]
        for layer in range(24):
            if f"energy_layer_{layer}" not in file:
                continue
            energy = file[f"energy_layer_{layer}"][:] * incident[:, None]
            names = ("binstart_radius", "binsize_radius", "binstart_alpha", "binsize_alpha")
            layers[layer] = energy, [file[f"{name}_layer_{layer}"][:] for name in names]
    return incident, layers


def assert_alike(path, original, loaded):
    """The same keys, bins and incident energies as the file that gave the conditions; showers that are ours."""
    with h5py.File(path) as made, h5py.File(original) as file:
        assert {key for key in file if "of_jobs" not in key} == set(made)
        np.testing.assert_array_equal(made["eta_mod"], file["eta_mod"])
    incident, layers = by_the_originals(path)
    wanted, theirs = by_the_originals(original)
    np.testing.assert_array_equal(incident, wanted)
    assert layers.keys() == theirs.keys()
    for layer, (energy, bins) in layers.items():
        assert energy.shape == theirs[layer][0].shape and (energy >= 0).all()
        np.testing.assert_allclose(bins, theirs[layer][1], rtol=1e-6, atol=1e-6)
    cylinder = geometry.from_json(loaded.manifest.geometry)
    drawn = calojax.generate(loaded, wanted, progress=False).showers
    assert drawn.any()
    np.testing.assert_allclose(atlas.read(path, cylinder).showers, drawn, rtol=1e-5)


def test_rebuilt_positive_files(grow, tmp_path):
    root = grow()
    rebuilding.rebuild(root, tmp_path / "rebuilt", progress=False)
    source = tmp_path / "rebuilt" / FOLDER / "dataset_combined_positive_rebuilt.hdf5"
    loaded = untrained([source], tmp_path / "shards")
    assert loaded.manifest.tables["probabilities"].shape == (46, 3)
    tree = tmp_path / "made"
    path = tree / FOLDER / "dataset_combined_positive_rebuilt.hdf5"
    path.parent.mkdir(parents=True)
    calojax.generate(loaded, conditions=source, out=path, format="atlas", progress=False)
    assert_alike(path, source, loaded)
    with h5py.File(path) as made, h5py.File(source) as file:
        for key in (key for key in file if key.startswith("probabilities_layer")):
            np.testing.assert_allclose(made[key], file[key], rtol=1e-6)
    derived(tree, tmp_path, "positive", loaded)


def derived(tree, tmp_path, kind, loaded):
    """The concatenated and cleaned forms of a generated tree have both spellings, and are prepared like others."""
    assert cli.main(["atlas", "concatenate", str(tree)]) == 0
    assert cli.main(["atlas", "clean", f"{tree}_cat"]) == 0
    folder = Path(f"{tree}_cat") / FOLDER
    with h5py.File(folder / f"dataset_{kind}_cat.hdf5") as file:
        assert {"showers", "incident_energy"} <= set(file)
        total = file["showers"][:].sum()
    with h5py.File(folder / f"dataset_{kind}_cat_clean.hdf5") as file:
        assert {"showers", "incident_energies"} <= set(file)
        assert file["showers"][:].sum() == pytest.approx(total)
    again = tmp_path / "again"
    assert cli.main(["prepare", "qvae", str(folder / f"dataset_{kind}_cat_clean.hdf5"), "--out", str(again)]) == 0
    assert Manifest.read(again).rows == loaded.manifest.rows


def test_fine_files(grow, tmp_path):
    source = grow() / FOLDER / "dataset_combined_fine.hdf5"
    with pytest.raises(InputError, match="no voxel is negative; clip negative voxels to 0"):
        calojax.prepare("qvae", source, tmp_path / "refused")
    loaded = untrained([source], tmp_path / "shards", "--negatives", "clip")
    with h5py.File(source) as file:
        active = [i for i in (0, 1, 12) if file[f"energy_layer_{i}"][:].any()]
    assert [layer["id"] for layer in loaded.manifest.geometry["layers"]] == active == [0, 1]
    path = tmp_path / "made.hdf5"
    calojax.generate(loaded, conditions=source, out=path, format="atlas", progress=False)
    incident, layers = by_the_originals(path)
    assert {i: energy.shape for i, (energy, _) in layers.items()} == {0: (23, 80), 1: (23, 80)}
    theirs = by_the_originals(source)[1]
    for layer, (_, bins) in layers.items():
        np.testing.assert_allclose(bins, theirs[layer][1], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(incident, by_the_originals(source)[0])


def test_rings_with_different_numbers_of_sectors_are_refused_in_a_sentence(grow, tmp_path):
    source = grow() / "eta_005" / "eta_005_default_binning" / "dataset_combined.hdf5"
    with pytest.raises(InputError, match="layers of a cylinder have the same sectors in every ring"):
        calojax.prepare("qvae", source, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
