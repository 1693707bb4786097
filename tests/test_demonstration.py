"""What the demonstration promises: three means within stated limits, and whether they hold."""

import numpy as np
import pytest

from calojax import data, demonstration, geometry
from calojax.files import calochallenge


@pytest.fixture(scope="module")
def cylinder():
    return geometry.load("ds2")


@pytest.fixture(scope="module")
def held_out(cylinder):
    return calochallenge.read(data.sample("pyramid"), cylinder, data.parts("pyramid")[1])


def test_a_sample_agrees_with_itself_and_the_demonstration_says_so(held_out, cylinder):
    checks = demonstration.compare(held_out, held_out, cylinder)
    assert [check.difference for check in checks] == [0.0] * 3 == [check.error for check in checks]
    assert [check.allowed for check in checks] == [0.10, 0.03, 0.05]
    text = demonstration.Demo("run", "run/report/index.html", checks).text()
    assert "look like showers: nothing" in text and text.endswith("Report: run/report/index.html")


def test_a_mean_is_over_showers_and_repeats_do_not_move_it(held_out, cylinder):
    repeated = calochallenge.Showers(np.tile(held_out.incident_energy, 2), np.tile(held_out.showers, (2, 1)))
    assert max(abs(check.difference) for check in demonstration.compare(held_out, repeated, cylinder)) < 1e-12


def test_the_error_is_that_of_samples_drawn_again(held_out, cylinder):
    """Showers of other showers' energies, so that pairs differ: the spread of the differences over bootstraps."""
    n, draw = len(held_out.showers), np.random.default_rng(0)
    other = held_out._replace(showers=np.roll(held_out.showers, 1, axis=0))
    check = demonstration.compare(held_out, other, cylinder)[2]
    pairs = [(sample.showers >= cylinder.threshold).sum(1) for sample in (other, held_out)]
    rows = draw.integers(0, n, (2_000, n))
    again = pairs[0][rows].mean(1) / pairs[1][rows].mean(1)
    assert check.error == pytest.approx(again.std(), rel=0.1)
    assert check._replace(generated=1.05 * check.held_out + 1.9 * check.error * check.held_out).holds
    assert not check._replace(generated=1.05 * check.held_out + 2.1 * check.error * check.held_out).holds


def test_more_energy_in_one_layer_fails_the_layers_alone(held_out, cylinder):
    showers = held_out.showers.copy()
    peak = slice(*cylinder.layer_offsets[12:14])
    showers[:, peak] *= 1.15
    layer, response, hits = demonstration.compare(held_out, held_out._replace(showers=showers), cylinder)
    assert not layer.holds and layer.name.endswith(": 12") and layer.difference == pytest.approx(0.15, abs=1e-4)
    assert response.holds and hits.holds
    assert "1 of 3 do not hold" in demonstration.Demo("run", "page", (layer, response, hits)).text()


def test_the_layer_shown_is_the_one_that_is_off_for_certain(held_out, cylinder):
    """A layer that is further off, but uncertain, does not hide it."""
    showers, n = held_out.showers.copy(), len(held_out.showers)
    certain, noisy = slice(*cylinder.layer_offsets[12:14]), slice(*cylinder.layer_offsets[10:12])
    showers[:, certain] *= 1.15
    showers[: n // 50, noisy] *= 60
    layer = demonstration.compare(held_out, held_out._replace(showers=showers), cylinder)[0]
    assert layer.name.endswith(": 12") and not layer.holds


def test_layers_with_little_energy_are_not_checked(held_out, cylinder):
    showers = held_out.showers.copy()
    showers[:, cylinder.layer_offsets[44] :] *= 5
    assert demonstration.compare(held_out, held_out._replace(showers=showers), cylinder)[0].difference == 0


def test_twice_the_energy_fails_the_response_and_fewer_hits_the_hits(held_out, cylinder):
    _, response, hits = demonstration.compare(held_out, held_out._replace(showers=2 * held_out.showers), cylinder)
    assert response.difference == pytest.approx(1.0) and not response.holds
    assert hits.difference == 0
    cut = np.where(held_out.showers < 2, 0, held_out.showers)
    assert not demonstration.compare(held_out, held_out._replace(showers=cut), cylinder)[2].holds


def test_held_out_showers_are_not_training_showers():
    training, held_out = data.parts("pyramid")
    assert (training.start, training.stop) == (0, held_out.start) and held_out.stop is None
