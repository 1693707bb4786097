"""Distances of clouds of points: the values of the public programs on deterministic arrays, and what they must obey."""

import numpy as np
import pytest
from scipy import stats

from calojax import evaluation, geometry
from calojax.evaluation import distances, frechet, inspection, kernel, neighbours, wasserstein


def uniform(n, d, offset=0):
    """(n, d) in [0, 1) of a counter's hash: the arrays that the public programs were run on."""
    counter = np.arange(offset * d, (n + offset) * d, dtype=np.uint64).reshape(n, d)
    x = counter * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def mixed(y):
    return np.column_stack([y[:, 0], y[:, :2].mean(axis=1), y[:, 2:]])


@pytest.fixture(scope="module")
def x():
    return uniform(20_000, 16)


@pytest.mark.parametrize(
    ("change", "fpd", "plain", "kpd"),
    [
        (lambda y: y, (6.78889e-4, 4.1855e-5), 6.4962e-4, (-8.8318e-5, 1.6451e-4)),
        (lambda y: y**1.1, (9.330289e-3, 1.1033e-4), 9.410619e-3, (6.467264e-3, 9.4495e-4)),
        (mixed, (2.8401361e-2, 7.6695e-5), 2.8538132e-2, (9.2567e-5, 1.6101e-4)),
    ],
)
def test_the_values_of_jetnet(x, change, fpd, plain, kpd):
    y = change(uniform(20_000, 16, 20_000))
    assert evaluation.fpd(x, y, min_samples=5000, max_samples=20_000) == pytest.approx(fpd, rel=5e-5)
    assert evaluation.frechet_distance(x, y) == pytest.approx(plain, rel=1e-5)
    assert evaluation.kpd(x, y, batch_size=2000) == pytest.approx(kpd, rel=1e-4, abs=1e-8)


def test_the_values_of_jetnet_at_the_settings_of_the_protocol():
    x, y = uniform(50_000, 16), uniform(50_000, 16, 50_000) ** 1.1
    assert evaluation.fpd(x, y) == pytest.approx((9.430841e-3, 1.0572e-4), rel=2e-5)
    assert evaluation.kpd(x, y, batch_size=5000) == pytest.approx((6.310191e-3, 5.3484e-4), rel=1e-4)


def test_the_values_of_jetnet_with_fewer_showers_than_features_in_a_draw(array_k):
    """Features of ds2; draws of 200 to 500 of 500 rows in 362 dimensions, many of them dependent."""
    g = geometry.load("ds2")
    distorted = 1.02 * array_k("ds2", 500, 1000)
    distorted[:, ::7] = 0
    energies = np.full(500, 200_000.0)
    a, b = (evaluation.shower_features(s, energies, g) for s in (array_k("ds2", 0, 500), distorted))
    assert b.sum() == pytest.approx(114484.89025970866)
    assert evaluation.frechet_distance(a, b) == pytest.approx(13.50155, rel=1e-6)
    found = evaluation.fpd(a, b, min_samples=200, max_samples=500, num_batches=5, num_points=4)
    assert found == pytest.approx((13.73224, 0.11206), rel=1e-3)
    assert evaluation.kpd(a, b, batch_size=400) == pytest.approx((7.7765e-3, 1.3744e-3), rel=1e-3)


def test_shifted_constants_are_as_far_apart_as_they_are():
    x = np.random.default_rng(0).normal(size=(1000, 3))
    x[0] = 100.0  # the largest of each column: distances are in units of it
    assert evaluation.frechet_distance(x, x + np.array([3.0, 0.0, 4.0])) == pytest.approx(25 / 100**2)
    assert evaluation.frechet_distance(x, x) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 40])
def test_constant_features_and_few_rows_give_numbers(n):
    x = np.column_stack([np.ones(n), np.zeros(n), np.arange(n)])
    y = np.column_stack([np.ones(n), np.ones(n), np.arange(n)[::-1]])
    assert evaluation.frechet_distance(x, y) == pytest.approx(1.0)
    assert np.isfinite(evaluation.fpd(x, y, min_samples=max(n, 5), max_samples=5 * n)).all()
    assert np.isfinite(evaluation.kpd(x, y, batch_size=n)).all()


def test_kpd_is_the_same_with_one_kernel_for_all_batches_and_with_one_for_each(x, monkeypatch):
    y = uniform(3000, 16, 20_000) ** 1.1
    calls = []
    work = kernel._discrepancies
    monkeypatch.setattr(kernel, "_discrepancies", lambda *a: (calls.append(a), work(*a))[1])
    assert evaluation.kpd(x[:3000], y, batch_size=500) == pytest.approx(jetnet_kpd(x[:3000], y, 500), rel=1e-4)
    assert len(calls) == 10
    assert evaluation.kpd(x[:3000], y, batch_size=2000) == pytest.approx(jetnet_kpd(x[:3000], y, 2000), rel=1e-4)
    assert len(calls) == 11


def jetnet_kpd(x, y, size):
    """The definition, batch by batch, in float64."""
    x, y = frechet.normalised(x, y)
    values = []
    for batch in range(10):
        rng = np.random.default_rng(42 + 1000 * batch)
        a, b = x[rng.choice(len(x), size)], y[rng.choice(len(y), size)]
        k = lambda u, v: (u @ v.T / u.shape[1] + 1) ** 4
        within = sum(m.sum() - np.trace(m) for m in (k(a, a), k(b, b))) / (size * (size - 1))
        values.append(within - 2 * k(a, b).mean())
    low, high = np.percentile(values, [16.275, 83.725])
    return np.median(values), (high - low) / 2


def clouds():
    x, y = uniform(2000, 8), uniform(2000, 8, 2000) ** 1.1
    y[:500, 2] = 0.5
    return x, y


def test_the_values_of_prdc():
    assert evaluation.prdc(*clouds()) == pytest.approx((0.979, 0.9825, 0.9581, 0.955))


def test_prdc_does_not_depend_on_order_or_tiles_and_hardly_on_the_precision(monkeypatch):
    x, y = clouds()
    found = neighbours.prdc(x, y)
    order = np.random.default_rng(0).permutation(2000)
    monkeypatch.setattr(neighbours, "_TILE", 300)
    assert neighbours.prdc(x[order], y[order[::-1]]) == pytest.approx(found)
    assert neighbours.prdc(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(found, abs=2e-3)


def test_the_errors_of_prdc_cover_its_spread():
    rng = np.random.default_rng(0)
    draws = [neighbours.count(rng.normal(size=(300, 6)), 1.3 * rng.normal(size=(300, 6))) for _ in range(40)]
    spread = np.std([one.values for one in draws], axis=0)
    ratio = np.mean([one.errors for one in draws], axis=0) / spread
    assert (ratio > 0.75).all() and (ratio < 2.5).all()


def test_prdc_of_a_set_with_itself_and_with_another_far_away():
    x, _ = clouds()
    assert neighbours.prdc(x, x)[:2] == (1.0, 1.0)
    assert neighbours.prdc(x, x).coverage == 1.0
    assert neighbours.prdc(x, x + 100) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("n", "m"), [(500, 500), (300, 701), (1, 5)])
def test_the_wasserstein_distance_of_scipy(n, m):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), np.round(rng.normal(size=m) ** 3, 1)
    assert evaluation.wasserstein_distance(x, y) == pytest.approx(stats.wasserstein_distance(x, y))


def test_the_error_of_the_wasserstein_distance_is_its_spread():
    rng = np.random.default_rng(0)
    draws = [wasserstein.with_errors(rng.normal(size=(400, 1)), rng.normal(1.0, size=(400, 1))) for _ in range(60)]
    spread = np.std([one.value[0] for one in draws])
    assert np.mean([one.error[0] for one in draws]) == pytest.approx(spread, rel=0.3)


def test_log_voxels_count_empty_ones_as_a_tenth(toy, draw):
    energies, showers = draw(50, 0)
    found, _ = inspection.read((energies, showers), toy, name="x")
    cut = np.where(showers >= np.float32(toy.threshold), showers, 0)
    wanted = np.log10(np.where(cut > 0, cut, 0.1)) + 1
    np.testing.assert_allclose(neighbours.log_voxels(found, np.arange(50)), wanted, atol=1e-5)


def test_judged_distances_name_the_sizes_of_their_draws(judged):
    assert dict(judged["fpd"].more)["min_samples"] == 800
    assert dict(judged["fpd"].more)["max_samples"] == 4000
    assert dict(judged["kpd"].more)["batch_size"] == 800
    assert dict(judged["prdc.coverage"].more)["rows"] == 800
    assert judged["frechet"].value == pytest.approx(judged["frechet"].floor, rel=0.5)


def test_jetnet_itself(x):
    metrics = pytest.importorskip("jetnet.evaluation.gen_metrics", reason="jetnet is in no environment of ours")
    y = uniform(20_000, 16, 20_000) ** 1.2
    assert evaluation.fpd(x, y) == pytest.approx(metrics.fpd(x, y, min_samples=10_000), rel=1e-4)
    assert evaluation.kpd(x, y, batch_size=1000) == pytest.approx(metrics.kpd(x, y, batch_size=1000), rel=1e-3)


def test_prdc_itself():
    public = pytest.importorskip("prdc", reason="prdc is in no environment of ours")
    x, y = clouds()
    assert evaluation.prdc(x, y)._asdict() == pytest.approx(public.compute_prdc(x, y, nearest_k=5))


def test_too_few_showers_have_reasons(toy, draw):
    found = evaluation.judge(draw(5, 0), draw(5, 1), toy, level="quick", progress=False)
    assert found["fpd"].reason == f"fewer than {distances._ENOUGH} showers"
    assert found["prdc.density"].reason == "fewer than 6 showers"


class Cloud:
    """What the distances of features ask of a digested sample."""

    def __init__(self, features):
        self.features = features

    def __len__(self):
        return len(self.features)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_error_of_fpd_is_its_spread_over_samples_and_not_that_of_the_fit(shift):
    rng = np.random.default_rng(0)
    found = [
        distances.of_features(*(Cloud(rng.normal(x, 1, size=(300, 4))) for x in (0, shift)))["fpd"] for _ in range(12)
    ]
    spread = np.std([one.value for one in found], ddof=1)
    print(spread, np.mean([one.error for one in found]), np.mean([one.more["fit_error"] for one in found]))
    assert 0.6 < np.mean([one.error for one in found]) / spread < 2.5
    assert np.mean([one.more["fit_error"] for one in found]) < 0.4 * spread


@pytest.mark.parametrize(("n", "m", "known"), [(31, 200, True), (30, 200, False), (200, 30, False)])
def test_fpd_needs_more_showers_than_features(n, m, known):
    rng = np.random.default_rng(0)
    found = distances.of_features(*(Cloud(rng.normal(size=(k, 30))) for k in (n, m)))
    assert np.isfinite(found["fpd"].value) == known and np.isfinite(found["frechet"].value)
    assert known or found["fpd"].reason == "no more showers (30) than features (30): see `frechet`"
