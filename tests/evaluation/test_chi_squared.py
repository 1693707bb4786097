"""chi2 of E_tot / E_inc in octaves: about the number of bins for one distribution, whatever the numbers of showers."""

import numpy as np
import pytest

from calojax import evaluation
from calojax.evaluation import chi_squared, histograms


@pytest.mark.parametrize(("n", "m"), [(20_000, 20_000), (20_000, 2_000), (3_000, 20_000)])
def test_samples_of_one_distribution_are_at_the_number_of_occupied_bins(n, m):
    draw = np.random.default_rng(0)
    shares = draw.dirichlet(np.full(30, 5.0))
    p, q = draw.multinomial(n, shares, 400), draw.multinomial(m, shares, 400)
    found = chi_squared.chi2_of_counts(p, q)
    assert found.mean() == pytest.approx(29, abs=5 * np.sqrt(2 * 29 / 400))
    assert found.std() == pytest.approx(np.sqrt(2 * 29), rel=0.2)


def test_equal_numbers_give_the_formula_of_the_source():
    draw = np.random.default_rng(1)
    p, q = draw.multinomial(500, np.full(10, 0.1), 2)
    assert chi_squared.chi2_of_counts(p, q) == pytest.approx(np.sum((p - q) ** 2 / (p + q)))
    assert chi_squared.chi2_of_counts(p, p) == 0


def test_octaves_tile_the_energies():
    energies = 2.0 ** np.array([8.49, 8.51, 9.49, 9.51, 22.0])
    np.testing.assert_array_equal(chi_squared.octave(energies), [8, 9, 9, 10, 22])


def test_the_judge_finds_the_octave_whose_response_is_wrong(toy, draw):
    incident, showers = draw(2000, 2)
    wrong = chi_squared.octave(incident) == 15
    scaled = np.where(wrong[:, None], 1.1 * showers, showers)
    found = evaluation.judge(draw(2000, 1), (incident, scaled), toy, level="quick", progress=False)
    names = [name for name in found if name.startswith("chi2.e_tot.") and not name.endswith("mean")]
    worst = max(names, key=lambda name: found[name].value)
    assert found[worst].more["energy_low"] == pytest.approx(2**14.5) and found[worst].n_reference > 100
    assert found[worst].value > 3 * found[worst].floor
    others = [found[name] for name in names if name != worst]
    assert np.mean([one.value for one in others]) < 1.5 * np.mean([one.floor for one in others])
    assert found["chi2.e_tot.mean"].value == pytest.approx(np.mean([found[name].value for name in names]))
    assert "floor_at_counts" not in found["chi2.e_tot.mean"].more


def test_beyond_the_reference_everything_is_in_the_last_bins():
    truth, other = np.linspace(0.9, 1.1, 300), np.full(300, 5.0)
    p, q = (counts.sum(axis=0) for counts in histograms.between_extremes(truth, other, 30))
    assert p.sum() == q.sum() == q[-1] == 300


def test_energies_are_compared_within_octaves():
    draw = np.random.default_rng(0)
    incident = np.exp(draw.uniform(np.log(300), np.log(60_000), 10_000))
    truth, other = (incident * draw.normal(1.0, 0.1, len(incident)) for _ in range(2))
    worse = np.where(incident < 1000, 1.1 * other, other)
    found, at_floor = (evaluation.response_chi2(incident, truth, incident, e) for e in (worse, other))
    assert found.mean.value > 2 * at_floor.mean.value
    assert 2.0 ** found.k[found.chi2.value > 100].max() <= 1024
    assert found.chi2.error[0] > 0 and found.n.sum() == 20_000


def test_an_octave_that_one_half_of_the_reference_has_not_says_so(toy, draw):
    incident, showers = draw(40, 1)
    incident[7] = 1e6
    found = evaluation.judge((incident, showers), draw(40, 2), toy, level="quick", progress=False)
    last = max(
        (name for name in found if name.startswith("chi2.e_tot.")), key=lambda n: found[n].more.get("energy_low", 0)
    )
    assert found[last].value is None and found[last].reason == "fewer than two showers of some octave in either sample"
