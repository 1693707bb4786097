"""Workers of other libraries, asked one at a time, so that a round measures each within the same second.

They inherit the cores of whoever starts them, run one thread each, and wait without computing.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import measuring
from benchmarks.running import Options, environment

OURS = "calojax"
ROOT = Path(__file__).parents[2]


class PeerFailed(Exception):
    """What a worker could not do, in a sentence."""


class Peer:
    """A worker that is up: `versions` of what it has loaded, and `ask`."""

    def __init__(self, process: subprocess.Popen[str], complaints: Any) -> None:
        self._process, self._complaints = process, complaints
        self.versions: dict[str, str] = self._answer()["versions"]

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """What the worker's method `do` returns. Raises PeerFailed if it failed or the worker is gone."""
        with contextlib.suppress(BrokenPipeError):  # then it is gone: why, is said below
            print(json.dumps({"do": do} | arguments), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise PeerFailed(self._last_words())
        found = json.loads(line)
        if "error" in found:
            raise PeerFailed(found["error"])
        return found

    def _last_words(self) -> str:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"it ended with {code}" + (f": {said[-1]}" if said else "")


@contextmanager
def running(interpreter: str | Path, name: str) -> Iterator[Peer]:
    """A worker for MODULE:CLASS in this interpreter; raises PeerFailed where that cannot be loaded."""
    with tempfile.TemporaryFile() as complaints, ExitStack() as stack:
        command = [str(interpreter), "-m", "benchmarks.peers.worker", name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": complaints, "text": True}
        try:
            process = subprocess.Popen(command, cwd=ROOT, env=environment(Options(place="one")), **pipes)
        except OSError as error:
            raise PeerFailed(f"{interpreter} does not start: {error.strerror}") from error
        stack.callback(_end, process)
        yield Peer(process, complaints)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what was not read any more
            if pipe:
                pipe.close()
    process.wait()


@contextmanager
def all_running(names: Mapping[str, str], python: str | None) -> Iterator[tuple[dict[str, Peer], dict[str, str]]]:
    """Workers by library in this interpreter, and why the others are left out.

    names: MODULE:CLASS by library; that of calojax is loaded by the interpreter that runs this.
    """
    with ExitStack() as stack:
        peers: dict[str, Peer] = {}
        left_out: dict[str, str] = {}
        for library, name in names.items():
            interpreter = sys.executable if library == OURS else python
            try:
                if interpreter is None:
                    raise PeerFailed("no environment of the packages to compare with: `make bench-peers`, or --peers")
                peers[library] = stack.enter_context(running(interpreter, name))
            except PeerFailed as failure:
                left_out[library] = str(failure)
        yield peers, left_out


def turn(peer: Peer, do: str, **arguments: Any) -> tuple[float, float]:
    """Seconds of wall and CPU time that a worker took for what it was asked."""
    found = peer.ask(do, **arguments)
    return found["wall"], found["cpu"]


def ratio(theirs: measuring.Timing, ours: measuring.Timing) -> dict[str, Any]:
    """Row: how many times our CPU time theirs is, round by round."""
    pairs = zip(theirs.cpu.rounds, ours.cpu.rounds, strict=True)
    return measuring.row(measuring.spread(one / other for one, other in pairs), "x", "more")
