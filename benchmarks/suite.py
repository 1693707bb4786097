"""The benchmarks one after another, their results in one file and as a table: what `calojax bench` runs.

This process imports no JAX and waits: every benchmark runs in a fresh one for each place and precision, so that threads
and memory are its own, and one that fails leaves out itself alone.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import TABLE, Benchmark, comparing, files, machine, tables
from benchmarks.running import Options, environment
from calojax.errors import InputError
from calojax.shards import Manifest

ROOT = Path(__file__).parents[1]
MEASURED = "pyramid"
_ROUNDS = 5


def run(
    names: Sequence[str] = (),
    out: Path | None = None,
    trained: Path | None = None,
    short: bool = False,
    peers: Path | None = None,
) -> str:
    """Measure, write and return the table; progress on stderr.

    names: of TABLE, or NAME/PRECISION/PLACE for one process of it, default all; out: default
    benchmarks/results/MACHINE.json, with `short` none; what the file has of other benchmarks stays; trained: a run to
    measure, default fresh models; short: times mean nothing; peers: the Python of an environment with the
    packages to compare with, default .venv-peers/bin/python if there is one. InputError for what cannot be used, before
    anything is measured.
    """
    every = {name: _settings(TABLE[name], short) for name in TABLE}
    every |= {f"{name}/{'/'.join(one)}": [one] for name in TABLE for one in _settings(TABLE[name], short=False)}
    for name in names:
        if name not in every:
            raise InputError(
                where=f"benchmark {name}",
                found="is unknown",
                rule=f"there are {', '.join(TABLE)}, and their parts such as generation/float32/one",
                remedy="name some of these, or none for all",
            )
    wanted = [(name.partition("/")[0], *one) for name in names or TABLE for one in every[name]]
    here = machine.describe()
    if out is None and not short:
        out = files.FOLDER / f"{here['name']}.json"
    results = _kept(out, here)
    options = Options(
        rounds=1 if short else _ROUNDS,
        short=short,
        run=_trained(trained) if trained else None,
        peers=_interpreter(peers),
    )
    if out:
        files.write(out, results)  # what cannot be written is refused before hours of measuring
    for process, found in _processes(wanted, options, here):
        results = files.replaced(results, process, found)
        if out:
            files.write(out, results)
    return tables.of_results(results)


def compare(before: Path, after: Path) -> str:
    """What became slower from one file of results to another, as Markdown."""
    return comparing.text(files.read(before), files.read(after))


def _kept(out: Path | None, here: dict[str, Any]) -> dict[str, Any]:
    """What the file holds already; InputError if it is of another machine."""
    if out is None or not out.exists():
        return files.empty(here)
    found = files.read(out)
    if found["machine"] != here:
        raise InputError(
            where=str(out),
            found="is of another machine, or of another system on it",
            rule="a file holds the results of one machine",
            remedy="give --out FILE",
        )
    return found


def _trained(run: Path) -> str:
    """The whole path of a run; InputError if it is none of the pyramid."""
    is_run = (run / "config.toml").is_file()
    system = Manifest.read(run).system if is_run else ""
    if system != MEASURED:
        raise InputError(
            where=str(run),
            found=f"is a run of {system}" if is_run else "is no run",
            rule=f"what is measured is a run of {MEASURED}, made by `calojax train`",
            remedy="give another --run, or none for fresh models",
        )
    return str(run.resolve())


def _interpreter(peers: Path | None) -> str | None:
    """The whole path of a Python, links kept, as they make an environment; InputError if one was given in vain."""
    path = peers or ROOT / ".venv-peers" / "bin" / "python"
    if path.is_file():
        return str(path.absolute())
    if not peers:
        return None
    raise InputError(
        where=str(peers),
        found="is no file",
        rule="packages to compare with are those of a Python",
        remedy="make one with `make bench-peers`, or leave --peers out",
    )


def _processes(
    wanted: Sequence[tuple[str, str, str]], options: Options, here: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(NAME/PRECISION/PLACE, what it found) of every process, one after another."""
    origin = _origin()
    for name, precision, place in wanted:
        process = f"{name}/{precision}/{place}"
        if place == "gpu" and not here["gpus"]:
            yield process, {"reason": "no GPU here"}
            continue
        print(f"{process} ...", end="", file=sys.stderr, flush=True)
        began = time.perf_counter()
        found = _run(name, options._replace(place=place, precision=precision))
        print(f" {time.perf_counter() - began:.0f} s {found.get('reason', '')}", file=sys.stderr, flush=True)
        if "process" in found:
            found["process"] = origin | {"made": _now()} | found["process"]
        yield process, found


def _settings(benchmark: Benchmark, short: bool) -> list[tuple[str, str]]:
    """(precision, place) of every process; the first ones only, if it is to be short."""
    precisions, places = (of[:1] if short else of for of in (benchmark.precisions, benchmark.places))
    return [(precision, place) for precision in precisions for place in places]


def _run(name: str, options: Options) -> dict[str, Any]:
    """What a script finds in a process of its own, or the last line of its error as the reason to leave it out."""
    with tempfile.TemporaryDirectory(prefix="calojax-bench-") as folder:
        told, said = Path(folder, "options.json"), Path(folder, "result.json")
        told.write_text(json.dumps(options._asdict()))
        command = [sys.executable, "-m", "benchmarks.running", name, str(told), str(said)]
        code, complaints = _waited_for(command, environment(options))
        if code == 0:
            return json.loads(said.read_text())
        sys.stderr.write(f"\n{complaints}")
        return {"reason": (complaints.strip().splitlines() or [f"ended with {code}"])[-1]}


def _waited_for(command: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Exit code and stderr of a process; whoever is interrupted meanwhile asks it to end, and it ends what it began."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=variables, text=True, **pipes) as process:
        try:
            complaints = process.communicate()[1]
        except BaseException:
            process.terminate()
            raise
    return process.returncode, complaints


def _origin() -> dict[str, Any]:
    """Which code is measured, where git knows."""
    ask = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    try:
        return {"commit": ask("rev-parse", "--short", "HEAD").strip(), "dirty": bool(ask("status", "--porcelain"))}
    except OSError:
        return {"commit": "", "dirty": None}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
