"""Raw, concatenated and cleaned files: the same showers in the order of the geometry, in MeV, whatever the file's."""

import h5py
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.files import atlas, layouts
from calojax.files.atlas import bins as voxel_bins
from calojax.files.atlas import concatenated, probabilities, reading

REGULAR = {0: [4] * 5, 1: [4] * 5, 12: [2] * 3}
DEFAULT = {0: [1, 4, 4], 2: [1, 2, 8, 8]}


def same(path, wanted, **options):
    """Whether a file gives the showers of another one, by its geometry."""
    cells = atlas.geometry(wanted)
    mine, theirs = atlas.read(path, cells, **options), atlas.read(wanted, cells)
    return np.array_equal(mine.showers, theirs.showers) and np.array_equal(mine.incident_energy, theirs.incident_energy)


def expected(shares, cells):
    """Cells of the geometry from voxels that are ring-major with alpha from 0: half a turn further on."""
    rows = []
    for layer in cells.layers:
        first, found = 0, shares[layer.id]
        for n in layer.n_alpha:
            rows.append(np.roll(found[:, first : first + n], -(n // 2), axis=1))
            first += n
    return np.concatenate(rows, axis=1).astype("f4")


@pytest.mark.parametrize("sectors", [REGULAR, DEFAULT], ids=["regular", "default"])
@pytest.mark.parametrize("options", [{}, {"shuffled": True}, {"mev": True}], ids=str)
@pytest.mark.filterwarnings("ignore:.*are in MeV")
def test_showers_are_read_in_the_order_of_the_geometry_whatever_that_of_the_file(tmp_path, make, sectors, options):
    incident, shares = make(tmp_path / "a.hdf5", sectors, **options)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    events = atlas.read(tmp_path / "a.hdf5", cells)
    assert [layer.n_alpha for layer in cells.layers] == [tuple(each) for each in sectors.values()]
    assert np.array_equal(events.incident_energy, incident.astype("f8")) and not events.negatives.any()
    assert np.allclose(events.showers, expected(shares, cells), rtol=1e-6)


def test_alpha_from_minus_pi_is_the_same_showers_half_a_turn_on(tmp_path, make):
    make(tmp_path / "zero.hdf5")
    make(tmp_path / "pi.hdf5", origin=-np.pi)
    cells = atlas.geometry(tmp_path / "zero.hdf5")
    assert cells.digest == atlas.geometry(tmp_path / "pi.hdf5").digest
    zero, pi = (atlas.read(tmp_path / name, cells).showers for name in ("zero.hdf5", "pi.hdf5"))
    turned = np.concatenate([np.flatnonzero(cells.layer == 0).reshape(5, 4)[:, [2, 3, 0, 1]].ravel()])
    assert np.array_equal(zero[:, turned], pi[:, cells.layer == 0])


def test_the_cylinder_reads_its_own_flat_order(tmp_path, make):
    make(tmp_path / "a.hdf5", shuffled=True)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    cylinder, order = cells.cylinder()
    showers, flat = (atlas.read(tmp_path / "a.hdf5", each).showers for each in (cells, cylinder))
    assert np.array_equal(showers[:, order], flat) and cylinder.n_cells == 46


@pytest.mark.parametrize("key", ["incident_energy", "incident_energies"])
@pytest.mark.parametrize("column", [False, True])
def test_both_spellings_and_shapes_of_the_incident_energy(tmp_path, make, key, column):
    incident, _ = make(tmp_path / "a.hdf5", key=key, column=column)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    assert np.array_equal(atlas.read(tmp_path / "a.hdf5", cells).incident_energy, incident)
    assert np.array_equal(atlas.read_energies(tmp_path / "a.hdf5"), incident)


@pytest.mark.parametrize("rows", [1, 7, 23, 1000])
@pytest.mark.parametrize("start", [0, 5, 23, 30, 46])
def test_blocks_of_any_size_add_up_to_all_files_in_order(tmp_path, make, rows, start):
    make(tmp_path / "a.hdf5")
    make(tmp_path / "b.hdf5", seed=2)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    both = np.concatenate([atlas.read(tmp_path / name, cells).showers for name in ("a.hdf5", "b.hdf5")])
    blocks = list(atlas.stream([tmp_path / "a.hdf5", tmp_path / "b.hdf5"], cells, rows=rows, start=start))
    assert np.array_equal(np.concatenate([*(block.showers for block in blocks), both[:0]]), both[start:])


def test_a_layer_without_energies_is_inactive(tmp_path, make):
    make(tmp_path / "a.hdf5")
    cells = atlas.geometry(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["energy_layer_1"]
    events = atlas.read(tmp_path / "a.hdf5", cells)
    assert not events.showers[:, cells.layer == 1].any() and events.showers[:, cells.layer == 2].any()
    assert atlas.summary(tmp_path / "a.hdf5").missing == (1,)


def test_a_layer_without_voxels_is_no_layer(tmp_path, make):
    make(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        file["energy_layer_7"] = np.zeros((23, 0))
        for key in voxel_bins.KEYS:
            file[f"{key}_layer_7"] = np.zeros(0)
    assert atlas.geometry(tmp_path / "a.hdf5").ids == (0, 1, 12) and atlas.summary(tmp_path / "a.hdf5").missing == ()


@pytest.mark.parametrize("negatives", atlas.NEGATIVES)
def test_negative_voxels_are_kept_clipped_or_refused_and_counted(tmp_path, make, negatives):
    _, shares = make(tmp_path / "a.hdf5", negative=0.1)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    if negatives == "refuse":
        with pytest.raises(InputError, match=r"a.hdf5, energy_layer_0, row 0, column \d+: the energy is -.*positive"):
            atlas.read(tmp_path / "a.hdf5", cells, negatives=negatives)
        return
    events = atlas.read(tmp_path / "a.hdf5", cells, negatives=negatives)
    true = np.concatenate([values for values in shares.values()], axis=1)
    assert np.array_equal(events.negatives, (true < 0).sum(1)) and events.negatives.sum() > 20
    assert (events.showers.min() < 0) == (negatives == "keep")
    assert np.isclose(events.showers.clip(0).sum(), true.clip(0).sum())


def test_layers_are_chosen_and_others_not_read(tmp_path, make):
    make(tmp_path / "a.hdf5")
    cells = atlas.geometry(tmp_path / "a.hdf5")
    part = cells.select([1, 12])
    whole = atlas.read(tmp_path / "a.hdf5", cells).showers
    assert np.array_equal(atlas.read(tmp_path / "a.hdf5", part).showers, whole[:, cells.layer > 0])


def test_concatenated_files_hold_the_layers_in_order_of_the_raw_file_in_mev(tmp_path, make):
    _, shares = make(tmp_path / "a.hdf5", negative=0.1)
    assert concatenated.concatenate(tmp_path / "a.hdf5", tmp_path / "cat.hdf5", [12, 0], progress=False) == 23
    with h5py.File(tmp_path / "cat.hdf5") as file:
        assert file["showers"].dtype == "f8" and file["incident_energy"].shape == (23,)
        assert np.array_equal(file["showers"], np.concatenate([shares[0], shares[12]], axis=1))
        assert file.attrs["units"] == "MeV" and list(file.attrs["layers"]) == [0, 12]
    part = atlas.geometry(tmp_path / "a.hdf5").select([0, 12])
    mine, theirs = (atlas.read(tmp_path / name, part) for name in ("cat.hdf5", "a.hdf5"))
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_cleaning_removes_events_with_a_voxel_at_or_above_the_incident_energy(tmp_path, make):
    make(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        file["energy_layer_1"][3, 2], file["energy_layer_0"][9, 0] = 1.0, 2.5
        file["energy_layer_0"][11, 0] = np.nextafter(np.float32(1), np.float32(0))
    concatenated.concatenate(tmp_path / "a.hdf5", tmp_path / "cat.hdf5", [0, 1, 12], progress=False)
    found = concatenated.clean(tmp_path / "cat.hdf5", tmp_path / "clean.hdf5", progress=False)
    assert found == (21, 2)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    kept = np.delete(np.arange(23), [3, 9])
    events, whole = (atlas.read(tmp_path / name, cells) for name in ("clean.hdf5", "a.hdf5"))
    assert np.array_equal(events.showers, whole.showers[kept])
    assert np.array_equal(events.incident_energy, whole.incident_energy[kept])
    with h5py.File(tmp_path / "clean.hdf5") as file:
        assert "incident_energies" in file and file.attrs["events_removed"] == 2


@pytest.mark.parametrize("key", ["incident_energy", "incident_energies"])
def test_a_concatenated_file_of_others_has_no_bins_and_takes_those_of_the_raw_file(tmp_path, make, key):
    make(tmp_path / "a.hdf5", shuffled=True)
    concatenated.concatenate(tmp_path / "a.hdf5", tmp_path / "cat.hdf5", [0, 1, 12], progress=False)
    with h5py.File(tmp_path / "cat.hdf5") as file, h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["showers"], other[key] = file["showers"][:], file["incident_energy"][:][:, None]
    assert same(tmp_path / "other.hdf5", tmp_path / "a.hdf5", raw=tmp_path / "a.hdf5")
    cells = atlas.geometry(tmp_path / "a.hdf5")
    with pytest.raises(InputError, match=r"binstart_radius_layer_.*: is missing.*; name the raw file too"):
        atlas.read(tmp_path / "other.hdf5", cells)
    with pytest.raises(InputError, match=r"showers: has the shape \(23, 46\), but .* layers 0, 1 need \(23, 40\)"):
        atlas.read(tmp_path / "other.hdf5", cells.select([0, 1]), raw=tmp_path / "a.hdf5")


@pytest.mark.parametrize("sectors", [REGULAR, DEFAULT], ids=["regular", "default"])
@pytest.mark.parametrize("matched", [False, True])
def test_what_is_written_is_read_again_and_has_the_keys_of_the_originals(tmp_path, make, sectors, matched):
    make(tmp_path / "a.hdf5", sectors, shuffled=matched)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    events = atlas.read(tmp_path / "a.hdf5", cells, dtype=np.float64)
    with h5py.File(tmp_path / "a.hdf5") as file:
        bins = voxel_bins.read(tmp_path / "a.hdf5", file) if matched else None
        with atlas.Writer(tmp_path / "b.hdf5", cells, {"seed": 3}, bins=bins) as writer:
            writer.append(events.incident_energy[:9], events.showers[:9])
            writer.append(events.incident_energy[9:, None], events.showers[9:])
        with h5py.File(tmp_path / "b.hdf5") as written:
            assert set(written) == set(file) - {"eta_mod"} and written.attrs["seed"] == 3
            for key in written:
                assert written[key].shape == file[key].shape
                assert np.allclose(written[key], file[key], rtol=1e-6, atol=1e-7), key
    assert np.allclose(atlas.read(tmp_path / "b.hdf5", cells).showers, events.showers, rtol=1e-6)


def test_places_of_particles_and_probabilities_of_sub_voxels_are_written_where_they_are_known(tmp_path, make):
    make(tmp_path / "a.hdf5", probabilities=True, shuffled=True)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    events, places = atlas.read(tmp_path / "a.hdf5", cells), atlas.read_places(tmp_path / "a.hdf5")
    cuts = probabilities.of_cells([tmp_path / "a.hdf5"], cells)
    with atlas.Writer(tmp_path / "b.hdf5", cells, probabilities=cuts) as writer:
        writer.append(events.incident_energy, events.showers, places)
    with h5py.File(tmp_path / "a.hdf5") as file, h5py.File(tmp_path / "b.hdf5") as written:
        assert set(written) == set(file)
        assert np.array_equal(written["eta_mod"], file["eta_mod"])
    assert np.allclose(probabilities.of_cells([tmp_path / "b.hdf5"], cells), cuts)
    shares = probabilities.shares(cuts)
    assert shares.shape == (46, 4) and np.allclose(shares.sum(1), 1)


def test_probabilities_are_the_mean_of_files_and_uniform_where_there_are_none(tmp_path, make):
    make(tmp_path / "a.hdf5", probabilities=True, rows=20)
    make(tmp_path / "b.hdf5", probabilities=True, rows=60, seed=5)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    one, other = (probabilities.of_cells([tmp_path / name], cells) for name in ("a.hdf5", "b.hdf5"))
    both = probabilities.of_cells([tmp_path / "a.hdf5", tmp_path / "b.hdf5"], cells)
    assert np.allclose(both, 0.25 * one + 0.75 * other)
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["probabilities_layer_1"]
    found = probabilities.of_cells([tmp_path / "a.hdf5"], cells)
    assert np.array_equal(found[20:40], np.tile((0.25, 0.5, 0.75), (20, 1))) and np.array_equal(found[:20], one[:20])
    make(tmp_path / "c.hdf5")
    assert probabilities.of_cells([tmp_path / "c.hdf5"], cells) is None


@pytest.mark.parametrize("values", [np.full(23, np.nan), np.ones(22)])
def test_places_that_are_none_are_refused(tmp_path, make, values):
    make(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        file["phi_mod"] = values
    with pytest.raises(
        InputError, match=r"a.hdf5, phi_mod: has 2\d values, or some .* a finite number for each of 23 events"
    ):
        atlas.read_places(tmp_path / "a.hdf5")


def test_the_writer_takes_a_cylinder(tmp_path, make):
    make(tmp_path / "a.hdf5")
    cylinder, _ = atlas.geometry(tmp_path / "a.hdf5").cylinder()
    events = atlas.read(tmp_path / "a.hdf5", cylinder)
    with atlas.Writer(tmp_path / "b.hdf5", cylinder) as writer:
        writer.append(events.incident_energy, events.showers)
    assert np.allclose(atlas.read(tmp_path / "b.hdf5", cylinder).showers, events.showers, rtol=1e-6)
    assert same(tmp_path / "b.hdf5", tmp_path / "b.hdf5")


def test_nothing_is_left_of_what_was_not_finished_and_nothing_is_overwritten(tmp_path, make):
    make(tmp_path / "a.hdf5")
    cells = atlas.geometry(tmp_path / "a.hdf5")
    with pytest.raises(KeyboardInterrupt), atlas.Writer(tmp_path / "b.hdf5", cells) as writer:
        writer.append(np.ones(1), np.zeros((1, cells.n_cells)))
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]
    with pytest.raises(InputError, match=r"a.hdf5: exists already"), atlas.Writer(tmp_path / "a.hdf5", cells):
        pass


# ---- what is wrong is said


@pytest.mark.filterwarnings("ignore:.*are in MeV")
@pytest.mark.parametrize("mev", [False, True])
def test_fractions_taken_for_mev_and_the_reverse_are_refused_when_stated(tmp_path, make, mev):
    make(tmp_path / "a.hdf5", mev=mev)
    cells = atlas.geometry(tmp_path / "a.hdf5")
    assert atlas.summary(tmp_path / "a.hdf5").unit == ("MeV" if mev else "fractions")
    right, wrong = ("MeV", "fractions") if mev else ("fractions", "MeV")
    assert atlas.read(tmp_path / "a.hdf5", cells, unit=right).showers.any()
    look = "look like MeV" if mev else "look like fractions of the incident energy"
    with pytest.raises(InputError, match=f"a.hdf5, energies of the voxels: the median sum of an event is .*{look}"):
        atlas.read(tmp_path / "a.hdf5", cells, unit=wrong)


def test_mev_in_place_of_fractions_is_said(tmp_path, make):
    make(tmp_path / "a.hdf5", mev=True)
    with pytest.warns(UserWarning, match=r"a.hdf5: the voxels are in MeV, not fractions"):
        atlas.summary(tmp_path / "a.hdf5")


def scale(path, factor):
    """All voxels of a file times a factor."""
    with h5py.File(path, "a") as file:
        for layer in REGULAR:
            file[f"energy_layer_{layer}"][:] *= factor


def test_energies_that_are_neither_are_refused(tmp_path, make):
    make(tmp_path / "a.hdf5")
    scale(tmp_path / "a.hdf5", 1e9)
    with pytest.raises(InputError, match=r"of order 1 for showers, and neither is"):
        atlas.summary(tmp_path / "a.hdf5")


def test_a_part_of_the_layers_has_less_than_the_incident_energy_and_its_unit_is_stated(tmp_path, make):
    make(tmp_path / "a.hdf5")
    scale(tmp_path / "a.hdf5", 0.004)
    with pytest.raises(InputError, match=r"neither is; say what they are"):
        atlas.geometry(tmp_path / "a.hdf5")
    make(tmp_path / "good.hdf5")
    cells = atlas.geometry(tmp_path / "good.hdf5")
    events = atlas.read(tmp_path / "a.hdf5", cells, unit="fractions")
    assert np.allclose(events.showers.sum(1) / events.incident_energy, 0.0036, rtol=1e-3)


def test_concatenated_files_of_fractions_are_refused(tmp_path, make):
    make(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5") as file, h5py.File(tmp_path / "cat.hdf5", "w") as cat:
        cat["showers"] = np.concatenate([file[f"energy_layer_{layer}"] for layer in REGULAR], axis=1)
        cat["incident_energy"] = file["incident_energy"][:]
    cells = atlas.geometry(tmp_path / "a.hdf5")
    with pytest.raises(InputError, match=r"in MeV it would be of order 1, and they look like fractions"):
        atlas.read(tmp_path / "cat.hdf5", cells, raw=tmp_path / "a.hdf5")


def test_what_is_written_here_is_read_whatever_it_looks_like(tmp_path, make):
    make(tmp_path / "a.hdf5")
    cells = atlas.geometry(tmp_path / "a.hdf5")
    showers = np.full((2, cells.n_cells), 1e6, "f4")
    with atlas.Writer(tmp_path / "b.hdf5", cells) as writer:
        writer.append(np.array([500.0, 600.0]), showers)
    assert np.allclose(atlas.read(tmp_path / "b.hdf5", cells).showers, showers)
    concatenated.concatenate(tmp_path / "b.hdf5", tmp_path / "cat.hdf5", [0, 1, 12], progress=False)
    assert np.allclose(atlas.read(tmp_path / "cat.hdf5", cells).showers, showers)


def _cut(file):
    values = file["energy_layer_1"][:, :-1]
    del file["energy_layer_1"]
    file["energy_layer_1"] = values


def _shorten(file):
    del file["binsize_alpha_layer_12"]
    file["binsize_alpha_layer_12"] = np.ones(5)


def _nan(file):
    file["energy_layer_1"][4, 7] = np.nan


def _drop_rows(file):
    energies = file["incident_energy"][:-1]
    del file["incident_energy"]
    file["incident_energy"] = energies


def _overlap(file):
    file["binstart_alpha_layer_1"][5] += 0.4


def _zero(file):
    file["incident_energy"][3] = 0


def _remove(*keys):
    def change(file):
        for key in keys:
            del file[key]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_cut, r"energy_layer_1: has the shape \(23, 19\), but 23 incident energies and the bins of 20 voxels need"),
        (_shorten, r"layer 12, alpha, width: has the shape \(5,\)"),
        (_nan, "energy_layer_1, row 4, column 7: the energy is nan"),
        (_drop_rows, r"energy_layer_0: has the shape \(23, 20\), but 22 incident energies"),
        (_overlap, "layer 1, ring 1: leaves .* of .* rad behind voxel"),
        (_zero, "incident_energy, row 3: the energy is 0.0"),
        (_remove("incident_energy"), "incident_energy: is missing"),
        (_remove("binsize_radius_layer_0"), "binsize_radius_layer_0: is missing"),
        (_remove("binstart_radius_layer_0"), "binstart_radius_layer_0: is missing"),
        (_remove(*(f"energy_layer_{layer}" for layer in REGULAR)), r"energy_layer_\*: is missing"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_file_key_and_row(tmp_path, make, change, said):
    make(tmp_path / "good.hdf5")
    make(tmp_path / "a.hdf5")
    cells = atlas.geometry(tmp_path / "good.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        change(file)
    with pytest.raises(InputError, match=f"a.hdf5, {said}"):
        list(atlas.stream(tmp_path / "a.hdf5", cells))


def test_other_bins_than_those_of_the_geometry_are_refused(tmp_path, make):
    make(tmp_path / "a.hdf5")
    make(tmp_path / "b.hdf5", REGULAR | {1: [5] * 4})
    make(tmp_path / "c.hdf5", {0: REGULAR[0]})
    cells = atlas.geometry(tmp_path / "a.hdf5")
    with pytest.raises(InputError, match=r"b.hdf5, layer 1: has 4 x 5 bins, but a has 5 x 4 there"):
        atlas.read(tmp_path / "b.hdf5", cells)
    with pytest.raises(InputError, match=r"c.hdf5, binstart_radius_layer_1: is missing, but a has this layer"):
        atlas.read(tmp_path / "c.hdf5", cells)


# ---- the large files


def test_of_the_large_files_the_negative_voxels_and_the_energies_of_the_layers_are_as_documented(large):
    path = large / "eta_000" / "eta_000_regular_binning" / "dataset_combined.hdf5"
    cells = atlas.geometry(path).select([0, 1, 2, 3, 12])
    cylinder, _ = cells.cylinder()
    negatives, energy, incident, sectors = 0, np.zeros(5), 0.0, np.zeros(14)
    for block in reading.stream(path, cylinder, dtype=np.float64):
        negatives += block.negatives.sum()
        shares = block.showers / block.incident_energy[:, None]
        energy += np.add.reduceat(shares, cylinder.layer_offsets[:-1], axis=1).sum(0)
        sectors += np.bincount(cylinder.alpha, block.showers.sum(0))
        incident += len(shares)
    assert incident == 6000 and negatives / incident == pytest.approx(10.9, abs=0.05)
    assert np.allclose(energy / incident, [0.1161, 0.3117, 0.5639, 0.0037, 0.0046], atol=2e-4)
    assert np.abs(sectors / sectors.mean() - 1).max() < 0.01  # equal in every direction


def test_the_reader_of_several_formats_takes_a_voxel_file_for_the_judge(tmp_path, make):
    make(tmp_path / "a.hdf5", negative=0.1)
    cylinder, _ = atlas.geometry(tmp_path / "a.hdf5").cylinder()
    reader = layouts.reader(tmp_path / "a.hdf5")
    with pytest.raises(InputError, match=r"no voxel is negative"):
        list(reader.stream(tmp_path / "a.hdf5", cylinder))
    (block,) = reader.stream(tmp_path / "a.hdf5", cylinder, any_values=True)
    assert np.array_equal(block.showers, atlas.read(tmp_path / "a.hdf5", cylinder).showers)
    assert reader.summary(tmp_path / "a.hdf5").rows == 23


def test_a_voxel_file_is_a_geometry_for_the_judge_its_active_layers(tmp_path, make):
    make(tmp_path / "a.hdf5", empty=[1])
    found = layouts.geometry(tmp_path / "a.hdf5")
    assert [(layer.id, layer.n_rings, layer.n_alpha) for layer in found.layers] == [(0, 5, 4), (12, 3, 2)]
    assert layouts.geometry("ds2").n_cells == 6480
    make(tmp_path / "b.hdf5", DEFAULT)
    with pytest.raises(InputError, match=r"geometry b, layer 0: has 1 x 1 \+ 2 x 4 bins"):
        layouts.geometry(tmp_path / "b.hdf5")
