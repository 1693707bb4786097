"""Chains are compared with a loop that draws from the same machine, and with no other."""

import pytest

from benchmarks import gibbs
from benchmarks.running import Options


class Loop:
    """A peer without a process: says what it is told to say."""

    versions: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, mean):
        self.mean = mean

    def ask(self, do, **arguments):
        return {"make": {"couplings": 1}, "mean": {"mean": self.mean}}.get(do, {"wall": 0.5, "cpu": 0.5})


@pytest.fixture(scope="module")
def forms():
    return gibbs._forms(16, gibbs.zephyr.layout(16).mask)


def test_times_are_of_sweeps_and_ratios_those_of_cpu_time(forms):
    rows = gibbs._compared(forms["full"], {"pytorch": Loop(0.5)}, 4, 10, Options(rounds=2, short=True))
    ours, loop = rows["calojax"], rows["pytorch"]
    assert loop["value"]["median"] == pytest.approx(50.0) and loop["unit"] == "ms per sweep"
    assert rows["rate-pytorch"]["value"]["median"] == pytest.approx(4 * 10 / 0.5)
    assert rows["times-pytorch"]["value"]["median"] == pytest.approx(50.0 / ours["cpu"]["median"], rel=0.5)
    shower = rows["shower-of-3000-sweeps"]["value"]["median"]
    assert shower == pytest.approx(ours["value"]["median"] * 3000 / 4) and ours["of_ceiling"] > 0


def test_a_loop_that_draws_from_another_machine_is_an_error(forms):
    ours = gibbs._made(forms["masked"], {}, 16, None)
    assert ours == {}
    with pytest.raises(ValueError, match="in pytorch"):
        gibbs._made(forms["masked"], {"pytorch": Loop(0.9)}, 16, "mask.npy")
