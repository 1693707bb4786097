"""The suite runs end to end, keeps what others measured, and says what it cannot use."""

import json
import os
import signal
import sys
import threading
import time
import types

import pytest

import benchmarks
from benchmarks import files, machine, suite
from calojax import cli, stopping


@pytest.mark.slow
def test_one_short_benchmark_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "found.json"
    assert cli.main(["bench", "generation", "--short", "--out", str(out)]) == 0
    results = files.read(out)
    row = results["results"]["generation/float32/one/batch=1/arrays"]
    assert row["value"]["median"] > 0 and row["gflop_at_ceiling"]["median"] > 0 and row["checked"]["same_again"]
    process = results["processes"]["generation/float32/one"]
    assert process["ceilings"]["copy, GB/s"]["least"] > 0 and process["versions"]["jax"]
    assert results["machine"] == machine.describe()
    said = capsys.readouterr().out
    assert "batch=1/arrays" in said and process["commit"] in said
    assert cli.main(["bench", "--compare", str(out), str(out)]) == 0
    assert "0 slower, 0 faster, 1 unchanged within noise" in capsys.readouterr().out


@pytest.mark.slow
def test_prior_and_decoder_are_parts_of_a_shower(tmp_path):
    out = tmp_path / "found.json"
    assert cli.main(["bench", "latent", "--short", "--out", str(out)]) == 0
    rows = files.read(out)["results"]
    parts = ("decoder", "prior, 500 sweeps", "sweeps=500")
    assert set(rows) == {f"latent/float32/one/batch=1/{part}" for part in parts}
    assert all(row["value"]["median"] > 0 and row["size"] == {"showers": 1} for row in rows.values())


def test_results_of_others_stay_and_failures_are_named(tmp_path, monkeypatch):
    here, out = machine.describe(), tmp_path / "a.json"
    kept = files.empty(here) | {"results": {"couplings/float32/one/a": {}, "generation/float32/one/old": {}}}
    files.write(out, kept)
    monkeypatch.setattr(suite, "TABLE", {"generation": benchmarks.Benchmark("?", ("one", "gpu"), ("float32",))})
    monkeypatch.setattr(suite, "_run", lambda name, options: {"reason": "it broke"})
    monkeypatch.setattr(suite.machine, "describe", lambda: here | {"gpus": []})
    suite.run(out=out)
    found = json.loads(out.read_text())
    assert found["results"] == {"couplings/float32/one/a": {}}
    assert found["left_out"] == {"generation/float32/one": "it broke", "generation/float32/gpu": "no GPU here"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["generation/float32/two"],
        ["--compare", "a.json", "b.json"],
        ["--run", "nowhere"],
        ["--run", "."],
        ["--peers", "nowhere/python"],
        ["--out", "file/a.json"],
    ],
)
def test_what_cannot_be_used_is_one_sentence_before_anything_runs(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suite, "_run", lambda name, options: pytest.fail("it runs"))
    (tmp_path / "file").touch()
    assert cli.main(["bench", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_run_of_another_system_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.toml").touch()
    monkeypatch.setattr(suite.Manifest, "read", lambda run: types.SimpleNamespace(system="qvae"))
    assert cli.main(["bench", "--run", str(tmp_path)]) == 2
    assert "is a run of qvae" in capsys.readouterr().err


def test_a_part_can_be_asked_for_in_a_short_run(monkeypatch):
    ran = []
    monkeypatch.setattr(suite, "_run", lambda name, options: ran.append((name, options.precision)) or {"reason": "-"})
    suite.run(["generation/bfloat16/one"], short=True)
    assert ran == [("generation", "bfloat16")]


def test_a_file_of_another_machine_is_refused(tmp_path, capsys):
    out = tmp_path / "a.json"
    files.write(out, files.empty(machine.describe() | {"cpu": "another"}))
    assert cli.main(["bench", "generation", "--short", "--out", str(out)]) == 2
    assert "another machine" in capsys.readouterr().err


def test_every_benchmark_has_its_script_and_its_line_in_the_docs_and_every_script_with_rows_its_entry():
    scripts = {path.stem for path in files.FOLDER.parent.glob("*.py") if "\ndef run(options" in path.read_text()}
    assert scripts == set(benchmarks.TABLE)
    page = (suite.ROOT / "docs" / "performance.md").read_text()
    assert [name for name in benchmarks.TABLE if f"`{name}`" not in page] == []


def test_an_interrupt_asks_the_process_that_measures_to_end_what_it_began(tmp_path):
    """Killed, it would leave the processes of `scaling` behind, which compute for minutes."""
    begun, ended, main = tmp_path / "begun", tmp_path / "ended", threading.get_ident()
    script = f"""
import pathlib, time
from calojax import stopping
with stopping.interrupting():
    try:
        pathlib.Path({str(begun)!r}).touch()
        time.sleep(60)
    finally:
        pathlib.Path({str(ended)!r}).touch()
"""

    def interrupt():
        until_there(begun)
        signal.pthread_kill(main, signal.SIGTERM)  # so that it is woken, as by a real one

    threading.Thread(target=interrupt).start()
    with stopping.interrupting(), pytest.raises(KeyboardInterrupt):
        suite._waited_for([sys.executable, "-c", script], dict(os.environ))
    until_there(ended)


def until_there(path):
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.02)
