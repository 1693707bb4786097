"""What became slower is found, noise and other machines are not taken for it."""

import json

import numpy as np
import pytest

from benchmarks import comparing, files, measuring
from calojax.errors import InputError

MACHINE = {"name": "m", "cpu": "C", "flags": [], "cores": 1, "memory_gib": 1, "gpus": [], "os": "o"}


def draw(values, noise, seed, ceiling=100.0, machine=MACHINE, better="less", rounds=5):
    """A file of results that scatter by a relative noise around values; each has its ceiling, which does not."""
    rng = np.random.default_rng(seed)
    results = {}
    for name, value in values.items():
        spread = measuring.spread(value * np.exp(noise * rng.standard_normal(rounds)))._asdict()
        more = {"wall": spread, "ceiling_gflops": measuring.spread([ceiling])._asdict()}
        results[f"a/float32/one/{name}"] = {"unit": "ms", "better": better, "value": spread} | more
    return {"schema": files.SCHEMA, "machine": machine, "processes": {}, "results": results, "left_out": {}}


def verdicts(before, after):
    return {change.key.rpartition("/")[2]: change.verdict for change in comparing.changes(before, after)}


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.03, 0.1])
def test_noise_is_not_taken_for_a_change(noise):
    same = dict.fromkeys(map(str, range(1000)), 2.0)
    found = verdicts(draw(same, noise, 1), draw(same, noise, 2))
    assert sum(verdict != "unchanged within noise" for verdict in found.values()) <= 2


@pytest.mark.parametrize("better", ["less", "more"])
def test_ten_per_cent_are_found(better):
    rows = {"same": 1.0, "up": 1.0, "down": 1.0}
    found = verdicts(
        draw(rows, 0.01, 1, better=better), draw({"same": 1.0, "up": 1.12, "down": 1 / 1.12}, 0.01, 2, better=better)
    )
    worse, improved = ("slower", "faster") if better == "less" else ("faster", "slower")
    assert found == {"same": "unchanged within noise", "up": worse, "down": improved}


def test_a_machine_that_is_slower_in_all_is_no_slower_program():
    rows = {"a": 1.0, "b": 7.0}
    before, after = draw(rows, 0.01, 1), draw({k: 1.25 * v for k, v in rows.items()}, 0.01, 2, ceiling=80.0)
    assert set(verdicts(before, after).values()) == {"unchanged within noise"}
    other = MACHINE | {"cpu": "D"}
    half = draw({k: 2 * v for k, v in rows.items()}, 0.01, 2, ceiling=50.0, machine=other)
    assert set(verdicts(before, half).values()) == {"unchanged within noise"}
    assert "Another machine" in comparing.text(before, half)
    slow = draw({k: 2 * v for k, v in rows.items()}, 0.01, 2, ceiling=100.0, machine=other)
    assert set(verdicts(before, slow).values()) == {"slower"}


@pytest.mark.parametrize("unit", ["showers/s", "chain-sweeps per second"])
def test_rates_without_a_ceiling_of_their_own_are_compared_in_units_of_that_of_their_process(unit):
    before, after = draw({"a": 80.0}, 0.01, 1, better="more"), draw({"a": 40.0}, 0.01, 2, better="more")
    after["machine"] = MACHINE | {"cpu": "D"}
    for results, ceiling in ((before, 100.0), (after, 50.0)):
        [row] = results["results"].values()
        row["unit"] = unit
        del row["wall"], row["ceiling_gflops"]
        limits = {"float32 64x64x2048, GFLOP/s": measuring.spread([ceiling])._asdict()}
        results["processes"]["a/float32/one"] = {"ceilings": limits}
    assert verdicts(before, after) == {"a": "unchanged within noise"}


def test_what_is_in_one_file_only_is_named_and_the_end_counts():
    before, after = draw({"a": 1.0, "gone": 1.0}, 0.01, 1), draw({"a": 2.0, "new": 1.0}, 0.01, 2)
    said = comparing.text(before, after)
    assert "Only before: a/float32/one/gone" in said and "Only after: a/float32/one/new" in said
    assert said.endswith("1 slower, 0 faster, 0 unchanged within noise")


def test_a_disturbed_time_is_compared_by_cpu_time():
    before, after = draw({"a": 1.0}, 0.01, 1), draw({"a": 1.0}, 0.01, 2)
    for results, clock in ((before, "wall"), (after, "cpu")):
        [row] = results["results"].values()
        row |= {"clock": clock, "cpu": row["value"]}
        row["value"] = {**row["value"], "median": 5.0} if clock == "wall" else row["value"]
    assert verdicts(before, after) == {"a": "unchanged within noise"}


@pytest.mark.parametrize("content", ["no", "[]", json.dumps({"schema": "calojax.bench/0"})])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.json"):
        files.read(path)
