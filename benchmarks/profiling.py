"""Where the time of a tile of showers goes, by stage, loop and operation, on one thread.

    python -m benchmarks.profiling [RUN] [--batch N] [--precision bfloat16] [--least US]

JAX's profiler times what XLA calls instructions; the text of the compiled program says which loop each is in and which
lines of the package it was made from. The profiler adds a fraction of a microsecond to each launch.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax

import calojax
from benchmarks import by_hand, subject, tables
from benchmarks.running import Options, alone, environment

jax.config.update("jax_traceback_in_locations_limit", -1)  # JAX keeps the innermost ten frames, most of them its own

PACKAGE = Path(calojax.__file__).parent
_CONTAINERS = frozenset(("while", "call", "conditional"))  # their time is that of what is in them
_HEADER = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\(")
_CALLED = re.compile(r"\b(?:body|condition|to_apply|calls)=%?([\w.\-]+)")


class Operation(NamedTuple):
    """An instruction of a compiled program: microseconds and launches of a call; loop: the innermost while around it,
    "" without one; frames: FILE:LINE it was made from, innermost first, its own and those of the loops around it."""

    name: str
    shape: str
    loop: str
    frames: tuple[str, ...]
    microseconds: float
    launches: float

    @property
    def product(self) -> bool:
        return self.name.startswith(("ynn_fusion", "dot"))


class _Instruction(NamedTuple):
    computation: str
    shape: str
    kind: str
    frame: int
    called: tuple[str, ...]


def operations(compiled: Any, call: Callable[[], Any], repeats: int) -> list[Operation]:
    """What ran in `call`, which runs the compiled program; the slowest first."""
    program, frames = _program(compiled.as_text()), _frames(compiled.as_text())
    caller = {computation: name for name, each in program.items() for computation in each.called}

    def around(name: str) -> Iterable[str]:
        while (above := caller.get(program[name].computation)) is not None:
            yield (name := above)

    found = []
    for name, times in _profiled(call, repeats).items():
        if name not in program or program[name].kind in _CONTAINERS:
            continue
        outer = list(around(name))
        loop = next((each for each in outer if program[each].kind == "while"), "")
        where = tuple(line for each in (name, *outer) for line in frames(program[each].frame))
        time = statistics.median(times) * len(times) / repeats / 1e3
        found.append(Operation(name, program[name].shape, loop, where, time, len(times) / repeats))
    return sorted(found, key=lambda each: -each.microseconds)


def by_stage(found: Iterable[Operation]) -> dict[str, float]:
    """Microseconds of each stage of the pyramid, "elsewhere" for what is around them."""
    times: dict[str, float] = defaultdict(float)
    for each in found:
        times[subject.stage(each.frames) or "elsewhere"] += each.microseconds
    return dict(times)


def _profiled(call: Callable[[], Any], repeats: int) -> dict[str, list[float]]:
    """Nanoseconds of everything that the profiler saw, by name."""
    jax.block_until_ready(call())
    times: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(repeats):
                jax.block_until_ready(call())
        [file] = Path(folder).glob("plugins/profile/*/*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for line in plane.lines:
                for event in line.events:
                    times[event.name].append(event.duration_ns)
    return times


def _program(text: str) -> dict[str, _Instruction]:
    """Instructions by name."""
    found, computation = {}, ""
    for line in text.splitlines():
        if header := _HEADER.match(line):
            computation = header[1]
        elif said := _INSTRUCTION.match(line):
            frame = re.search(r"stack_frame_id=(\d+)", line)
            called = tuple(_CALLED.findall(line)) if said[3] in _CONTAINERS else ()
            found[said[1]] = _Instruction(computation, said[2], said[3], int(frame[1]) if frame else 0, called)
    return found


def _frames(text: str) -> Callable[[int], list[str]]:
    """Lines of the package that a stack frame of a compiled program stands for, innermost first."""
    names, places, stack = (_table(text, name) for name in ("FileNames", "FileLocations", "StackFrames"))
    numbers = lambda entry: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", entry)}
    none = numbers(stack.get(1, "")).get("parent_frame_id", 0)  # the first frame has no parent: so that is written

    def lines(frame: int) -> list[str]:
        found = []
        while frame in stack:
            entry = numbers(stack[frame])
            place = numbers(places[entry["file_location_id"]])
            file = Path(names[place["file_name_id"]].strip('"'))
            if file.is_relative_to(PACKAGE):
                found.append(f"{file.relative_to(PACKAGE).as_posix()}:{place['line']}")
            frame = entry.get("parent_frame_id", none) - none
        return found

    return lines


def _table(text: str, name: str) -> dict[int, str]:
    found = re.search(rf"^{name}\n((?:\d+ .*\n)+)", text, re.M)
    lines = (line.partition(" ") for line in found[1].splitlines()) if found else ()
    return {int(number): entry for number, _, entry in lines}


def report(found: list[Operation], batch: int, least: float) -> str:
    """Markdown: loops, then operations of at least so many microseconds of a shower."""
    loops: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for each in found:
        loops[subject.stage(each.frames) or "elsewhere", each.loop].append(each)
    total = lambda of: sum(each.microseconds for each in of) / batch
    head = ("stage", "loop", "us a shower", "of it products", "launches a tile")
    lines = []
    for (stage, loop), of in sorted(loops.items(), key=lambda pair: -total(pair[1])):
        if total(of) >= least:
            products = total(each for each in of if each.product)
            launches = sum(each.launches for each in of)
            lines.append((stage, loop, f"{total(of):.0f}", f"{products:.0f}", f"{launches:.0f}"))
    lines.append(("all", "", f"{total(found):.0f}", f"{total(e for e in found if e.product):.0f}", _launches(found)))
    parts = [tables.table(head, lines)]
    rows = [each for each in found if each.microseconds / batch >= least]
    head = ("us a shower", "launches", "operation", "shape", "stage", "from")
    parts.append(tables.table(head, (_cells(each, batch) for each in rows)))
    return "\n\n".join(parts)


def _launches(found: list[Operation]) -> str:
    return f"{sum(each.launches for each in found):.0f}"


def _cells(each: Operation, batch: int) -> tuple[str, ...]:
    shape = re.sub(r"\{[\d,]*\}", "", each.shape)[:30]
    of_stage = next((line for line in each.frames if subject.stage([line])), "")
    source = " < ".join(dict.fromkeys((*each.frames[:1], of_stage)))
    stage = subject.stage(each.frames) or "elsewhere"
    return (f"{each.microseconds / batch:.1f}", f"{each.launches:.0f}", each.name, shape, stage, source)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="a trained run; default: a fresh model")
    parser.add_argument("--batch", type=int, default=100, help="showers of the tile; default 100")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=5, help="tiles that are profiled; default 5")
    parser.add_argument("--least", type=float, default=5.0, metavar="US", help="of what is listed; default 5")
    args = parser.parse_args()
    tile = subject.tile(subject.load(args.run, args.precision), args.batch)
    compiled = tile.function.lower(*tile.args).compile()
    found = operations(compiled, lambda: compiled(*tile.args), args.repeats)
    print(report(found, args.batch, args.least))


if __name__ == "__main__":
    if not alone():  # threads are set before JAX is there
        command = [sys.executable, "-m", "benchmarks.profiling", *sys.argv[1:]]
        os.execve(sys.executable, command, environment(Options(place="one")))
    by_hand.call(main)
