"""Pearson matrices and their distances: numpy's numbers, constant columns, the floor, errors, patches."""

import numpy as np
import pytest

from calojax import evaluation, geometry
from calojax.evaluation import correlations, pearson, sparse
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
    found = evaluation.judge((e, x), (f, y), toy, progress=False)
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
    found = evaluation.judge(draw(400, 1), draw(300, 2), toy, progress=False)["frobenius.occupancy"]
    assert (found.n_reference, found.n_generated, found.more["rows"]) == (250, 250, 250)
    assert found.more["floor_at_counts"] == pytest.approx(found.floor * np.sqrt(200 / 250), rel=0.05)
