"""A number of devices that trains or generates something else is found out."""

import numpy as np
import pytest

from benchmarks import scaling


def left(folder, change, showers=b"showers"):
    """What a process leaves whose training changed one array by so much."""
    folder.mkdir()
    begun = {"a": np.ones((3, 4)), "b": np.full(5, 100.0), "fixed": np.ones(2)}
    np.savez(folder / "begun.npz", **begun)
    np.savez(folder / "done.npz", a=begun["a"] + 0.1, b=begun["b"] + change, fixed=begun["fixed"])
    (folder / "showers.hdf5").write_bytes(showers)
    return folder


def test_the_same_up_to_rounding_agrees(tmp_path):
    one, other = left(tmp_path / "one", 0.1), left(tmp_path / "other", 0.1 * (1 + 0.1 * scaling.ROUNDING))
    assert scaling.agreement(one, other)["parameters"] == pytest.approx(0.1 * scaling.ROUNDING, rel=0.01)


def test_other_parameters_are_refused_however_little_they_changed(tmp_path):
    """What counts is the change, which is a ten-thousandth of the value here."""
    one, other = left(tmp_path / "one", 1e-4), left(tmp_path / "other", 1e-4 * (1 + 5 * scaling.ROUNDING))
    with pytest.raises(ValueError, match="other trains"):
        scaling.agreement(one, other)


def test_parameters_that_are_no_number_are_refused(tmp_path):
    with pytest.raises(ValueError, match="other trains"):
        scaling.agreement(left(tmp_path / "one", 0.1), left(tmp_path / "other", np.nan))


def test_other_showers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="other generates"):
        scaling.agreement(left(tmp_path / "one", 0.1), left(tmp_path / "other", 0.1, b"others"))
