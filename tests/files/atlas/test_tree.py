"""What is done with a tree: listed, rebuilt from jobs, concatenated, cleaned, checked; what does not fit is named."""

import json
import os
import shutil
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

import calojax
from calojax import cli, inspection
from calojax.errors import InputError
from calojax.files import atlas
from calojax.files.atlas import checking, deriving, describing, probabilities, rebuilding, statistics, tree

REGULAR = "eta_000/eta_000_regular_binning"
DEFAULT = "eta_005/eta_005_default_binning"


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_tree_is_listed_by_eta_and_binning_with_its_kinds_and_jobs(grow):
    one, other = tree.folders(grow())
    assert (one.eta, one.binning, list(one.files())) == (0, "regular", ["combined", "positive", "fine"])
    assert list(one.jobs()) == [0, 1, 2]
    assert all(list(files) == ["combined", "positive"] for files in one.jobs().values())
    assert (other.eta, other.binning, list(other.files()), other.jobs()) == (5, "default", ["combined"], {})


def test_rebuilt_files_hold_the_events_of_all_jobs_in_order_with_all_that_is_stored(grow, tmp_path):
    root = grow()
    found = rebuilding.rebuild(root, tmp_path / "out", progress=False)
    assert contents(tmp_path / "out") == [
        f"{REGULAR}/dataset_combined_positive_rebuilt.hdf5",
        f"{REGULAR}/dataset_combined_rebuilt.hdf5",
    ]
    assert [(each.jobs, each.events) for each in found] == [(3, 24)] * 2
    jobs = [root / REGULAR / str(job) / "dataset_combined.hdf5" for job in range(3)]
    with h5py.File(tmp_path / "out" / REGULAR / "dataset_combined_rebuilt.hdf5") as rebuilt:
        for key in ("incident_energy", "eta_mod", "energy_layer_0", "energy_layer_12"):
            parts = [h5py.File(path)[key][:] for path in jobs]
            assert rebuilt[key].dtype == parts[0].dtype and np.array_equal(rebuilt[key], np.concatenate(parts))
        cuts = [h5py.File(path)["probabilities_layer_1"][:] for path in jobs]
        assert np.allclose(rebuilt["probabilities_layer_1"], np.average(cuts, axis=0, weights=[7, 8, 9]))
        assert np.array_equal(rebuilt["probabilities_of_jobs_layer_1"], cuts)
        for key in ("binstart_alpha_layer_12", "binsize_radius_layer_0"):
            assert np.array_equal(rebuilt[key], h5py.File(jobs[0])[key])
    assert tree.folders(tmp_path / "out")[0].files().keys() == {"combined", "positive"}


def test_a_layer_that_a_job_has_not_is_empty_there(grow, tmp_path):
    root = grow()
    with h5py.File(root / REGULAR / "1" / "dataset_combined.hdf5", "a") as file:
        del file["energy_layer_12"]
    rebuilding.rebuild(root, tmp_path / "out", progress=False)
    with h5py.File(tmp_path / "out" / REGULAR / "dataset_combined_rebuilt.hdf5") as rebuilt:
        energy = rebuilt["energy_layer_12"][:]
        assert not energy[7:15].any() and energy[:7].any() and energy[15:].any()


def _remove_job(folder):
    shutil.rmtree(folder / "1")


def _remove_kind(folder):
    (folder / "2" / "dataset_combined_positive.hdf5").unlink()


def _move_ring(folder):
    with h5py.File(folder / "2" / "dataset_combined.hdf5", "a") as file:
        file["binsize_radius_layer_1"][16:] += 1


def _reverse(folder):
    with h5py.File(folder / "2" / "dataset_combined.hdf5", "a") as file:
        for key in ("binstart_alpha_layer_1", "binstart_radius_layer_1"):
            file[key][:] = file[key][:][::-1]


def _drop_layer(folder):
    with h5py.File(folder / "1" / "dataset_combined.hdf5", "a") as file:
        for key in [key for key in file if key.endswith("_layer_12")]:
            del file[key]


def _disorder(folder):
    with h5py.File(folder / "1" / "dataset_combined.hdf5", "a") as file:
        file["probabilities_layer_1"][5] = [0.5, 0.4, 0.9]


def _drop_key(folder):
    with h5py.File(folder / "1" / "dataset_combined.hdf5", "a") as file:
        del file["eta_mod"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_remove_job, rf"{REGULAR}/1: is missing, but the jobs 0 to 2 are needed"),
        (_remove_kind, rf"{REGULAR}/2: has no positive file, but job 0 has one"),
        (
            _move_ring,
            r"2/dataset_combined.hdf5, layer 1: has 5 x 4 bins, but .*0/.* edge 5 of the rings at 25 mm, not 26",
        ),
        (_reverse, r"2/dataset_combined.hdf5, layer 1: has 5 x 4 bins, but .* in another order"),
        (_drop_layer, r"1/dataset_combined.hdf5, layer 12: has no bins, but .*0/dataset_combined.hdf5 has some"),
        (_disorder, r"1/dataset_combined.hdf5, probabilities_layer_1, voxel 5: is 0.5, 0.4, 0.9"),
        (_drop_key, r"1/dataset_combined.hdf5, eta_mod: has nothing for each event, but .*0/dataset_combined.hdf5 has"),
    ],
)
def test_jobs_that_are_missing_or_of_another_geometry_are_named_and_nothing_is_written(grow, tmp_path, change, said):
    root = grow()
    change(root / REGULAR)
    with pytest.raises(InputError, match=said):
        rebuilding.rebuild(root, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_jobs_may_spell_the_incident_energy_differently(grow, tmp_path):
    root = grow()
    for kind in ("combined", "combined_positive"):
        with h5py.File(root / REGULAR / "1" / f"dataset_{kind}.hdf5", "a") as file:
            file["incident_energies"] = file["incident_energy"][:][:, None]
            del file["incident_energy"]
    rebuilding.rebuild(root, tmp_path / "out", progress=False)
    path = tmp_path / "out" / REGULAR / "dataset_combined_rebuilt.hdf5"
    jobs = [root / REGULAR / str(job) / "dataset_combined.hdf5" for job in range(3)]
    assert np.array_equal(atlas.read_energies(path), np.concatenate([atlas.read_energies(job) for job in jobs]))
    with h5py.File(path) as file:
        assert file["incident_energy"].shape == (24,) and "incident_energies" not in file


def test_info_says_which_jobs_are_missing(grow):
    root = grow()
    _remove_job(root / REGULAR)
    found = calojax.info(root)
    folder = found["folders"]["eta_000_regular_binning"]
    assert (folder["jobs"], folder["missing jobs"], folder["rebuilt"]["combined"]["events"]) == ([0, 2], [1], 16)
    assert "missing jobs: 1" in inspection.text(found)


def test_how_many_jobs_there_have_to_be_may_be_said(grow, tmp_path):
    with pytest.raises(InputError, match=r"regular_binning/3, .*/4: are missing, but the jobs 0 to 4 are needed"):
        rebuilding.rebuild(grow(), tmp_path / "out", jobs=5, progress=False)


def test_concatenating_and_cleaning_a_tree_gives_the_names_of_the_originals(grow, tmp_path):
    root = grow()
    with h5py.File(root / REGULAR / "dataset_combined.hdf5", "a") as file:
        file["energy_layer_1"][3, 2] = 1.5
    found = deriving.concatenate(root, progress=False)
    assert [(each.events, each.layers) for each in found] == [(23, (0, 1))] * 3 + [(11, (0, 2))]
    names = [f"dataset_{kind}_cat.hdf5" for kind in ("combined", "fine", "positive")]
    out = tmp_path / "atlas_cat"
    assert contents(out) == sorted([*(f"{REGULAR}/{name}" for name in names), f"{DEFAULT}/{names[0]}"])
    cleaned = deriving.clean(out, progress=False)
    assert [tuple(each) for each in cleaned.values()] == [(22, 1), (23, 0), (23, 0), (11, 0)]
    assert len(contents(out)) == 8 and (out / REGULAR / "dataset_fine_cat_clean.hdf5").is_file()
    said = calojax.info(out)
    assert len(said["files"]) == 8
    folder = said["folders"]["eta_000_regular_binning"]
    assert [folder[form]["combined"]["events"] for form in ("concatenated", "cleaned")] == [23, 22]
    assert folder["cleaned"]["combined"]["unit"] == "MeV" and "cleaned fine: 23 events" in inspection.text(said)
    for path in (root / DEFAULT / "dataset_combined.hdf5", out / DEFAULT / "dataset_combined_cat_clean.hdf5"):
        cells = atlas.geometry(path)
        assert [layer.n_alpha for layer in cells.layers] == [(1, 4, 4), (1, 2, 8, 8)]
        assert np.isclose(atlas.read(path, cells).showers.sum(), 0.9 * atlas.read_energies(path).sum(), rtol=1e-5)


def test_one_file_is_concatenated_beside_itself_with_chosen_layers(grow, tmp_path):
    source = grow() / REGULAR / "dataset_combined.hdf5"
    (found,) = deriving.concatenate(source, layers=[12, 1], progress=False)
    assert found == (source.with_name("dataset_combined_cat.hdf5"), 23, (1, 12))
    with pytest.raises(InputError, match=r"layer 7: is missing, but the file has 0, 1, 12"):
        deriving.concatenate(source, tmp_path / "x.hdf5", layers=[7], progress=False)


def test_statistics_are_those_of_the_arrays(make, tmp_path):
    incident, shares = make(tmp_path / "a.hdf5", negative=0.1, empty=[12], rows=50)
    found = statistics.of_file(tmp_path / "a.hdf5", progress=False)
    voxels = np.concatenate(list(shares.values()), axis=1)
    assert np.array_equal(found.incident, incident) and found.active == (0, 1) and found.nonzero[12] == 0
    assert np.allclose(found.sums, voxels.sum(1)) and np.allclose(found.clipped, voxels.clip(0).sum(1))
    assert np.array_equal(found.negatives, (voxels < 0).sum(1)) and found.lowest == pytest.approx(voxels.min())
    assert np.allclose(found.negative_sums, voxels.clip(max=0).sum(1))
    cells = atlas.geometry(tmp_path / "a.hdf5")
    kept = atlas.read(tmp_path / "a.hdf5", cells, dtype=np.float64).showers
    assert np.allclose(np.concatenate([found.voxels[id] for id in cells.ids]), kept.sum(0))


def test_incident_energies_that_differ_between_types_are_named_by_row(grow):
    root = grow()
    assert describing.check(root)["eta_000_regular_binning"]["events"] == 23
    with h5py.File(root / REGULAR / "dataset_combined_fine.hdf5", "a") as file:
        energy = file["incident_energy"][4]
        file["incident_energy"][4] = np.nextafter(energy, np.float32(np.inf))
    with pytest.raises(InputError, match=r"dataset_combined_fine.hdf5, row 4: the incident energy is .* and 1 events"):
        describing.check(root)


def test_types_with_other_numbers_of_events_are_refused(grow, make):
    root = grow()
    make(root / REGULAR / "dataset_combined_fine.hdf5", rows=20)
    with pytest.raises(InputError, match=r"dataset_combined_fine.hdf5: has 20 events, but .* has 23"):
        describing.check(root)


def test_positive_is_compared_with_combined_without_its_negative_voxels_up_to_rounding(grow):
    folder = grow() / REGULAR
    files = [folder / "dataset_combined.hdf5", folder / "dataset_combined_positive.hdf5"]
    found = checking.against_clipped(*files)
    assert found["agree"] and found["largest relative difference of a voxel"] == 0
    with h5py.File(files[1], "a") as file:
        energy = file["energy_layer_0"][:]
        file["energy_layer_0"][:] = energy * (1 + 2e-7)
        assert not np.array_equal(energy, file["energy_layer_0"])
    assert checking.against_clipped(*files)["agree"]
    with h5py.File(files[1], "a") as file:
        file["energy_layer_1"][2, np.argmax(file["energy_layer_1"][2])] *= 1.001
    found = checking.against_clipped(*files)
    assert (found["agree"], found["events that differ"], found["voxels that differ"]) == (False, 1, 1)
    assert found["largest relative difference of a voxel"] == pytest.approx(1e-3, rel=0.01)


def test_fine_voxels_are_added_up_within_the_coarse_ones(grow):
    folder = grow() / REGULAR
    files = [folder / "dataset_combined_fine.hdf5", folder / "dataset_combined.hdf5"]
    found = checking.fine_against_combined(*files)
    assert found["0"]["fine"] == "10 x 8" and found["0"]["each voxel has four"]
    assert found["0"]["relative difference"] < 1e-6 and found["12"]["relative difference"] == 0
    with h5py.File(files[0], "a") as file:
        file["energy_layer_0"][:] *= 1.5
    assert checking.fine_against_combined(*files)["0"]["relative difference"] == pytest.approx(0.5, rel=1e-5)


def test_info_of_a_tree_says_what_is_in_it(grow):
    found = calojax.info(grow())
    assert json.loads(json.dumps(found)) == found and found["kind"] == "ATLAS voxel tree"
    assert len(found["files"]) == 10 and f"{REGULAR}/2/dataset_combined_positive.hdf5" in found["files"]
    folder = found["folders"]["eta_000_regular_binning"]
    complete, rebuilt = folder["complete"]["combined"], folder["rebuilt"]["combined"]
    assert (complete["events"], complete["active layers"], complete["binning"]["12"]) == (23, [0, 1], "3 x 2")
    assert (rebuilt["events"], rebuilt["active layers"], folder["jobs"]) == (24, [0, 1, 12], [0, 1, 2])
    assert folder["complete against rebuilt"]["combined"] == {
        "active in complete only": [],
        "active in rebuilt only": [12],
        "layers with other bins": [],
    }
    assert (
        complete["negative voxels per event"]["mean"] > 1 and folder["complete"]["positive"]["lowest voxel (MeV)"] == 0
    )
    text = inspection.text(found)
    assert "complete combined: 23 events from " in text and "active in rebuilt only 12" in text
    assert "1 x 1 + 2 x 4 voxels in layer 0" in text


def test_info_of_a_file_says_the_same_of_it(grow):
    found = calojax.info(grow() / REGULAR / "dataset_combined.hdf5")
    assert found["kind"] == "ATLAS voxel file" and found["active layers"] == [0, 1]
    assert "23 events from " in inspection.text(found)


def test_probabilities_are_the_shares_of_four_sub_voxels(grow):
    (found, _) = describing.gather(grow(), progress=False)
    shares = found.shares["combined"][1]
    assert shares.shape == (3, 20, 4) and np.allclose(shares.sum(-1), 1) and shares.min() >= 0
    assert np.allclose(probabilities.shares(np.array([0.1, 0.4, 0.8])), [0.1, 0.3, 0.4, 0.2])
    said = describing.compare([found])["eta_000_regular_binning"]["probabilities"]["combined"]["1"]
    assert said["voxels"] == 20 and said["voxels without information"] == 0 and said["active"]


@pytest.mark.parametrize("what", ["missing", "file", "empty", "bare"])
def test_what_is_no_tree_is_refused(tmp_path, what):
    path = tmp_path / "tree"
    if what != "missing":
        path.write_text("") if what == "file" else path.mkdir()
    if what == "bare":
        (path / "eta_000").mkdir()
    with pytest.raises(InputError, match=r"tree: (does not exist|is no folder|holds no folder eta_XXX)"):
        rebuilding.rebuild(path, tmp_path / "out")


def test_the_command_line_does_all_of_it(grow, tmp_path, capsys):
    root = str(grow())
    assert cli.main(["atlas", "rebuild", root]) == 0
    assert cli.main(["atlas", "concatenate", root]) == 0
    assert cli.main(["atlas", "clean", f"{root}_cat"]) == 0
    assert cli.main(["atlas", "check", root, "--jobs", "3"]) == 0
    said = capsys.readouterr().out
    assert "24 events of 3 jobs" in said and "23 events kept, 0 removed" in said
    assert "3 jobs of one geometry with 24 events" in said and "positive is combined with negative voxels at 0" in said
    assert cli.main(["atlas", "concatenate", root]) == 2
    assert "dataset_combined_cat.hdf5: exists already" in capsys.readouterr().err
    assert cli.main(["atlas", "check", root, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["eta_000_regular_binning"]["events of jobs"] == [7, 8, 9]
    assert cli.main(["atlas", "check", root, "--jobs", "2"]) == 2
    assert "eta_000_regular_binning/2: is one job too many" in capsys.readouterr().err


KILLED = """
import os, sys
from pathlib import Path
from calojax.files.atlas import growing, {module}
append = growing.Growing.append
def die(self, arrays):
    append(self, arrays)
    os.kill(os.getpid(), 9)
growing.Growing.append = die
{module}.{call}
"""


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("rebuilding", "rebuild(Path(sys.argv[1]), Path(sys.argv[2]))"),
        ("deriving", "concatenate(Path(sys.argv[1]), Path(sys.argv[2]))"),
    ],
)
def test_a_kill_in_the_middle_leaves_nothing_under_the_final_name_and_nothing_in_the_way(grow, tmp_path, module, call):
    root, out = grow(), tmp_path / "out"
    code = KILLED.format(module=module, call=call)
    done = subprocess.run([sys.executable, "-c", code, root, out], capture_output=True, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert all(name.endswith(".partial") for name in contents(out))
    again = {"rebuilding": rebuilding.rebuild, "deriving": deriving.concatenate}[module](root, out, progress=False)
    assert len(again) == len(contents(out))


def test_of_the_large_tree_more_layers_are_active_in_the_jobs(large):
    found = calojax.info(large)["folders"]["eta_000_regular_binning"]
    assert found["complete"]["combined"]["events per layer"] == found["complete"]["positive"]["events per layer"]
    counts = [found["complete"]["positive"]["events per layer"][str(id)] for id in (0, 1, 2, 3, 12)]
    assert counts == [5359, 5971, 5996, 3818, 3069]
    assert found["complete against rebuilt"]["combined"]["active in rebuilt only"] == [4, 5, 6, 7, 8]
    assert found["complete"]["combined"]["negative voxels per event"]["mean"] == pytest.approx(10.9, abs=0.05)
    assert found["rebuilt"]["positive"]["events"] == 2000
