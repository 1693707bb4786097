"""Pearson matrices and their distances: numpy's numbers, constant columns, the floor, errors, patches."""

import numpy as np
import pytest

from calojax import evaluation, geometry
from calojax.evaluation import correlations, patterns, pearson, sparse
from calojax.evaluation.sources import Block


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(pearson, "_TILE", 16)


def correlated(n: int, seed: int, d: int = 40) -> np.ndarray:
    """(n, d) with neighbours correlated, far from 0 and of very different sizes."""
    noise = np.random.default_rng(seed).normal(size=(n, d))
    return (noise + np.roll(noise, 1, axis=1)) * np.logspace(-3, 6, d) + 100.0


def test_the_matrix_is_numpys():
    values = correlated(500, 0)
    assert np.allclose(evaluation.pearson_matrix(values), np.corrcoef(values.T), atol=1e-12)


@pytest.mark.usefixtures("small_tiles")
def test_the_distance_in_tiles_is_that_of_whole_matrices():
    x, y = correlated(503, 0), correlated(401, 1)
    expected = np.linalg.norm(np.corrcoef(x.T) - np.corrcoef(y.T))
    assert evaluation.frobenius_distance(x, y).value == pytest.approx(expected, rel=1e-5)
    assert evaluation.frobenius_distance(x, x).value == 0


@pytest.mark.usefixtures("small_tiles")
def test_a_column_that_is_constant_in_one_sample_adds_its_diagonal_and_its_correlations():
    x = correlated(500, 0)
    y = x.copy()
    y[:, 3] = 7.7
    assert np.all(evaluation.pearson_matrix(y)[3] == 0)
    c = np.corrcoef(x.T)
    expected = np.sqrt(1 + 2 * (np.sum(c[3] ** 2) - 1))
    assert evaluation.frobenius_distance(x, y).value == pytest.approx(expected, rel=1e-5)


def test_a_column_that_varies_in_one_block_of_showers_alone_is_constant_without_it():
    """Its correlations may not come from rounding."""
    x = correlated(100, 0)
    x[:, 3] = 0.1
    x[[0, 5], 3] = 0.3, 0.9  # both of block 0 of 5
    y = correlated(100, 1)
    whole = [np.delete(z, np.s_[b::5], axis=0) for z in (x, y) for b in range(5)]
    with np.errstate(invalid="ignore"):
        matrices = [evaluation.pearson_matrix(z) for z in whole]
    left_out = [np.linalg.norm(a - b) for a, b in zip(matrices[:5], matrices[5:], strict=True)]
    expected = np.sqrt(4 * np.var(left_out))
    assert evaluation.frobenius_distance(x, y).error == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("kind", ["energies", "hits"])
def test_many_columns_of_few_showers_have_the_same_distances_and_means(kind):
    """Products of showers in place of matrices: distances, errors and means over groups, with constant columns."""
    values = {"a": correlated(30, 0, 400), "b": correlated(27, 1, 400), "c": correlated(3, 2, 400)}
    values["a"][:, 7] = values["b"][1:, 9] = 5.5
    columns = {
        "energies": pearson.of_array,
        "hits": lambda x: patterns.pack(x > np.median(values["a"], axis=0)),
    }[kind]
    samples = {name: columns(x) for name, x in values.items()}
    pairs, groups, steps = [("a", "b"), ("b", "c")], np.arange(400) % 6, [0, 0]
    found = pearson.distances(samples, pairs, groups, advance=lambda n: steps.append(n))
    assert sum(steps) == pearson.n_tiles(400)
    sums = {name: pearson._sums(sample, pearson.BLOCKS) for name, sample in samples.items()}
    squares, totals = pearson._by_columns(pearson._Asked(samples, sums, pairs, groups, pearson.BLOCKS, None))
    assert found.distance[0].value == pytest.approx(np.sqrt(squares[0, 0]), rel=1e-5)
    assert found.distance[0].error == pytest.approx(np.sqrt(4 * np.var(np.sqrt(squares[0, 1:]))), rel=1e-3)
    assert found.distance[1].value == pytest.approx(np.sqrt(squares[1, 0]), rel=1e-5)
    assert np.isnan(found.distance[1].error)
    size = np.bincount(groups)
    for name, total in totals.items():
        assert found.matrix[name] == pytest.approx(total / (np.outer(size, size) - np.diag(size)), abs=1e-5)
    if kind == "energies":
        matrices = [evaluation.pearson_matrix(values[name]) for name in "ab"]
        assert found.distance[0].value == pytest.approx(np.linalg.norm(matrices[0] - matrices[1]), rel=1e-5)
        assert found.n_constant == {"a": 1, "b": 0, "c": 0}


def test_two_samples_of_independent_columns_are_at_the_floor_of_the_formula():
    rng = np.random.default_rng(0)
    n, d = 1000, 200
    found = evaluation.frobenius_distance(rng.normal(size=(n, d)), rng.normal(size=(n, d)))
    assert found.value == pytest.approx(np.sqrt(2 * d * (d - 1) / n), rel=0.02)  # 8.92


def test_columns_of_voxels_are_those_of_the_dense_showers(toy, draw):
    incident, showers = draw(200, 1)
    builder = sparse.Builder(toy.n_cells, toy.threshold)
    builder.add(Block(incident, showers))
    dense = np.where(showers >= toy.threshold, showers, 0)
    for cells in (None, np.array([7, 3, 100])):
        columns = pearson.of_voxels(builder.done(), cells)
        expected = dense if cells is None else dense[:, cells]
        assert np.allclose(columns.columns(0, columns.n_cells), pearson.of_array(expected).columns(0, toy.n_cells))


def test_patches_are_those_of_the_source_on_its_grid():
    layer = geometry.Layer(0, tuple(map(float, range(25))), 14, 0.0, 1.0)
    cells = correlations.patch_cells(geometry.Cylinder("grid", (layer,), 1.0))
    assert [divmod(cell, 24) for cell in cells.tolist()] == [
        (0, 0),
        *((a, r) for r in (4, 10, 15) for a in (0, 3, 6, 9)),
    ]


def test_patches_of_coarse_layers_are_not_counted_twice():
    g = geometry.load("ds1-photons")
    cells = correlations.patch_cells(g)
    assert len(set(cells.tolist())) == len(cells)
    assert len(correlations.patch_cells(geometry.load("ds2"))) == 13 * 45


def test_every_layer_and_every_kind_is_judged_with_the_showers_used(toy, judged):
    names = {"voxel", "occupancy", "layer", "layer_sparsity", "patch_layer"}
    names |= {f"{kind}.{i}" for kind in ("within_layer", "occupancy_within_layer") for i in range(toy.n_layers)}
    assert {f"frobenius.{name}" for name in names} == {name for name in judged if name.startswith("frobenius.")}
    for name in names:
        one = judged[f"frobenius.{name}"]
        assert one.more["rows"] == one.n_reference == one.n_generated == 800
        error = np.hypot(one.error, one.more["floor_error"])
        assert abs(one.value - one.floor) < 6 * error, name
    assert judged.curves["pearson_layer.generated"].shape == (toy.n_layers, toy.n_layers)


def test_the_layers_matrices_are_those_of_their_features(toy, draw):
    (e, x), (f, y) = draw(300, 1), draw(200, 2)
    found = evaluation.judge((e, x), (f, y), toy, level="quick", progress=False)
    moments = [evaluation.layer_moments(z, toy) for z in (x, y)]
    for name, field in (("frobenius.layer", "energy"), ("frobenius.layer_sparsity", "sparsity")):
        expected = np.linalg.norm(np.subtract(*(np.corrcoef(getattr(m, field).T) for m in moments)))
        assert found[name].value == pytest.approx(expected, rel=1e-4)
    inside = [np.where(z >= toy.threshold, z, 0)[:, 24:48] for z in (x, y)]
    assert found["frobenius.within_layer.1"].value == pytest.approx(
        np.linalg.norm(np.subtract(*map(evaluation.pearson_matrix, inside))), rel=1e-4
    )


def test_without_training_showers_the_floor_is_brought_to_the_showers_used(toy, draw, monkeypatch):
    monkeypatch.setattr(correlations, "_ROWS", 250)
    found = evaluation.judge(draw(400, 1), draw(300, 2), toy, level="quick", progress=False)["frobenius.occupancy"]
    assert (found.n_reference, found.n_generated, found.more["rows"]) == (250, 250, 250)
    assert found.more["floor_at_counts"] == pytest.approx(found.floor * np.sqrt(200 / 250), rel=0.05)
