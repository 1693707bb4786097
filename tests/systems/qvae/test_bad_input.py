"""What is wrong with voxel files is one sentence, or is treated as documented and counted in the manifest."""

import re
import warnings

import h5py
import numpy as np
import pytest

from calojax import cli
from calojax.errors import InputError
from calojax.shards import Manifest
from calojax.systems.qvae import preparation, system
from calojax.systems.qvae.config import Config, Generation
from tests.voxel_files import REGULAR, write


@pytest.fixture
def prepare(tmp_path, capsys):
    """prepare(files, *flags) -> the manifest, or what is said; and what is warned of."""

    def run(files, *flags):
        out = tmp_path / "shards"
        code = cli.main(["prepare", "qvae", *map(str, files), "--out", str(out), *flags])
        said = capsys.readouterr().err
        if code == 0:
            return Manifest.read(out), said
        assert code == 2 and not out.exists()
        lines = [line for line in said.splitlines() if line.startswith("calojax: ") and "warning" not in line]
        assert len(lines) == 1 and "Traceback" not in said
        return lines[0], said

    return run


def change(path, function):
    with h5py.File(path, "a") as file:
        function(file)
    return path


def replace(file, key, values):
    del file[key]
    file[key] = values


def raw(tmp_path, name="a", **options):
    write(tmp_path / f"{name}.hdf5", **options)
    return tmp_path / f"{name}.hdf5"


def _drop_layer(file):
    for key in [key for key in file if key.endswith("_layer_1")]:
        del file[key]


BAD = {
    "layer missing": (_drop_layer, r"b.hdf5, binstart_radius_layer_1: is missing, but a has this layer"),
    "layer without energies": (
        lambda file: replace(file, "energy_layer_1", file["energy_layer_1"][:, :-1]),
        r"b.hdf5, energy_layer_1: has the shape \(23, 19\), but 23 incident energies and the bins of 20 voxels",
    ),
    "sectors that overlap": (
        lambda file: replace(file, "binsize_alpha_layer_1", file["binsize_alpha_layer_1"][:] * 1.1),
        r"b.hdf5, layer 1, ring 0: .* rad",
    ),
    "sectors with a gap": (
        lambda file: replace(file, "binsize_alpha_layer_1", file["binsize_alpha_layer_1"][:] * 0.9),
        r"b.hdf5, layer 1, ring 0: leaves .* rad",
    ),
    "not finite": (
        lambda file: replace(file, "energy_layer_1", np.full((23, 20), np.nan)),
        r"b.hdf5, energy",
    ),
    "neither fractions nor MeV": (
        lambda file: [replace(file, f"energy_layer_{i}", file[f"energy_layer_{i}"][:] * 1e9) for i in REGULAR],
        r"b.hdf5, energies of the voxels: .*of order 1 for showers, and neither is",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_second_file_that_does_not_fit_the_first_is_refused(prepare, tmp_path, case):
    spoil, said = BAD[case]
    good, bad = raw(tmp_path, "a"), change(raw(tmp_path, "b"), spoil)
    found, _ = prepare([good, bad])
    assert isinstance(found, str)
    assert re.search(said, found), found


def test_mev_in_place_of_fractions_is_read_said_and_counted(prepare, tmp_path):
    (manifest, said) = prepare([raw(tmp_path, "a"), raw(tmp_path, "b", mev=True)])
    assert "b.hdf5: the voxels are in MeV, not fractions of the incident energy" in said
    assert manifest.selections[preparation.IN_MEV] == 1 and manifest.rows == 46


def in_columns(path, geometry_of, fractions=False, spoil=lambda showers: None):
    """A file of the CaloChallenge's keys with the cells of data set 2."""
    draw = np.random.default_rng(4)
    incident = np.exp(draw.uniform(np.log(1e3), np.log(1e5), 20))
    showers = np.zeros((20, geometry_of))
    showers[:, :200] = draw.exponential(size=(20, 200))
    showers *= 0.9 / showers.sum(1, keepdims=True) * (1 if fractions else incident[:, None])
    spoil(showers)
    with h5py.File(path, "w") as file:
        file["incident_energies"], file["showers"] = incident[:, None], showers.astype(np.float32)
    return path


def test_fractions_in_place_of_mev_are_refused(prepare, tmp_path):
    found, _ = prepare([in_columns(tmp_path / "c.hdf5", 6480, fractions=True)], "--geometry", "ds2")
    assert "c.hdf5, energies of the voxels" in found and "look like fractions of the incident energy" in found


def test_voxels_at_their_incident_energy_leave_their_shower_out_and_are_counted(prepare, tmp_path):
    def spoil(file):
        values = file["energy_layer_0"][:]
        values[2, 3], values[5, 0] = 1.0, 7.5
        replace(file, "energy_layer_0", values)

    manifest, _ = prepare([change(raw(tmp_path), spoil)])
    assert manifest.selections[preparation.CLEANED] == 2 and manifest.rows == 21


def test_a_voxel_that_rounding_makes_equal_to_the_incident_energy_counts_as_such(prepare, tmp_path):
    def spoil(showers):
        showers[3] = 0

    path = in_columns(tmp_path / "c.hdf5", 6480, spoil=spoil)

    def equal(file):
        incident, showers = file["incident_energies"][:], file["showers"][:]
        showers[3, 0] = np.float32(incident[3, 0])
        incident[3] = np.nextafter(float(showers[3, 0]), np.inf)  # above the voxel in float64 alone
        replace(file, "showers", showers)
        replace(file, "incident_energies", incident)

    manifest, _ = prepare([change(path, equal)], "--geometry", "ds2")
    assert manifest.selections[preparation.CLEANED] == 1


def test_negative_voxels_are_refused_or_set_to_zero_and_counted(prepare, tmp_path):
    path = raw(tmp_path, negative=0.1)
    found, _ = prepare([path])
    assert "a.hdf5, energy_layer_0, row" in found and "clip negative voxels to 0, or take the positive file" in found
    manifest, _ = prepare([path], "--negatives", "clip")
    with h5py.File(path) as file:
        below = sum(int((file[f"energy_layer_{i}"][:] < 0).sum()) for i in REGULAR)
    assert manifest.selections[preparation.NEGATIVE] == below > 20


def test_negative_voxels_of_other_files_are_too(prepare, tmp_path):
    def spoil(showers):
        showers[4, 7], showers[9, :3] = -1.0, -2.0

    path = in_columns(tmp_path / "c.hdf5", 6480, spoil=spoil)
    found, _ = prepare([path], "--geometry", "ds2")
    assert "c.hdf5, showers, row 4" in found and "not negative" in found
    manifest, _ = prepare([path], "--geometry", "ds2", "--negatives", "clip")
    assert manifest.selections[preparation.NEGATIVE] == 4 and manifest.rows == 20


def test_what_is_not_finite_is_never_clipped(prepare, tmp_path):
    def spoil(showers):
        showers[4, 7] = np.nan

    path = in_columns(tmp_path / "c.hdf5", 6480, spoil=spoil)
    found, _ = prepare([path], "--geometry", "ds2", "--negatives", "clip")
    assert "c.hdf5, showers, row 4, column 7: the energy is nan" in found


def test_a_good_file_is_neither_warned_of_nor_counted(prepare, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manifest, said = prepare([raw(tmp_path)])
    assert "warning" not in said
    assert not any(manifest.selections.values()) and manifest.rows == 23


@pytest.mark.parametrize(
    ("value", "said"), [(1.0, "1 at or above their incident energy"), (-1e-3, "no voxel is negative")]
)
def test_showers_that_cannot_be_encoded_are_not_reconstructed(prepare, tmp_path, value, said):
    def spoil(file):
        values = file["energy_layer_0"][:]
        values[2, 3] = value
        replace(file, "energy_layer_0", values)

    manifest, _ = prepare([raw(tmp_path)])
    config = Config(generation=Generation(latent="posterior"))
    with pytest.raises(InputError, match=f"b.hdf5.*{said}"):
        system.conditions(change(raw(tmp_path, "b"), spoil), config, manifest)
    found = system.conditions(raw(tmp_path, "c"), config, manifest)
    assert found["showers"].shape == (23, 46) and found["incident_energy"].shape == (23,)
