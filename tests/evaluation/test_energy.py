"""Bins of incident energy, of a continuous spectrum and of one of lines."""

import numpy as np
import pytest

from calojax import evaluation, geometry, report
from calojax.evaluation import histograms


def photons(lines, n, seed=0):
    """n showers for each energy, MeV, in the binning of data set 1."""
    rng = np.random.default_rng(seed)
    energies = np.repeat(lines, n)
    shares = rng.dirichlet(np.full(368, 0.1), len(energies)) * rng.normal(1, 0.02, (len(energies), 1))
    return energies, shares * energies[:, None]


def test_a_continuous_spectrum_has_equal_bins_in_the_logarithm():
    energies = np.exp(np.random.default_rng(0).uniform(np.log(1e3), np.log(1e5), 500))
    bins = evaluation.energy_bins(energies)
    assert not bins.lines and np.ptp(np.diff(np.log(bins.edges))) < 1e-9
    assert bins.count(energies).sum() == 500
    assert evaluation.energy_bins(energies[:20]).n_bins == 4  # twenty different energies, and twenty showers


def test_every_energy_of_data_set_1_has_a_bin_of_its_own():
    lines = 2.0 ** np.arange(8, 23)
    bins = evaluation.energy_bins(np.repeat(lines, 3))
    assert bins.lines and np.array_equal(bins.place(lines), np.arange(15))
    assert np.array_equal(bins.place(lines.astype(np.float32).astype(float) * (1 + 1e-7)), np.arange(15))
    assert evaluation.energy_bins(np.full(40, 1e4)).n_bins == 1


@pytest.mark.parametrize(("name", "narrow"), [("ds1-photons", 0.9), ("ds1-pions", 0.4), ("ds2", 0.5)])
def test_the_energy_response_of_data_set_1_has_the_protocol_s_bins_at_every_energy(name, narrow):
    g, bins = geometry.load(name), evaluation.energy_bins(np.repeat(2.0 ** np.arange(8, 23), 3))
    family = histograms.Family("e_tot", np.array([-1]), np.linspace(0.5, 1.5, 101)[None], "")
    lows = [histograms.edges_in_bin(family, bins, b, g)[0, 0] for b in range(15)]
    assert lows == [0.5 if name == "ds2" else 0.4] * 4 + [narrow] * 11
    assert histograms.edges_in_bin(family, bins._replace(lines=False), 5, g) is family.edges


def test_lines_are_judged_one_by_one(tmp_path):
    lines = 2.0 ** np.arange(9, 15)
    found = evaluation.judge(photons(lines, 50), photons(lines, 40, 1), "ds1-photons", level="quick", progress=False)
    for b, energy in enumerate(lines):
        one = found[f"separation_in_bin.{b}.e_tot"]
        assert one.more["energy_low"] < energy < one.more["energy_high"]
        assert (one.n_reference, one.n_generated) == (50, 40)
    assert "response.6.mean" not in found
    report.write(tmp_path, found, progress=False)
    assert "in bins of incident energy" in (tmp_path / "index.html").read_text()
