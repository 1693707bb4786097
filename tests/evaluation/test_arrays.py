"""What every metric refuses in one sentence, and what it takes as it comes."""

import numpy as np
import pytest

from calojax import evaluation, geometry
from calojax.errors import InputError

CLOUDS = {
    "fpd": lambda x, y: evaluation.fpd(x, y, min_samples=20, max_samples=100),
    "kpd": lambda x, y: evaluation.kpd(x, y, batch_size=20),
    "frechet": evaluation.frechet_distance,
    "prdc": evaluation.prdc,
    "frobenius": evaluation.frobenius_distance,
    "classifier": lambda x, y: evaluation.classifier_test(x, y, epochs=1, seeds=1, width=8),
}
SERIES = {
    "wasserstein": evaluation.wasserstein_distance,
    "separation": lambda x, y: evaluation.separation_power(x, y, np.linspace(-3, 3, 7)),
}
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(2, 50, 3))


def with_one(x, value):
    x = np.array(x)
    x.flat[-1] = value
    return x


@pytest.mark.parametrize("metric", CLOUDS.values(), ids=CLOUDS)
@pytest.mark.parametrize(
    ("y", "words"),
    [
        (with_one(Y, np.nan), "generated, row 49, column 2: is nan"),
        (with_one(Y, np.inf), "row 49, column 2: is inf"),
        (Y[:, :2], "3 and 2 columns"),
        (Y[:, 0], "shape"),
        (Y[:0], "shape"),
        ([[1.0], [2.0, 3.0]], "no array"),
        ("abc", "no array"),
    ],
)
def test_clouds_of_points_that_cannot_be_compared(metric, y, words):
    with pytest.raises(InputError, match=words):
        metric(X, y)


@pytest.mark.parametrize("metric", [CLOUDS[name] for name in ("fpd", "kpd", "frechet", "prdc", "frobenius")])
def test_points_may_be_lists_but_not_a_single_one(metric):
    assert metric(X.tolist(), Y.tolist()) == metric(X, Y)
    with pytest.raises(InputError, match=r"shape \(1, 3\)"):
        metric(X[:1], Y)


@pytest.mark.parametrize("metric", SERIES.values(), ids=SERIES)
def test_series_that_cannot_be_compared(metric):
    assert metric(X[:, 0].tolist(), Y[:, 0].tolist()) == metric(X[:, 0], Y[:, 0])
    for y in (with_one(Y[:, 0], np.nan), Y, Y[:0, 0]):
        with pytest.raises(InputError, match="generated"):
            metric(X[:, 0], y)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda e, s: (e, s[:, :-1]), "120 cells"),
        (lambda e, s: (e, np.hstack([s, s])), "120 cells"),
        (lambda e, s: (e, s.reshape(-1, 5, 6, 4)), "120 cells"),
        (lambda e, s: (e[:1], s[0]), "120 cells"),
        (lambda e, s: (e[:-1], s), "7 energies for 8 showers"),
        (lambda e, s: (1e4, s), "1 energies for 8 showers"),
        (lambda e, s: (0 * e, s), "row 0: the energy is 0.0"),
        (lambda e, s: (e, with_one(s, np.nan)), "showers, row 7, column 119: is nan"),
        (lambda e, s: (e, with_one(s, np.inf)), "is inf"),
    ],
)
def test_showers_that_have_no_features(toy, draw, spoil, words):
    energies, showers = spoil(*draw(8, 0))
    with pytest.raises(InputError, match=words):
        evaluation.shower_features(showers, energies, toy)


def test_features_of_whole_numbers_half_floats_lists_and_columns(toy, draw):
    energies, showers = draw(8, 0)
    whole = np.round(np.minimum(showers, 6e4))
    expected = evaluation.shower_features(whole, energies, toy)
    for kind in (np.int32, np.uint16, np.float32):
        assert np.array_equal(evaluation.shower_features(whole.astype(kind), energies, toy), expected)
    assert np.array_equal(evaluation.shower_features(whole.tolist(), energies[:, None].tolist(), toy), expected)
    half = whole.astype(np.float16)
    assert np.array_equal(
        evaluation.shower_features(half, energies, toy), evaluation.shower_features(half.astype(float), energies, toy)
    )


def test_a_geometry_may_be_given_by_its_name():
    showers = rng.gamma(0.2, size=(30, 368)) * 50
    given = np.full(30, 1e4), showers
    photons = geometry.load("ds1-photons")
    for name in ("shower_features", "layer_moments"):
        args = (showers, given[0])[: 2 if name == "shower_features" else 1]
        found, expected = (getattr(evaluation, name)(*args, g) for g in ("ds1-photons", photons))
        assert np.array_equal(found, expected)
    assert evaluation.feature_names("ds1-photons") == evaluation.feature_names(photons)
    assert len(evaluation.inspect(given, "ds1-photons")) == 30
    assert evaluation.memorisation_share(given, given, given, "ds1-photons").share == 0.5


def test_quantities_against_energy_need_finite_ones():
    energies = np.array([1e3, 2e3, 4e3, 8e3])
    bins = evaluation.energy_bins(energies)
    for metric in (evaluation.response, evaluation.hits_at_energy):
        for y, e in (([1, 2, 3, np.nan], energies), (energies, energies[:3]), (energies, 0 * energies)):
            with pytest.raises(InputError):
                metric(y, e, bins)
    with pytest.raises(InputError, match="row 1"):
        evaluation.energy_bins([1e3, np.nan])
    with pytest.raises(InputError, match="hits"):
        evaluation.hit_probability(np.zeros(5, bool))
