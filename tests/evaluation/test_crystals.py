"""Showers in a grid of crystals: read, judged, drawn."""

import re

import h5py
import numpy as np
import pytest

from calojax import evaluation, report
from calojax.errors import InputError
from calojax.evaluation import classifiers
from calojax.geometry import Grid

GRID = Grid("grid", 8, 6, 20.0, 0.001)


def images(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n,) and images (n, 6, 8): a round peak near the middle, moved in x by a shift in mm, with noise."""
    rng = np.random.default_rng(seed)
    incident = np.exp(rng.uniform(np.log(1e3), np.log(1e5), n))
    x, y = (GRID.centres[:, axis].reshape(6, 8) for axis in (0, 1))
    at = rng.uniform(-10, 10, (2, n, 1, 1))
    shape = np.exp(-np.hypot(x - at[0] - shift, y - at[1]) / 15) * rng.gamma(4, size=(n, 6, 8))
    shape[shape < 0.02] = 0
    return incident, (incident[:, None, None] * shape / shape.sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def written(path, energies, pictures):
    with h5py.File(path, "w") as file:
        file["energy"], file["images"] = energies, pictures
    return path


def test_a_file_of_images_is_judged_as_the_arrays_are(tmp_path):
    samples = images(300, 1), images(300, 2)
    files = [written(tmp_path / f"{i}.hdf5", *sample) for i, sample in enumerate(samples)]
    arrays = [(energies, pictures.reshape(300, -1)) for energies, pictures in samples]
    of_files = evaluation.judge(*files, GRID, level="quick", progress=False)
    of_arrays = evaluation.judge(*arrays, GRID, level="quick", progress=False)
    assert of_files.to_table()["metrics"] == of_arrays.to_table()["metrics"]


def test_features_are_those_of_the_crystals_places():
    pictures = images(50, 1)[1]
    moments = evaluation.layer_moments(pictures.reshape(50, -1).astype(np.float64), GRID)
    x = GRID.centres[:, 0].reshape(6, 8)
    centre = np.average(np.broadcast_to(x, pictures.shape), axis=(1, 2), weights=pictures)
    assert moments.ec_eta[:, 0] == pytest.approx(centre)
    assert moments.sparsity[:, 0] == pytest.approx(np.mean(pictures == 0, axis=(1, 2)))


def test_what_needs_layers_or_a_circle_is_left_out_and_the_rest_has_its_name(tmp_path):
    (e, x), (f, y) = images(400, 3), images(400, 4)
    found = evaluation.judge(
        (e, x.reshape(400, -1)), (f, y.reshape(400, -1)), GRID, out=tmp_path, level="quick", progress=False
    )
    names = set(found)
    assert {f"correlation.hits.{d}.{b}" for d in "xy" for b in range(4)} <= names
    assert {"separation.ec_eta.0", "fpd", "kpd", "prdc.recall", "frobenius.voxel", "response.0.mean"} <= names
    absent = {"correlation.hits.alpha.0", "correlation.hits.z.0", "frobenius.layer", "frobenius.patch_layer"}
    absent |= {"separation.hit_layers", "frobenius.within_layer.0", "frobenius.occupancy_within_layer.0"}
    assert not absent & names
    assert [line.title for line in evaluation.verdict(found) if line.level in (2, 3)] == []
    page = report.write(tmp_path, found, compare={"other": found}, progress=False).read_text()
    assert len(page) > 50_000
    said = re.sub(r"<style>.*?</style>|<code>.*?</code>|<details.*?</details>|data:[^\"]+", "", page, flags=re.S)
    assert not re.findall(r"\b(?:layers?|rings?|alpha|eta|phi|circle|[Cc]ylinders?)\b", said)
    assert {"centre in x", "hit crystals per shower"} <= {line.title for line in evaluation.verdict(found)}


def test_a_convolutional_network_cannot_see_crystals():
    assert not classifiers.possible("cnn", GRID)
    assert all(classifiers.possible(kind, GRID) for kind in ("low", "low_normed", "high"))


def test_a_shift_of_the_response_by_less_than_a_percent_is_seen():
    """The images of `images` hold all the energy; here it is smeared by 0.4 %, as crystals do."""
    smeared = lambda seed, scale: (1 + 0.004 * np.random.default_rng(seed).normal(size=(400, 1))) * scale
    (e, x), (f, y) = images(400, 1), images(400, 2)
    samples = (e, x.reshape(400, -1) * smeared(1, 0.99)), (f, y.reshape(400, -1) * smeared(2, 0.984))
    one = evaluation.judge(*samples, GRID, level="quick", progress=False)["separation.e_tot"]
    assert one.value > one.more["floor_at_counts"] + 5 * one.error
    assert one.more["outside_generated"] == 0


def test_a_shift_is_seen_in_the_direction_of_the_shift():
    (e, x), (f, y) = images(400, 1), images(400, 2, shift=8.0)
    found = evaluation.judge((e, x.reshape(400, -1)), (f, y.reshape(400, -1)), GRID, level="quick", progress=False)
    sigmas = {
        name: (found[name].value - found[name].more["floor_at_counts"]) / found[name].error
        for name in ("wasserstein.ec_eta.0", "wasserstein.ec_phi.0")
    }
    assert sigmas["wasserstein.ec_eta.0"] > 8 and abs(sigmas["wasserstein.ec_phi.0"]) < 4


@pytest.mark.parametrize(
    ("changed", "geometry", "said"),
    [
        ({}, "ds2", "images: is of crystals"),
        ({}, "crystals-20x20", r"images: has images of 6 x 8 crystals"),
        ({"energy": np.zeros(3)}, GRID, "energy, row 0: the energy is 0"),
        ({"images": np.full((3, 6, 8), np.nan)}, GRID, "images, row 0, crystal 0: the energy is nan"),
        ({"images": np.ones((2, 6, 8))}, GRID, r"images: has the shape \(2, 6, 8\)"),
        ({"energy": None}, GRID, "energy: is missing"),
    ],
)
def test_images_that_are_none(tmp_path, changed, geometry, said):
    content = {"energy": np.full(3, 1e4), "images": np.ones((3, 6, 8))} | changed
    with h5py.File(tmp_path / "bad.hdf5", "w") as file:
        for key, value in content.items():
            if value is not None:
                file[key] = value
    with pytest.raises(InputError, match=rf"bad\.hdf5, {said}"):
        evaluation.judge(tmp_path / "bad.hdf5", tmp_path / "bad.hdf5", geometry, level="quick", progress=False)
