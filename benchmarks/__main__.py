"""Measure speed beside the machine's own limits: `python -m benchmarks [NAME...]`; see `--help`.

This process imports no JAX and waits: every benchmark runs in a fresh one for each place and precision, so that threads
and memory are its own, and one that fails leaves out itself alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import TABLE, Benchmark, files, machine, tables
from benchmarks.running import Options, environment
from calojax.errors import InputError

ROOT = Path(__file__).parents[1]
_ROUNDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one sentence for arguments that cannot be used."""
    args = _parser().parse_args(arguments)
    try:
        return _measure(args)
    except InputError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    questions = "\n".join(f"  {name:12} {benchmark.question}" for name, benchmark in TABLE.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__.splitlines()[0],
        epilog=f"names:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks; default all")
    text = (
        "JSON file; results of other benchmarks in it stay; default benchmarks/results/MACHINE.json, with --short none"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help=text)
    parser.add_argument("--run", type=Path, metavar="RUN", help="a trained run; default: fresh models")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"of every time; default {_ROUNDS}")
    parser.add_argument("--short", action="store_true", help="seconds, to see that it runs: times mean nothing")
    text = "interpreters of environments with the packages to compare with; default .venv-peers/bin/python if it exists"
    parser.add_argument("--peers", type=Path, nargs="+", metavar="PYTHON", help=text)
    return parser


def _measure(args) -> int:
    for name in args.names:
        if name not in TABLE:
            raise InputError(
                where=f"benchmark {name}",
                found="is unknown",
                rule=f"there are {', '.join(TABLE)}",
                remedy="name some of these, or none for all",
            )
    here = machine.describe()
    out = args.out or (None if args.short else files.FOLDER / f"{here['name']}.json")
    results = _kept(out, here)
    for process, found in _processes(args, here):
        results = files.replaced(results, process, found)
        if out:
            files.write(out, results)
    print(tables.of_results(results))
    return 0


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


def _processes(args, here: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(NAME/PRECISION/PLACE, what it found) of every process, one after another."""
    origin = _origin()
    for name in args.names or TABLE:
        for precision, place in _settings(TABLE[name], args.short):
            process = f"{name}/{precision}/{place}"
            if place == "gpu" and not here["gpus"]:
                yield process, {"reason": "no GPU here"}
                continue
            print(f"{process} ...", end="", file=sys.stderr, flush=True)
            began = time.perf_counter()
            found = _run(name, _options(args, place, precision))
            print(f" {time.perf_counter() - began:.0f} s {found.get('reason', '')}", file=sys.stderr, flush=True)
            if "process" in found:
                found["process"] = origin | {"made": _now()} | found["process"]
            yield process, found


def _settings(benchmark: Benchmark, short: bool) -> list[tuple[str, str]]:
    """(precision, place) of every process; the first ones only, if it is to be short."""
    precisions, places = (of[:1] if short else of for of in (benchmark.precisions, benchmark.places))
    return [(precision, place) for precision in precisions for place in places]


def _options(args, place: str, precision: str) -> Options:
    peers = args.peers or ROOT.glob(".venv-peers*/bin/python")
    return Options(
        place=place,
        precision=precision,
        rounds=1 if args.short else args.rounds,
        short=args.short,
        run=str(args.run.resolve()) if args.run else None,
        peers=tuple(str(python.absolute()) for python in peers),
    )


def _run(name: str, options: Options) -> dict[str, Any]:
    """What a script finds in a process of its own, or the last line of its error as the reason to leave it out."""
    with tempfile.TemporaryDirectory(prefix="calojax-bench-") as folder:
        told, said = Path(folder, "options.json"), Path(folder, "result.json")
        told.write_text(json.dumps(options._asdict()))
        command = [sys.executable, "-m", "benchmarks.running", name, str(told), str(said)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(options), stdout=sys.stderr, stderr=subprocess.PIPE, text=True
        )
        if done.returncode == 0:
            return json.loads(said.read_text())
        sys.stderr.write(f"\n{done.stderr}")
        return {"reason": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]}


def _origin() -> dict[str, Any]:
    """Which code is measured, where git knows."""
    ask = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    try:
        return {"commit": ask("rev-parse", "--short", "HEAD").strip(), "dirty": bool(ask("status", "--porcelain"))}
    except OSError:
        return {"commit": "", "dirty": None}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


if __name__ == "__main__":
    sys.exit(main())
