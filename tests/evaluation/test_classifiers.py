"""Classifier tests: sizes of the networks, AUC and calibration, splits without leaks, going on where it was left."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from scipy import stats

from calojax import digests, evaluation, geometry
from calojax.errors import InputError
from calojax.evaluation import classifiers, features
from calojax.evaluation.classifiers import calibration, inputs, networks, resnet, splits, training
from calojax.evaluation.classifiers.splits import Counts
from calojax.evaluation.sources import Block
from calojax.evaluation.sparse import Builder

PARAMETERS = {
    "ds1-photons": {"low": 9_152_513, "low_normed": 9_162_753, "high": 8_458_241},
    "ds1-pions": {"low": 9_490_433, "low_normed": 9_504_769, "high": 8_491_009},
    "ds2": {"low": 21_669_889, "low_normed": 21_762_049, "high": 9_138_177, "cnn": 2_516_644},
    "ds3": {"low": 91_342_849, "low_normed": 91_435_009, "high": 9_138_177, "cnn": 2_516_644},
}


@pytest.fixture(scope="module")
def sparse(toy, draw):
    """Sparse showers of the toy."""

    def make(n: int, seed: int):
        builder = Builder(toy.n_cells, toy.threshold)
        builder.add(Block(*draw(n, seed)))
        return builder.done()

    return make


# ---- networks


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in PARAMETERS.items() for kind in kinds])
def test_the_networks_have_the_protocols_parameters(name, kind):
    network = inputs.network(kind, geometry.load(name), np.float32)
    params, state = jax.eval_shape(network.init, jax.random.key(0))
    assert networks.size(params) == PARAMETERS[name][kind]
    if kind == "cnn":  # with the number of batches that each of the protocol's batch norms counts
        assert networks.size(state) + len(state) == 2_903
        assert network.flop == pytest.approx({"ds2": 79.6e6, "ds3": 418e6}[name], rel=1e-3)


def test_a_cnn_needs_layers_that_are_binned_alike():
    photons = geometry.load("ds1-photons")
    assert not inputs.possible("cnn", photons)
    assert inputs.possible("low", photons)
    with pytest.raises(InputError, match="binned alike"):
        inputs.network("cnn", photons, np.float32)


def test_weights_start_as_in_pytorch():
    layer = networks.linear(jax.random.key(0), 400, 300, jnp.float32)
    for array in layer:
        assert float(jnp.abs(array).max()) == pytest.approx(0.05, rel=0.02)
        assert float(array.std()) == pytest.approx(0.05 / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize(("shape", "kernel", "stride"), [((9, 5, 4), 3, 2), ((4, 5, 3), 3, 1), ((11, 8, 6), 7, 2)])
@pytest.mark.parametrize("dense", [0, 1000])
def test_all_forms_of_a_convolution_are_the_convolution(monkeypatch, shape, kernel, stride, dense):
    monkeypatch.setattr(resnet, "_DENSE", dense)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *shape, 3)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(kernel, kernel, kernel, 3, 5)), jnp.float32)
    edge = [(kernel // 2, kernel // 2)] * 3
    wanted = lax.conv_general_dilated(x, w, (stride,) * 3, edge, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))
    for form in (resnet._folded, resnet._whole, resnet.convolve):
        np.testing.assert_allclose(form(x, w, stride), wanted, atol=2e-4)


def test_the_cnn_pools_the_largest_of_27():
    x = np.random.default_rng(0).normal(size=(1, 5, 4, 3, 2)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    window = lambda z, a, r: padded[:, 2 * z : 2 * z + 3, 2 * a : 2 * a + 3, 2 * r : 2 * r + 3].max((1, 2, 3))
    wanted = np.stack([window(z, a, r) for z in range(3) for a in range(2) for r in range(2)], 1)
    np.testing.assert_array_equal(resnet._max_pool(jnp.asarray(x)), wanted.reshape(1, 3, 2, 2, 2))


def test_the_cnn_keeps_running_statistics(monkeypatch):
    monkeypatch.setattr(resnet, "_GROUPS", ((4, 1), (8, 2)))
    network = resnet.resnet.__wrapped__((4, 3, 2))
    params, state = jax.jit(network.init)(jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(5, 25)).astype(np.float32)
    apply = jax.jit(network.apply, static_argnums=3)
    logits, new = apply(params, state, x, True)
    assert logits.shape == (5,)
    np.testing.assert_allclose(new[-1].mean, 0.1 * x[:, :1].mean(0), rtol=1e-5)
    np.testing.assert_allclose(new[-1].variance, 0.9 + 0.1 * x[:, :1].var(0, ddof=1), rtol=1e-5)
    scored, same = apply(params, new, x, False)
    assert jax.tree.all(jax.tree.map(np.array_equal, same, new))
    mixed, _ = apply(params, new, np.concatenate([x[:1], 3 * x[1:]]), False)
    np.testing.assert_allclose(mixed[0], scored[0], rtol=1e-5)  # no shower of a batch changes what another one gets


# ---- inputs


def test_inputs_are_those_of_the_protocol(toy, draw, sparse):
    energies, showers = draw(6, 1)
    showers[2] = 0
    rows, taken = np.array([4, 2, 5]), sparse(6, 1)
    builder = Builder(toy.n_cells, toy.threshold)
    builder.add(Block(energies, showers))
    taken, showers = builder.done(), np.where(showers >= toy.threshold, showers, 0).astype(np.float64)[rows]
    energies, log_energies = energies[rows], np.log10(energies[rows])[:, None]
    layers = np.add.reduceat(showers, toy.layer_offsets[:-1], axis=1)
    normed = showers / (np.repeat(layers, np.diff(toy.layer_offsets), axis=1) + 1e-16)
    wanted = {
        "low": np.hstack([log_energies, showers / energies[:, None]]),
        "low_normed": np.hstack([log_energies, normed, np.log10(layers + 1e-8)]),
        "high": features.shower_features(showers, energies, toy),
    }
    for kind, values in wanted.items():
        for dtype in (np.float32, np.float64):
            found = inputs.of_showers(taken, toy, kind, dtype).rows(rows)
            assert found.dtype == dtype
            assert found.shape[1] == inputs.width(kind, toy)
            np.testing.assert_allclose(found, values, rtol=2e-6, atol=1e-7)


def test_rows_of_several_sets_come_in_the_order_asked_for():
    sets = [np.arange(4.0)[:, None], 10 + np.arange(3.0)[:, None], 20 + np.arange(2.0)[:, None]]
    together = inputs.stacked([inputs.of_array(one, np.float64) for one in sets])
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_array_equal(together.rows(order), np.concatenate(sets)[order])


# ---- calibration


@pytest.mark.parametrize("levels", [3, 10, 100_000])
def test_auc_is_the_share_of_pairs(levels):
    rng = np.random.default_rng(levels)
    positive, negative = rng.integers(0, levels, 120) + levels // 3, rng.integers(0, levels, 90)
    pairs = positive[:, None] - negative
    wanted = np.mean(pairs > 0) + np.mean(pairs == 0) / 2
    assert calibration.auc(positive, negative) == pytest.approx(wanted)
    statistic = stats.mannwhitneyu(positive, negative).statistic
    assert calibration.auc(positive, negative) == pytest.approx(statistic / (120 * 90))
    area = np.trapezoid(calibration.roc(positive, negative), calibration.roc_grid())
    assert area == pytest.approx(wanted, abs=0.01)


def test_the_curve_of_perfect_and_of_useless_outputs():
    assert calibration.roc(np.full(5, 2.0), np.ones(5)).min() == 1.0
    np.testing.assert_allclose(calibration.roc(np.ones(5), np.ones(5)), calibration.roc_grid())


def test_the_error_of_an_auc_is_the_spread_of_samples():
    rng, n = np.random.default_rng(0), 1000
    assert calibration.auc_error(0.5, n, n) == pytest.approx(np.sqrt((2 * n + 1) / (12 * n**2)))
    drawn = [calibration.auc(rng.exponential(size=50) * 3, rng.exponential(size=80)) for _ in range(2000)]
    assert calibration.auc_error(float(np.mean(drawn)), 50, 80) == pytest.approx(np.std(drawn), rel=0.05)


def test_calibration_is_the_isotonic_fit():
    """Against the definition: the fit at i is the largest, over first <= i, of the least mean, over last >= i."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 25, 80) / 25
    labels = rng.uniform(size=80) < x
    places = np.unique(x)
    mean = lambda first, last: labels[(x >= places[first]) & (x <= places[last])].mean()
    m = len(places)
    wanted = [max(min(mean(a, b) for b in range(i, m)) for a in range(i + 1)) for i in range(m)]
    found = calibration.isotonic(x, labels, places)
    np.testing.assert_allclose(found, np.clip(wanted, 1e-6, 1 - 1e-6))
    between = (places[3] + places[4]) / 2
    assert calibration.isotonic(x, labels, np.array([between]))[0] == pytest.approx((found[3] + found[4]) / 2)
    np.testing.assert_array_equal(calibration.isotonic(x, labels, np.array([-9.0, 9.0])), found[[0, -1]])


def test_jsd_is_that_of_known_densities():
    """Labels drawn with known probabilities: the divergence is 1 - the mean entropy of a label, in bits."""
    rng = np.random.default_rng(0)
    logits = rng.choice([-2.0, 0.0, 2.0], 40_000)
    p = 1 / (1 + np.exp(-logits))
    labels = rng.uniform(size=len(p)) < p
    wanted = 1 + np.mean(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    found = calibration.quality(logits[:20_000], labels[:20_000], logits[20_000:], labels[20_000:])
    assert found.jsd == pytest.approx(wanted, abs=4 * found.jsd_error)
    assert 0 < found.jsd_error < 0.01


# ---- splits


@settings(max_examples=60, deadline=None)
@given(
    st.integers(splits.FEWEST, 400) | st.integers(splits.CROSS_FIT_BELOW - 2, splits.CROSS_FIT_BELOW + 9),
    st.integers(splits.FEWEST, 400) | st.integers(splits.CROSS_FIT_BELOW - 2, splits.CROSS_FIT_BELOW + 9),
    st.just(0) | st.integers(1, 900),
    st.integers(0, 3),
)
def test_no_network_scores_what_it_has_seen(generated, reference, train, seed):
    counts = Counts(generated, reference, train)
    if not counts.enough:
        return
    every = splits.splits(counts, seed)
    for split in every:
        rows = np.concatenate(split)
        assert len(np.unique(rows)) == len(rows)
        assert rows.max() < sum(counts)
        for part in split:
            assert 2 * np.sum(part < generated) == len(part) > 0  # half of them are generated
        real = [part[part >= generated] for part in split]
        if train:
            assert min(real[0].min(), real[1].min()) >= generated + reference
            assert real[2].max() < generated + reference
            assert len(split.training) + len(split.selection) == 2 * counts.trained
    scored = np.concatenate([split.scored for split in every])
    assert len(np.unique(scored)) == len(scored) == 2 * counts.scored


def test_generated_showers_are_shared_as_the_real_ones():
    few, many = Counts(5250, 5000, 16_000), Counts(50_000, 5000, 16_000)
    assert (few.trained, few.scored) == (4000, 1250)
    assert (many.trained, many.scored) == (16_000, 5000)
    assert not Counts(21, 5000, 16_000).enough


def test_a_large_sample_is_cut_60_20_20():
    (split,) = splits.splits(Counts(10_000, 10_000), 0)
    assert [len(part) for part in split] == [12_000, 4_000, 4_000]


def test_showers_made_for_one_energy_stay_together():
    for split in splits.splits(Counts(100, 100), 1):
        for part in split:
            assert set(part[part < 100]) == set(part[part >= 100] - 100)


# ---- the test itself


def small(reference, generated, **options):
    """A classifier test of the size of a unit test."""
    return classifiers.classifier_test(reference, generated, width=128, batch=50, **{"epochs": 4, "seeds": 3} | options)


@pytest.mark.parametrize("train", [False, True])
def test_alike_samples_are_not_told_apart_and_shifted_ones_are(train):
    rng = np.random.default_rng(5)
    reference, alike = rng.normal(size=(2, 1000, 4))
    more = {"train": rng.normal(size=(1500, 4))} if train else {}
    honest = small(reference, rng.normal(size=(2500, 4)) if train else alike, **more)
    assert honest.auc == pytest.approx(0.5, abs=3 * honest.auc_error)
    assert honest.auc_error < 0.03
    assert honest.n == 1000
    shifted = small(reference, rng.normal(size=(2500, 4)) + 0.4, **more)
    wanted = stats.norm.cdf(0.4 * np.sqrt(4) / np.sqrt(2))
    assert shifted.auc_uncalibrated == pytest.approx(wanted, abs=0.04)
    assert shifted.auc > 0.5 + 5 * shifted.auc_error
    assert shifted.jsd > honest.jsd
    assert np.trapezoid(shifted.roc[1], shifted.roc[0]) == pytest.approx(shifted.auc, abs=0.01)


def test_errors_cover_the_spread_of_samples():
    """AUCs of fresh samples of one distribution spread by no more than their errors say."""
    rng = np.random.default_rng(6)
    drawn = [small(*rng.normal(size=(2, 100, 4)), epochs=1, seeds=1) for _ in range(10)]
    pulls = np.array([(one.auc - 0.5) / one.auc_error for one in drawn])
    assert np.sqrt(np.mean(pulls**2)) < 1.6


def test_the_same_seeds_give_the_same_numbers_and_more_seeds_go_on():
    rng = np.random.default_rng(7)
    reference, generated = rng.normal(size=(2, 100, 3))
    first, again = (small(reference, generated, seeds=seeds) for seeds in (2, 3))
    np.testing.assert_array_equal(first.aucs, again.aucs[:2])


def test_float64_agrees_within_errors():
    rng = np.random.default_rng(8)
    reference, generated = rng.normal(size=(600, 3)), rng.normal(size=(600, 3)) * 1.3
    single, double = (small(reference, generated, seeds=1, dtype=dtype) for dtype in (np.float32, np.float64))
    assert single.auc == pytest.approx(double.auc, abs=2 * single.auc_error)
    assert jnp.zeros(1).dtype == jnp.float32  # as it was before


def test_a_perfect_classifier_stops_early():
    rng = np.random.default_rng(9)
    found = small(rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 50, epochs=30, seeds=1)
    assert found.auc == pytest.approx(1.0)
    assert found.jsd == pytest.approx(1.0, abs=1e-3)
    assert found.epochs.max() < 30


def test_few_showers_are_refused_in_one_sentence():
    with pytest.raises(InputError, match="at least 20 of each kind"):
        evaluation.classifier_test(np.ones((19, 2)), np.ones((50, 2)))


@pytest.fixture
def trained(monkeypatch):
    """The seeds of the networks that are trained; they are small ones."""
    seeds, train = [], training.train
    narrow = lambda kind, geometry, dtype: networks.dense(inputs.width(kind, geometry), width=64, dtype=dtype)
    monkeypatch.setattr(inputs, "network", narrow)

    def counting(*args, seed, **options):
        seeds.append(seed // 1000)
        return train(*args, seed=seed, **options)

    monkeypatch.setattr(training, "train", counting)
    return seeds


def test_what_is_saved_is_not_trained_again(monkeypatch, toy, sparse, tmp_path, trained):
    sets = {"reference": sparse(30, 1), "generated": sparse(70, 2), "train": sparse(40, 3)}
    request = lambda folder: classifiers.request(
        **sets, geometry=toy, kind="high", epochs=2, seeds=3, folder=tmp_path / folder
    )
    ask = lambda folder="kept", advance=None: classifiers.run(request(folder), advance)
    step = training._epoch

    def interrupted(*args):
        if len(trained) == 2:  # in the middle of the second network
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(training, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask()
    monkeypatch.setattr(training, "_epoch", step)
    assert trained == [0, 1]
    left = classifiers.work(request("kept"))
    assert left.saved == pytest.approx(left.flop / 3)
    assert classifiers.seconds(left.flop - left.saved, "high", toy) > 0
    trained.clear()
    units = []
    resumed = ask(advance=units.append)
    assert trained == [1, 2]
    assert sum(units) == pytest.approx(left.flop / 1e9, abs=0.5)
    trained.clear()
    again, fresh = ask(), ask("other")
    assert trained == [0, 1, 2]
    for one in (again, fresh):
        for found, wanted in zip(one, resumed, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_what_is_saved_of_something_else_is_not_taken(toy, sparse, tmp_path, trained):
    reference, generated, train = sparse(30, 1), sparse(70, 2), sparse(40, 3)
    ask = lambda generated, epochs: classifiers.run(
        classifiers.request(reference, generated, toy, "high", train=train, epochs=epochs, seeds=1, folder=tmp_path)
    )
    ask(generated, 1)
    ask(generated, 2)
    ask(sparse(70, 4), 2)
    ask(generated, 2)
    assert len(trained) == 3  # one folder keeps all of them
    for kept in tmp_path.glob("*.json"):
        kept.write_text("{")
    ask(sparse(70, 4), 2)
    assert len(trained) == 4


def test_what_is_saved_is_of_one_state_of_the_code_and_of_jax(toy, sparse, tmp_path, monkeypatch):
    ask = lambda: classifiers.request(sparse(30, 1), sparse(70, 2), toy, "high", folder=tmp_path).identity
    found = [ask(), ask()]
    monkeypatch.setattr(digests, "of_code", lambda: "of other code")
    found.append(ask())
    monkeypatch.setattr(jax, "__version__", "0.0.1")
    found.append(ask())
    assert found[0] == found[1] and len(set(found)) == 3


@pytest.mark.parametrize("kind", ["low", "low_normed"])
def test_arrays_are_classified(toy, draw, kind):
    reference, (energy, showers), train = draw(40, 1), draw(90, 2), draw(50, 3)
    found = evaluation.classify(reference, (energy, 3 * showers), toy, kind, train=train, epochs=3, seeds=1)
    assert 0 <= found.auc <= 1
    assert found.n == 40
