"""Kill what writes at random moments, go on in a fresh process, and compare with what was never disturbed.

`python tests/kills.py --rounds N --seed S` prints a table of what was killed and what survived, and exits with 1 if
anything differed. A round makes one thing: some processes are killed one after another, the last one is left alone.
The moments are drawn over the whole duration of an undisturbed process, or just after a change in the names of files
that it makes, since that is where things can be half done.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import jax
import numpy as np

from calojax import data, training
from calojax import system as systems
from calojax.shards import Manifest, Shards
from calojax.training import folder, metrics, step
from calojax.training.checkpoints import Checkpoints

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "training"))
COMMAND = f"""
import sys
sys.path[:0] = [{str(HERE.parent)!r}, {str(HERE / "training")!r}]
from calojax import cli, system
known = system.load_config
def load_config(name):
    if name != "tiny":
        return known(name)
    system.TABLE["tiny"] = "tiny_system"  # not earlier: the parser looks at all systems, and this one imports JAX
    return system.load("tiny").Config
system.load_config = load_config
sys.exit(cli.main(sys.argv[1:]))
"""
OUT = "made"
CLOCK = ("steps_per_second", "rows_per_second", "wait_share")
JUST_AFTER = 0.03  # seconds behind a change of names
LOOK_EVERY = 0.004  # seconds between two looks at the names, which cost the process that is watched time as well
MOST_KILLS = 3  # in one round
PATIENCE = 600.0  # seconds until a process that does not end is a defect

TINY = """
system = "tiny"
split = true
[training]
steps = 40
batch = 16
tile = 8
warmup_steps = 5
validation_rows = 20
evaluate_every = 10
checkpoint_every = 2
keep = 2
log_every = 4
"""
PYRAMID = """
system = "pyramid"
[model]
hidden = 4
cell_hidden = 4
couplings = 2
bins = 2
pooled = 2
[training]
steps = 20
batch = 8
tile = 8
warmup_steps = 2
validation_rows = 8
evaluate_every = 5
checkpoint_every = 2
log_every = 3
[generation]
tile = 8
window = 64
"""


class Job(NamedTuple):
    """Something that is made by a command: arguments with a path to write to, and how what is there is judged."""

    name: str
    arguments: Callable[[Path], list[Any]]
    again: bool  # whether the command may be given again when all is done
    place: Callable[[Path], str]  # of a kill, from what it left
    differences: Callable[[Path, Path, bool], Iterator[str]]  # (made, undisturbed, only SIGKILL) -> in words


class Kill(NamedTuple):
    job: str
    signal: str
    place: str
    code: int


class Undisturbed(NamedTuple):
    """A finished thing, how long its process took, and how often the names of its files changed."""

    out: Path
    seconds: float
    changes: int


# ---- one process


def start(arguments: list[Any], cache: Path) -> subprocess.Popen:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "JAX_PLATFORMS": "cpu"}
    for name in ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"):
        environment.pop(name, None)
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    )


def names(top: Path) -> frozenset[str]:
    """Everything below a folder, but for what vanishes while it is looked at."""
    return frozenset(os.path.join(at, name) for at, inner, files in os.walk(top) for name in (*inner, *files))


def watch(process: subprocess.Popen, top: Path, until: Callable[[float, int], bool]) -> tuple[float, int]:
    """Wait until the process ends or something holds of (seconds, changes of names); both are returned."""
    began, changes, before = time.monotonic(), 0, names(top)
    while process.poll() is None:
        now = names(top)
        changes, before = changes + (now != before), now
        seconds = time.monotonic() - began
        if until(seconds, changes):
            break
        if seconds > PATIENCE:
            process.kill()
        time.sleep(LOOK_EVERY)
    return time.monotonic() - began, changes


def whole(process: subprocess.Popen) -> None:
    """Wait for its end; an assertion if it fails."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, f"exit code {process.returncode}: {said[-3000:]}"


def disturb(job: Job, out: Path, like: Undisturbed, number: int, cache: Path, draw: random.Random) -> Kill | None:
    """Start the command, and send it a signal at a random moment; None if it was done before."""
    process = start(job.arguments(out), cache)
    if draw.random() < 0.5:
        moment = draw.uniform(0, like.seconds)
        watch(process, out.parent, lambda seconds, _: seconds >= moment)
    else:
        change = draw.randint(1, max(1, like.changes))
        watch(process, out.parent, lambda _, changes: changes >= change)
        time.sleep(draw.uniform(0, JUST_AFTER))
    if process.poll() is not None:
        whole(process)
        return None
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    code = process.returncode
    assert code in (-number, 130, 0), f"{job.name}: exit code {code} after signal {number}: {said[-3000:]}"
    return Kill(job.name, signal.Signals(number).name, job.place(out), code)


# ---- rounds


def undisturbed(job: Job, top: Path, cache: Path) -> Undisturbed:
    out = top / "undisturbed" / OUT
    out.parent.mkdir(parents=True)
    process = start(job.arguments(out), cache)
    seconds, changes = watch(process, out.parent, lambda *_: False)
    whole(process)
    return Undisturbed(out, seconds, changes)


def play(
    job: Job, out: Path, like: Undisturbed, signals: tuple[int, ...], cache: Path, draw: random.Random
) -> tuple[list[Kill], list[str]]:
    """One round: the signals that hit a process, and in what its result differs from the undisturbed one."""
    out.parent.mkdir(parents=True)
    hits = []
    for number in signals:
        if out.exists() and not job.again:
            break
        if hit := disturb(job, out, like, number, cache, draw):
            hits.append(hit)
    if job.again or not out.exists():
        whole(start(job.arguments(out), cache))
    found = list(job.differences(out, like.out, all(number == signal.SIGKILL for number in signals)))
    if beside := sorted(path.name for path in out.parent.iterdir() if path != out):
        found.append(f"beside it lies {', '.join(beside)}")
    return hits, [f"{job.name}, {out.parent}: {difference}" for difference in found]


def campaign(
    job: Job, top: Path, rounds: int, draw: random.Random, cache: Path, *, gently: bool = False, cold: int = 0
) -> tuple[list[Kill], list[str]]:
    """Rounds of one job. cache: where compiled functions are; gently: SIGTERM and SIGINT in place of SIGKILL; cold: the
    last of so many rounds finds nothing compiled."""
    like = undisturbed(job, top, cache)
    hits, found = [], []
    for number in range(rounds):
        kinds = (signal.SIGTERM, signal.SIGINT) if gently else (signal.SIGKILL,)
        signals = tuple(draw.choice(kinds) for _ in range(draw.randint(1, MOST_KILLS)))
        own = top / f"cache-{number}" if cold and number % cold == cold - 1 else cache
        more, wrong = play(job, top / f"round-{number}" / OUT, like, signals, own, draw)
        hits += more
        found += wrong
    return hits, found


# ---- jobs


def train(config: Path, shards: Path) -> Job:
    def run(out):
        return ["train", config, "--data", shards, "--out", out, "--resume"]

    return Job(f"train {config.stem}", run, True, _training_place, training_differences)


def prepare(source: Path, rows_per_shard: int) -> Job:
    def shards(out):
        return ["prepare", "pyramid", source, "--out", out, "--rows-per-shard", rows_per_shard]

    return Job("prepare", shards, False, _preparing_place, shard_differences)


def generate(run: Path, n: int, form: str = "voxels") -> Job:
    def showers(out):
        request = ["--n", n, "--energy-range", "2600:3900", "--seed", 3, "--chunk", 64, "--format", form]
        return ["generate", run, *request, "--out", out, "--resume"]

    return Job(f"generate {form}", showers, True, _generating_place, file_differences)


def _training_place(run: Path) -> str:
    if not run.is_dir():
        return "before there is a run folder"
    entries = [path.name for path in (run / "checkpoints").glob("*")]
    kept = [name for name in entries if name.isdigit()]
    if any("orbax-checkpoint-tmp" in name for name in entries):
        return "during a save"
    if any(not _has_all_items(run / "checkpoints" / name) for name in kept):
        return "while an old checkpoint was removed"
    return "between saves" if kept else "before the first checkpoint"


def _has_all_items(checkpoint: Path) -> bool:
    return all((checkpoint / item).is_dir() for item in ("params", "ema", "optimiser", "state", "meta", "metrics"))


def _preparing_place(out: Path) -> str:
    partial = out.with_name(f".{out.name}.partial")
    if out.exists():
        return "after the end"
    if not partial.is_dir():
        return "before the first shard"
    if (partial / "manifest.json").exists() or (partial / "statistics.npz").exists():
        return "during statistics and manifest"
    try:
        noted = json.loads((partial / "progress.json").read_text())["whole"]
    except FileNotFoundError:
        noted = []
    known = {name for shard in noted for name in shard["part"]["files"]} | {"progress.json"}
    return "while a shard was written" if {path.name for path in partial.iterdir()} - known else "between shards"


def _generating_place(out: Path) -> str:
    partial = out.with_name(f".{out.name}.partial")
    if out.exists():
        return "while pieces were removed" if partial.exists() else "after the end"
    if not partial.is_dir():
        return "before the first piece"
    inside = {path.name for path in partial.iterdir()}
    if "whole" in inside:
        return "while the file was put together"
    return "while a piece was written" if any(name.endswith(".npz.partial") for name in inside) else "between pieces"


# ---- comparing


def training_differences(run: Path, other: Path, exactly: bool) -> Iterator[str]:
    """Lines of metrics, all that the last and the best checkpoint hold, the names of files. exactly: which checkpoints
    are there, too; one that an interrupted run saves is of a step of its own."""
    if _lines(run) != _lines(other):
        yield "metrics.jsonl differs"
    if names_of(run) != names_of(other):
        yield f"it holds {names_of(run)}"
    with Checkpoints(run) as ours, Checkpoints(other) as theirs:
        if exactly and ours.steps() != theirs.steps():
            yield f"checkpoints of the steps {ours.steps()}, not {theirs.steps()}"
        for which in ("last", "best"):
            at, expected = ours.named(which), theirs.named(which)
            if at != expected:
                yield f"the {which} checkpoint is of step {at}, not {expected}"
                continue
            if _meta(ours.meta(at)) != _meta(theirs.meta(at)):
                yield f"the position of the {which} checkpoint differs"
            if exactly or which == "last":
                yield from _unequal(f"{which} checkpoint", _state(run, ours, at), _state(other, theirs, at))
    if training.load(run).step != training.load(other).step:
        yield "another checkpoint is loaded"
    for path in (run / "checkpoints").iterdir():
        if not path.name.isdigit() or not _has_all_items(path):
            yield f"{path.name} is no whole checkpoint"


def shard_differences(out: Path, other: Path, exactly: bool) -> Iterator[str]:
    """Every byte, by its checksum, and the names of files."""
    if Manifest.read(out).digest != Manifest.read(other).digest:
        yield "the manifest differs"
    found = set(names_of(out))
    expected = {*Manifest.read(other).files(), "manifest.json"}
    if found - {"verified"} != expected:
        yield f"files differ: {sorted(found ^ expected)}"
    Shards(out, verify=True)


def file_differences(out: Path, other: Path, exactly: bool) -> Iterator[str]:
    if out.read_bytes() != other.read_bytes():
        yield "its bytes differ"


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _lines(run: Path) -> list[Any]:
    """Every line of the file, whole or not, without what a clock decides."""
    lines = [json.loads(line) for line in (run / metrics.METRICS).read_text().splitlines()]
    return [(line["step"], line["phase"], _timeless(line["values"])) for line in lines]


def _meta(meta: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in meta.items() if name not in ("seconds", "versions")}
    return kept | {"values": _timeless(meta["values"])}


def _timeless(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in CLOCK}


def _state(run: Path, checkpoints: Checkpoints, at: int) -> step.TrainState:
    """Parameters, moving average, optimiser and state of a checkpoint of the last phase."""
    manifest, module, config = folder.describe(run)
    phase = module.phases(config)[checkpoints.meta(at)["phase"]]

    def begin():
        params, state = folder.initial(module, config, manifest)
        return step.begin(phase, params, params, state, 0, config.training)

    return checkpoints.restore(at, folder._on_one_device(jax.eval_shape(begin)))


def _unequal(what: str, tree: Any, other: Any) -> Iterator[str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    for (path, leaf), expected in zip(leaves, jax.tree.leaves(other), strict=True):
        if np.asarray(leaf).tobytes() != np.asarray(expected).tobytes():
            yield f"{what}: {jax.tree_util.keystr(path)} differs"


# ---- the command line


def slice_of_the_sample(path: Path) -> Path:
    """40 showers of like energy, so that one size of batch fits all."""
    with h5py.File(data.sample("pyramid")) as source, h5py.File(path, "w") as out:
        energies, showers = (source[key][:] for key in ("incident_energies", "showers"))
        rows = np.flatnonzero((energies[:, 0] > 2500) & (energies[:, 0] < 4000))[:40]
        out["incident_energies"], out["showers"] = energies[rows], showers[rows]
    return path


def jobs(top: Path) -> Iterator[Job]:
    """All of them; what they need is made in `top`."""
    import tiny_system  # noqa: PLC0415  (found through the path set above)

    for name, text in (("tiny", TINY), ("pyramid", PYRAMID)):
        (top / f"{name}.toml").write_text(text)
    tiny_system.write_shards(top / "tiny-shards")
    yield train(top / "tiny.toml", top / "tiny-shards")
    yield prepare(data.sample("pyramid"), 64)
    whole(start(prepare(slice_of_the_sample(top / "slice.hdf5"), 8).arguments(top / "shards"), top / "cache"))
    pyramid = train(top / "pyramid.toml", top / "shards")
    yield pyramid
    whole(start(pyramid.arguments(top / "run"), top / "cache"))
    yield generate(top / "run", 1500)
    yield generate(top / "run", 1500, "points")


def rows(hits: list[Kill]) -> list[str]:
    """Of a table in Markdown: how often a running process was hit, by job, signal, place and exit code."""
    counted = Counter((hit.job, hit.signal, hit.place, hit.code) for hit in hits)
    return [f"| {job} | {name} | {place} | {code} | {n} |" for (job, name, place, code), n in sorted(counted.items())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of each job; of up to three signals each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gently", action="store_true", help="SIGTERM and SIGINT in place of SIGKILL")
    parser.add_argument("--only", default="", help="jobs whose name begins with it")
    parser.add_argument("--out", type=Path, help="folder to work in, kept; default a temporary one")
    args = parser.parse_args()
    systems.TABLE["tiny"] = "tiny_system"
    total, wrong = 0, []
    print("| job | signal | when | exit code | times |", "|---|---|---|---|---|", sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        top = args.out or Path(temporary)
        top.mkdir(parents=True, exist_ok=True)
        for job in jobs(top):
            if job.name.startswith(args.only):
                place, draw = top / job.name.replace(" ", "-"), random.Random(f"{args.seed} {job.name}")
                undisturbed(job, place / "compiling", top / "cache")
                hits, found = campaign(job, place, args.rounds, draw, top / "cache", gently=args.gently, cold=4)
                total, wrong = total + len(hits), wrong + found
                print(*rows(hits), sep="\n", flush=True)
    print("", f"{total} processes were hit, {len(wrong)} differences", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
