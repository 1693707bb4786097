"""Detectors are compared at like numbers of hits, and drawn."""

import sys

import pytest

from benchmarks import by_hand, detectors, files, machine, measuring


def rows(name, ms_per_root, hits):
    """Whose time is the root of the hits, times so many ms."""
    time = lambda n: measuring.spread([ms_per_root * n**0.5] * 3)
    more = lambda n: {"hits": n, "mflop": 2.0 * n, "kib_per_shower": 3.0 * n}
    of_energy = zip(detectors.ENERGIES, hits, strict=True)
    return {f"{name}/{gev} GeV": measuring.row(time(n), "ms per shower", **more(n)) for gev, n in of_energy}


@pytest.fixture
def both():
    small, large = (100.0, 200.0, 500.0, 900.0, 1800.0), (50.0, 150.0, 700.0, 1800.0, 4000.0)
    return rows("ds2", 1.0, small) | rows("ds3", 3.0, large)


def test_ratios_are_those_at_the_same_number_of_hits(both):
    found = detectors.ratios(both)
    assert set(found) == {"ratio/3 GeV", "ratio/10 GeV", "ratio/30 GeV"}  # the others have no neighbour to a side
    for row in found.values():
        assert row["value"]["rounds"] == pytest.approx([3.0] * 3)
        assert (row["mflop"], row["kib_per_shower"]) == pytest.approx((1.0, 1.0))


def test_the_figure_is_drawn(both, tmp_path):
    process = "detectors/float32/one"
    detectors.draw({"results": {f"{process}/{key}": row for key, row in both.items()}}, process, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_without_its_numbers_the_figure_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    files.write(tmp_path / "a.json", files.empty(machine.describe()))
    monkeypatch.setattr(sys, "argv", ["-", "--results", str(tmp_path / "a.json"), "--figure", str(tmp_path / "a.png")])
    with pytest.raises(SystemExit, match="2"):
        by_hand.call(detectors.main)
    assert "has no detectors at all energies" in capsys.readouterr().err and not (tmp_path / "a.png").exists()
