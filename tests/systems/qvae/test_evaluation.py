"""Latent bits beside each other: numbers that a perfect prior has at their floor, and what the report shows of them."""

import dataclasses
import json

import h5py
import jax
import numpy as np
import pytest

import calojax
from calojax.errors import InputError
from calojax.evaluation import pearson_matrix
from calojax.evaluation.schema import load_metrics
from calojax.files import atlas
from calojax.systems.qvae import evaluation
from calojax.systems.qvae.evaluation import Latents
from calojax.training.folder import Loaded

pytestmark = pytest.mark.slow


def bits(key, rows, together=0.0):
    """(rows, 4, 6): with probability `together` node 0 of partition 1 is that of partition 3."""
    draw = np.random.default_rng(key)
    found = draw.integers(0, 2, (rows, 4, 6)).astype(np.uint8)
    same = draw.random(rows) < together
    found[same, 1, 0] = found[same, 3, 0]
    return Latents(found, found.sum((1, 2), dtype=np.float32))


def test_distances_are_norms_of_blocks_of_the_difference_of_correlations():
    one, other = bits(0, 300), bits(1, 200, together=0.7)
    found = evaluation.compared(one, other)
    apart = np.subtract(*(pearson_matrix(x.bits.reshape(len(x.bits), -1)) for x in (one, other)))
    assert found["frobenius.all"].value == pytest.approx(np.linalg.norm(apart))
    assert found["frobenius.between.1.3"].value == pytest.approx(np.linalg.norm(apart[6:12, 18:]))
    assert found["frobenius.within.2"].value == pytest.approx(np.linalg.norm(apart[12:18, 12:18]))
    squares = {name: one.value**2 for name, one in found.items()}
    within = sum(squares[f"frobenius.within.{p}"] for p in range(4))
    between = sum(squares[f"frobenius.between.{p}.{q}"] for p in range(4) for q in range(p + 1, 4))
    assert within + 2 * between == pytest.approx(squares["frobenius.all"])
    assert all(one.error > 0 for one in found.values())


def test_the_pair_of_partitions_that_is_coupled_stands_out():
    floor = evaluation.compared(bits(0, 2000), bits(1, 2000))
    found = evaluation.compared(bits(0, 2000), bits(2, 2000, together=0.7))
    ratio = {name: found[name].value / floor[name].value for name in found if name.startswith("frobenius.between")}
    assert max(ratio, key=lambda name: ratio[name]) == "frobenius.between.1.3" and ratio["frobenius.between.1.3"] > 3


def test_energies_beyond_those_of_the_reference_count():
    one, other = bits(0, 500), bits(1, 500)
    far = other._replace(energy=other.energy + 1e3)
    assert evaluation.compared(one, far)["energy"].value > 0.95
    assert evaluation.compared(one, other)["energy"].value < 0.1


def test_bits_of_posterior_and_priors(model, small, events):
    incident, cells = events[0][:9], events[1][:9]
    shown = evaluation.posterior(model, small, incident, cells, jax.random.key(0))
    for drawn, again in zip(
        *(
            [f(model, small, incident, jax.random.key(1)) for f in (evaluation.prior, evaluation.naive)]
            for _ in range(2)
        ),
        strict=True,
    ):
        assert drawn.bits.shape == shown.bits.shape == (9, 4, small.model.nodes)
        np.testing.assert_array_equal(shown.bits[:, 0], drawn.bits[:, 0])
        np.testing.assert_array_equal(drawn.bits, again.bits)


def test_showers_are_encoded_alike_in_tiles_of_any_size(model, small, events, monkeypatch):
    whole = evaluation.posterior(model, small, *(x[:9] for x in events), jax.random.key(0))
    monkeypatch.setattr(evaluation, "_TILE", 4)
    in_tiles = evaluation.posterior(model, small, *(x[:9] for x in events), jax.random.key(0))
    assert np.mean(whole.bits != in_tiles.bits) < 1e-3  # rounding


def test_mixing_is_told_in_sweeps(model, small, events):
    found = evaluation.mixing(model, small, events[0][:8], jax.random.key(0), records=50, every=3)
    assert found.time.tau > 0 and found.time.error > 0 and found.every == 3
    assert found.rho.shape == (50,) and found.rho[0] == 1


@pytest.fixture
def loaded(model, small, prepared):
    from calojax.systems.qvae import system  # noqa: PLC0415

    return Loaded("run", system, small, prepared.manifest, model, 6)


def test_the_judge_adds_latent_bits_of_a_run_and_draws_them(loaded, detector, events, tmp_path):
    incident = np.tile(events[0], 10)
    cells = np.tile(events[1], (10, 1))
    cells[:3, 0] = incident[:3]  # cannot be encoded
    given = (incident, cells), (incident[::-1], cells[::-1]), detector, tmp_path / "judged"
    found = calojax.evaluate(*given, level="quick", run=loaded, progress=False)
    pairs = [f"between.{p}.{q}" for p in range(4) for q in range(p + 1, 4)]
    names = ["energy", "frobenius.all", *(f"frobenius.{x}" for x in (*pairs, *(f"within.{p}" for p in range(4))))]
    for name in (f"latent.{which}.{name}" for which in ("prior", "naive") for name in names):
        one = found[name]
        assert one.value is not None and one.floor is not None and one.error is not None, name
        assert one.n_reference == one.n_generated == 118
    assert found["latent.prior.autocorrelation_time"].value > 0
    saved = load_metrics(tmp_path / "judged")
    assert saved.inputs["run"]["name"] == "run" and saved.inputs["run"]["system"] == "qvae"
    assert {name for name in saved if name.startswith("latent.")} == {
        name for name in found if name.startswith("latent.")
    }
    page = (tmp_path / "judged" / "index.html").read_text()
    assert "Latent bits" in page and "integrated autocorrelation time" in page
    again = calojax.evaluate(*given, level="quick", run=loaded, resume=True, progress=False)
    assert again.to_table() == json.loads((tmp_path / "judged" / "metrics.json").read_text())
    other = loaded._replace(step=7)
    with pytest.raises(InputError, match=r"run .*'step': 6.*'step': 7"):
        calojax.evaluate(
            (incident, cells),
            (incident, cells),
            detector,
            tmp_path / "judged",
            level="quick",
            run=other,
            resume=True,
            progress=False,
        )


def test_a_run_of_another_geometry_or_without_more_to_say_is_refused(loaded, detector, events, tmp_path):
    other = dataclasses.replace(detector, layers=detector.layers[:2])
    give = lambda g, run: calojax.evaluate(events, events, g, tmp_path / "x", level="quick", run=run, progress=False)
    with pytest.raises(
        InputError, match="run: is of another geometry, but it is judged in that which it was trained on"
    ):
        give(other, loaded)
    with pytest.raises(InputError, match="leave --run away"):
        give(detector, loaded._replace(system=atlas))
    with pytest.raises(InputError, match="evaluate, run: is given without out"):
        calojax.evaluate(events, events, detector, level="quick", run=loaded, progress=False)
    assert not (tmp_path / "x").exists()


def test_another_threshold_is_no_other_geometry(loaded, detector, events, tmp_path):
    higher = dataclasses.replace(detector, threshold=1.0)
    with h5py.File(tmp_path / "reference.hdf5", "w") as file:
        file["incident_energies"], file["showers"] = events[0][:, None], events[1]
    found = calojax.evaluate(
        tmp_path / "reference.hdf5", events, higher, tmp_path / "judged", level="quick", run=loaded, progress=False
    )
    assert found["latent.prior.frobenius.all"].value > 0
