"""The share of memorised showers."""

import dataclasses

import numpy as np
import pytest

from calojax import evaluation


def test_copies_of_training_showers_are_found_even_with_noise(toy, draw):
    reference, train = draw(300, 1), draw(1500, 3)
    incident, showers = train[0][:400], train[1][:400]
    noise = np.random.default_rng(0).normal(1, 0.2, showers.shape)
    for copies in (showers, (showers * noise.clip(0.1)).astype(np.float32)):
        found = evaluation.memorisation_share(reference, (incident, copies), train, toy)
        assert found.share > 0.98
    assert found.distance_generated < 0.2 * found.distance_reference


def test_fresh_showers_are_at_one_half(toy, draw):
    found = evaluation.memorisation_share(draw(500, 1), draw(500, 2), draw(1500, 3), toy)
    assert abs(found.share - 0.5) < 3.5 * found.error
    assert found.error == pytest.approx(0.5 / np.sqrt(found.n_generated))


def test_the_reference_itself_ties_everywhere(toy, draw):
    reference = draw(200, 1)
    assert evaluation.memorisation_share(reference, reference, draw(300, 3), toy).share == 0.5


def test_distances_are_those_of_a_direct_search(toy, draw):
    reference, generated, train = draw(40, 1), draw(40, 2), draw(200, 3)

    def nearest(energy, shower):
        off = np.abs(np.log(train[0] / energy))
        rows = np.flatnonzero(off < 0.05) if (off < 0.05).any() else [np.argmin(off)]
        root = np.sqrt(train[1][rows] / train[0][rows, None]) - np.sqrt(shower / energy)
        return np.sum(root**2, axis=1).min()

    found = evaluation.memorisation_share(reference, generated, train, toy)
    d_reference = np.array([nearest(*pair) for pair in zip(*reference, strict=True)])
    matched = [int(np.argmin(np.abs(np.log(generated[0] / e)))) for e in reference[0]]
    d_generated = np.array([nearest(generated[0][g], generated[1][g]) for g in matched])
    assert found.distance_reference == pytest.approx(d_reference.mean(), rel=1e-3)
    assert found.distance_generated == pytest.approx(d_generated.mean(), rel=1e-3)
    assert found.share == pytest.approx(np.mean(d_generated < d_reference))


@pytest.mark.parametrize("response", [1, 2**-10, 2**-20])
def test_the_share_does_not_depend_on_the_response_of_the_calorimeter(toy, draw, response):
    """What is deposited may be a small part of the incident energy."""
    seen = dataclasses.replace(toy, threshold=toy.threshold * response)
    reference, generated, train = ((e, s * np.float32(response)) for e, s in (draw(100, 1), draw(100, 2), draw(300, 3)))
    found = evaluation.memorisation_share(reference, generated, train, seen)
    expected = evaluation.memorisation_share(draw(100, 1), draw(100, 2), draw(300, 3), toy)
    assert found.share == expected.share
    copies = evaluation.memorisation_share(reference, (train[0][:100], train[1][:100]), train, seen)
    assert copies.share > 0.98
