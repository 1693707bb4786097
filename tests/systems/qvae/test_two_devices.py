"""The prior trained on two devices: the same chains, and no device moves those of another."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("two") / "found.npz"
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, Path(__file__).with_name("on_two_devices.py"), prepared.folder, out]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(out)


@pytest.mark.parametrize("couplings", ["zephyr", "full"])
def test_chains_are_the_same_to_the_bit_and_loss_and_gradient_to_rounding(found, couplings):
    one, two = (lambda name, d=d: found[f"{couplings} {d} {name}"] for d in (1, 2))
    assert (one("placed"), two("placed")) == (1, 2)
    np.testing.assert_array_equal(one("chains"), two("chains"))
    assert 0.1 < one("chains")[:, 1:].mean() < 0.99
    for name in ("loss", "gradient_norm", "energy_of_posterior", "energy_of_chains"):
        assert one(name) == pytest.approx(two(name), rel=1e-4), name


@pytest.mark.parametrize(("couplings", "chains"), [("zephyr", (12, 9)), ("full", (36, 18))])
def test_a_device_moves_its_own_chains_alone(found, couplings, chains):
    """36 chains, moved 36 or 3 times 12 at a time by one device, 18 or 2 times 9 by two: the states of the loops."""
    of_state = re.compile(r"u8\[160,(\d+)\]" if couplings == "zephyr" else r"f32\[(18|36),40\]")
    for devices, expected in zip((1, 2), chains, strict=True):
        loops = [line for line in str(found[f"{couplings} {devices} program"]).splitlines() if " while(" in line]
        assert {int(number) for line in loops for number in of_state.findall(line)} == {expected}
