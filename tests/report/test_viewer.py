"""The drawings of showers, and the data of the viewer: they show the cells that the showers have, where they are."""

import base64
import json
import re

import numpy as np
import pytest

from calojax import evaluation, geometry
from calojax.evaluation import curves
from calojax.evaluation.sparse import Sparse
from calojax.report import cylinders, drawing, viewer, wedges


def sparse(energies, hits, n_cells=500):
    """Showers of these energies with as many hits as told."""
    offsets = np.concatenate([[0], np.cumsum(hits)])
    cell = np.concatenate([np.arange(n) for n in hits]).astype(np.int32)
    return Sparse(np.asarray(energies, float), np.arange(len(hits)), offsets, cell, np.ones(len(cell), "f4"), n_cells)


@pytest.fixture(scope="module")
def ragged():
    """Layers that differ in everything: judged showers of data set 1."""
    detector = geometry.load("ds1-pions")

    def draw(n, seed):
        rng = np.random.default_rng(seed)
        energies = np.exp(rng.uniform(6, 14, n))
        shares = rng.gamma(0.3, size=(n, detector.n_cells)) * np.exp(-detector.r_mid / 60)
        return energies, energies[:, None] * shares / shares.sum(axis=1, keepdims=True)

    return evaluation.judge(draw(60, 0), draw(60, 1), detector, level="quick", progress=False)


# ---- what is kept


def test_events_are_pairs_of_like_energy_evenly_in_its_logarithm():
    rng = np.random.default_rng(0)
    ours, theirs = (sparse(np.exp(rng.uniform(np.log(1e3), np.log(1e6), 5000)), [7] * 5000) for _ in range(2))
    made = curves.events(ours, theirs)
    energies = made["viewer.reference.energy"]
    assert len(energies) == 40
    np.testing.assert_allclose(np.diff(np.log(energies)), np.log(1e3) / 39, rtol=0.1)
    np.testing.assert_allclose(made["viewer.generated.energy"], energies, rtol=0.02)
    np.testing.assert_array_equal(ours.incident_energy[made["viewer.reference.rows"]], energies)
    np.testing.assert_array_equal(np.diff(made["viewer.reference.offsets"]), 7)


def test_large_showers_are_fewer_and_few_showers_are_shown_once():
    large = sparse(np.geomspace(1, 1e3, 100), [20_000] * 100, 20_000)
    made = curves.events(large, large)
    assert len(made["viewer.reference.energy"]) == 7 and len(made["viewer.generated.cell"]) == 140_000
    made = curves.events(sparse([1.0, 10.0, 100.0], [1, 0, 2]), sparse([20.0], [3]))
    assert made["viewer.reference.energy"].tolist() == [1, 10, 100]
    assert made["viewer.generated.energy"].tolist() == [20, 20, 20]


def test_the_average_is_the_mean_share_of_each_cell(toy, draw):
    (energies, showers), generated = draw(400, 1), draw(300, 2)
    found = evaluation.judge((energies, showers), generated, toy, level="quick", progress=False).curves[
        "average.reference"
    ]
    shares = np.where(showers >= toy.threshold, showers, 0) / energies[:, None]
    np.testing.assert_allclose(found[0], shares.mean(axis=0), rtol=1e-5)
    spread = shares.std(axis=0) / np.sqrt(len(shares))
    assert np.median(found[1] / spread) == pytest.approx(1, abs=0.15)


# ---- what the page carries


def test_the_page_carries_the_showers_as_they_are(ragged):
    text = viewer.section(ragged)
    (embedded,) = re.findall(r'<script type="application/json" id="viewer-data">(.*?)</script>', text, re.DOTALL)
    data = json.loads(embedded)
    for sample in data["samples"]:
        kept = {key: ragged.curves[f"viewer.{sample['name']}.{key}"] for key in ("cell", "deposit", "offsets")}
        assert sample["offsets"] == kept["offsets"].tolist()
        for key, dtype in (("cell", "<u2"), ("deposit", "<f4")):
            read = np.frombuffer(base64.b64decode(sample[key]["base64"]), dtype)
            np.testing.assert_array_equal(read, kept[key].astype(dtype))
    detector = geometry.load("ds1-pions")
    assert [layer["alpha"] for layer in data["layers"]] == detector.n_alpha.tolist()
    assert [tuple(layer["r"]) for layer in data["layers"]] == [layer.r_edges for layer in detector.layers]


def test_more_than_65536_cells_are_numbered_in_32_bits():
    kept = {"energy": np.ones(1), "rows": np.zeros(1, int), "offsets": np.array([0, 1]), "deposit": np.ones(1, "f4")}
    sample = viewer._sample("reference", kept | {"cell": np.array([70_000], np.int32)})
    assert sample["cell"]["type"] == "Uint32Array"
    assert np.frombuffer(base64.b64decode(sample["cell"]["base64"]), "<u4").tolist() == [70_000]


def test_nothing_in_the_data_can_end_its_element():
    assert "</" not in viewer._embedded({"name": "</script>"})
    assert json.loads(viewer._embedded({"name": "</script>"})) == {"name": "</script>"}


# ---- what is drawn


def test_the_wedges_are_the_cells_of_the_geometry(ragged):
    detector, cells = geometry.load("ds1-pions"), cylinders._cells(ragged)
    edges = [cylinders._radius(ragged, np.array(layer.r_edges)) for layer in detector.layers]
    inner = np.array([edges[place][ring] for place, ring in zip(detector.layer, detector.ring, strict=True)])
    np.testing.assert_allclose(cells.r[:, 0], inner[cells.index])
    width = np.bincount(cells.index, np.diff(cells.alpha, axis=1)[:, 0])
    np.testing.assert_allclose(width, 2 * np.pi / detector.n_alpha[detector.layer])
    middle = np.bincount(cells.index, cells.alpha.mean(axis=1)) / np.bincount(cells.index)
    np.testing.assert_allclose(middle, detector.alpha_mid, atol=1e-12)
    assert (np.diff(cells.x, axis=1) > 0).all() and np.abs(cells.x).max() == cylinders._length(ragged) / 2


def test_faces_look_outwards(judged):
    cells = cylinders._cells(judged)
    middle = wedges.point(cells.r.mean(1), cells.alpha.mean(1), cells.x.mean(1))
    for _, corners, _ in wedges._faces(cells):
        normal = np.cross(corners, np.roll(corners, -1, axis=1)).sum(axis=1)
        outwards = np.sum(normal * (corners.mean(axis=1) - middle), axis=1)
        assert (outwards > -1e-12).all() and (outwards > 0).mean() > 0.7  # the innermost ring has no inner face


@pytest.mark.parametrize("draw_it", [cylinders.average, cylinders.single])
def test_cylinders_of_any_geometry_are_drawn_with_their_words(judged, ragged, draw_it):
    with drawing.style():
        for metrics, words in ((judged, "40 mm"), (ragged, "2000 mm, compressed")):
            made = draw_it(metrics)
            assert made.image.startswith("data:image/png") and words in made.alt and "nan" not in made.alt
