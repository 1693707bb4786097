"""Rounds are fair, spreads are what they say, times and ceilings belong to the same round."""

import pytest

from benchmarks import measuring


def test_every_call_has_its_turn_in_every_round(monkeypatch):
    called = []
    clock = iter(range(10_000))
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: next(clock))
    calls = {name: (lambda name=name: called.append(name)) for name in "ab"}
    timings = measuring.measured(calls, rounds=3, seconds=0)
    assert "".join(called) == "ab" + "ab" * 3
    assert list(timings) == ["a", "b"] and len(timings["a"].wall.rounds) == len(timings["b"].cpu.rounds) == 3


def test_a_turn_lasts_as_long_as_asked_for(monkeypatch):
    now, called = [0.0], []
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: now[0])

    def call():
        called.append(now[0])
        now[0] += 0.25

    [timing] = measuring.measured({"a": call}, rounds=2, seconds=1.0).values()
    assert len(called) == 1 + 2 * 4 and timing.wall == (0.25, 0.25, 0.25, 0.0, (0.25, 0.25))


def test_a_spread_says_what_rounds_have_in_common():
    assert measuring.spread([3, 1, 2, 10, 4]) == (3.0, 1.0, 10.0, 1.0, (3.0, 1.0, 2.0, 10.0, 4.0))


def timing(wall, cpu):
    return measuring.Timing(measuring.spread(wall), measuring.spread(cpu))


def test_a_time_is_laid_beside_the_ceiling_of_its_own_round():
    ceiling = timing([1e-3, 2e-3], [1e-3, 2e-3]), 2e8  # 200 and 100 GFLOP/s
    own = timing([1.0, 2.0], [1.0, 2.0])
    row = measuring.timed(own, "one", "ms per shower", 1e3 / 100, ceiling=ceiling, mflop=1000.0)
    assert row["value"]["rounds"] == (10.0, 20.0) and row["clock"] == "wall"
    assert row["gflop_at_ceiling"]["rounds"] == pytest.approx((2.0, 2.0))
    assert row["of_ceiling"] == pytest.approx(0.5)


def test_cpu_time_counts_where_others_took_the_core():
    own, ceiling = timing([1.0], [0.5]), (timing([2e-3], [1e-3]), 1e8)
    one, every = (measuring.timed(own, place, ceiling=ceiling) for place in ("one", "all"))
    assert (one["clock"], one["value"]["median"], one["disturbed"]) == ("cpu", 500.0, 0.5)
    assert one["gflop_at_ceiling"]["median"] == pytest.approx(50.0)
    assert (every["clock"], every["value"]["median"]) == ("wall", 1000.0) and "disturbed" not in every
