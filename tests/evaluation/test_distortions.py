"""The judge judged: showers spoiled in a known way are seen by what has to see them, and by nothing that cannot."""

import numpy as np
import pytest

from benchmarks import distortions
from calojax import evaluation, geometry
from calojax.files import calochallenge

N = 800
SEES = {  # distortion: metrics that must see it, metrics that cannot
    "none": ((), tuple(distortions.METRICS)),
    "energy x 1.01": (("response.<bin>.mean",), ("hits.<bin>.mean", "fpd", "kpd", "frobenius.voxel", "prdc.coverage")),
    "energy x 1.05": (
        ("response.<bin>.mean", "separation.e_tot", "wasserstein.e_tot"),
        ("hits.<bin>.mean", "fpd", "kpd", "frobenius.voxel", "frobenius.layer", "correlation.hits.z.<bin>"),
    ),
    "layers swapped": (
        ("correlation.hits.z.<bin>", "fpd", "frobenius.layer_sparsity"),
        ("separation.e_tot", "response.<bin>.mean", "separation.n_hits", "correlation.hits.alpha.<bin>"),
    ),
    "alpha shuffled": (
        ("correlation.hits.alpha.<bin>", "correlation.hits.r.<bin>", "fpd", "prdc.precision"),
        ("separation.e_tot", "separation.n_hits", "separation.ec_r.<layer>", "frobenius.layer", "separation.voxel"),
    ),
    "5 % of cells dropped": (
        ("response.<bin>.mean", "response.<bin>.width", "separation.e_tot"),
        ("kpd", "frobenius.voxel", "separation.voxel"),
    ),
    "each three times": (
        ("prdc.recall", "prdc.coverage", "frobenius.voxel"),
        ("response.<bin>.mean", "separation.e_tot", "correlation.hits.alpha.<bin>", "memorisation.share"),
    ),
    "training showers": (("memorisation.share",), tuple(set(distortions.METRICS) - {"memorisation.share"})),
}


@pytest.fixture(scope="module")
def spoiled(toy, draw):
    reference, train = draw(N, 1), draw(3 * N, 3)

    def judge(distortion: str) -> evaluation.Metrics:
        first = tuple(part[: 2 * N] for part in train)
        return evaluation.judge(
            reference, distortions.sample(distortion, train, toy), toy, train=first, level="quick", progress=False
        )

    return judge


@pytest.mark.parametrize("distortion", SEES)
def test_a_fault_is_seen_where_it_is(spoiled, distortion):
    found = distortions.largest(spoiled(distortion))
    seen, unseen = SEES[distortion]
    assert {name: found[name] for name in seen if not found[name] > distortions.SEEN} == {}
    assert {name: found[name] for name in unseen if not found[name] < distortions.SEEN} == {}


def test_repeated_and_copied_showers_are_counted(spoiled):
    inspected = spoiled("each three times").inputs["inspection"]["generated"]
    assert inspected["duplicate"] == pytest.approx(2 * N / 3, abs=10)  # but for showers without hits
    assert spoiled("training showers").inputs["inspection"]["generated"]["copied"] > 0.98 * N


def test_the_distortions_do_what_they_say(toy, draw):
    rng = np.random.default_rng(0)
    showers = draw(100, 1)[1]
    layers = lambda x: np.add.reduceat(x, toy.layer_offsets[:-1], axis=1)
    rings = lambda x: x.reshape(100, 5, 6, 4).sum(axis=2)
    swapped = distortions.swapped(showers, toy, rng)
    assert np.array_equal(layers(swapped)[:, [0, 2, 1, 3, 4]], layers(showers))
    shuffled = distortions.shuffled(showers, toy, rng)
    assert np.allclose(rings(shuffled), rings(showers), rtol=1e-5)
    assert not np.array_equal(shuffled, showers)
    assert np.mean(distortions.dropped(showers, toy, rng)[showers > 0] == 0) == pytest.approx(0.05, abs=0.01)
    rounded = distortions.rounded(np.array([[0.0, 1.249, 98765.0, 0.0999]], np.float32), toy, rng)
    assert np.allclose(rounded, [[0.0, 1.2, 99000.0, 0.1]])


OF_REAL_SHOWERS = {
    "none": (),
    "layers swapped": ("separation.e_layer.<layer>", "separation.ec_r.<layer>", "fpd", "prdc.coverage"),
    "rounded to 2 digits": ("separation.voxel",),
}


@pytest.mark.slow
@pytest.mark.parametrize("distortion", OF_REAL_SHOWERS)
def test_faults_of_simulated_showers_are_seen(data, distortion):
    g, n = geometry.load("ds2"), 600
    reference = calochallenge.read(data / "egs_ds2_val.hdf5", g, slice(n))
    train = calochallenge.read(data / "egs_ds2_train.hdf5", g, slice(3 * n))
    first = train.incident_energy[: 2 * n], train.showers[: 2 * n]
    found = distortions.largest(
        evaluation.judge(
            reference, distortions.sample(distortion, train, g), g, train=first, level="quick", progress=False
        )
    )
    seen = {name for name, sigmas in found.items() if sigmas > distortions.SEEN}
    assert set(OF_REAL_SHOWERS[distortion]) <= seen
    assert distortion == "layers swapped" or len(seen) == len(OF_REAL_SHOWERS[distortion])
