"""Whether a shower costs what its hits cost, or what the cells of its detector cost: data sets 2 and 3 side by side.

    python -m benchmarks.detectors --figure FILE.png [--results RESULTS.json]

draws what was measured. Data set 3 has 6.25 times the cells. Its showers here are a toy (see `finer`), and the models
are fresh: they know how many rings and cells are hit at an energy, which decides the time, and nothing else.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import arithmetic, by_hand, files, finer, machine, measuring, subject
from benchmarks.running import Options
from calojax import data, experiments, preparation
from calojax import system as systems
from calojax.errors import InputError

EXPERIMENTS = {"ds2": subject.EXPERIMENT, "ds3": subject.EXPERIMENT.with_name("ds3.toml")}
ENERGIES = (1, 3, 10, 30, 100)  # GeV
_TILE = 25
_SEED = 1


class Tile(NamedTuple):
    """A compiled tile of showers of one energy: what it is called with, the showers, and what it takes."""

    call: Any
    found: Any
    capacity: tuple[int, ...]
    mflop: float
    mib: float
    compile_s: float


def run(options: Options) -> dict[str, Any]:
    """Rows DETECTOR/ENERGY in ms per shower; ratio/ENERGY: of data set 3 to data set 2 with as many hits."""
    jax.config.update("jax_enable_compilation_cache", False)
    showers, asked = (2, ENERGIES[:1]) if options.short else (_TILE, ENERGIES)
    tiles = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in EXPERIMENTS:
            fresh = model(name, Path(folder), options.short)
            tiles |= {f"{name}/{gev} GeV": tile(fresh, gev, showers) for gev in asked}
    calls = {"ceiling": machine.product("float32")[0]} | {key: made.call for key, made in tiles.items()}
    timings = measuring.measured(calls, options.rounds, options.seconds)
    limit = (timings["ceiling"], machine.FLOP)
    rows = {key: row(made, timings[key], limit, showers, options.place) for key, made in tiles.items()}
    return {"results": rows | ratios(rows), "left_out": {}}


def model(name: str, folder: Path, short: bool) -> subject.Subject:
    """A fresh pyramid that knows the sizes of showers in a detector: of the sample, or of the toy made of it."""
    asked = experiments.read(EXPERIMENTS[name], ["data.rows=50"] if short else [])
    system, source = systems.load(asked.system), data.sample(asked.system)
    if name == "ds3":
        finer.write(source, folder / "toy.hdf5", rows=asked.config.data.rows)
        source = folder / "toy.hdf5"
    manifest = preparation.prepare(asked.system, [source], folder / name, asked.config)
    key = jax.random.key(0, impl="unsafe_rbg")  # compiles in a third of the time, and nobody trains from here
    made = jax.jit(lambda key: system.init(key, asked.config, manifest))(key)
    return subject.Subject(system, asked.config, made, manifest)


def tile(of: subject.Subject, gev: float, showers: int) -> Tile:
    """Compiled at the capacity that the energy suggests, or at the next that is large enough."""
    system, config, model, _ = of
    config = subject.set_to(config, "generation", tile=showers, window=showers)
    conditions = {"incident_energy": np.full(showers, 1e3 * gev, np.float32)}
    keys = jax.random.split(jax.random.key(_SEED), showers)
    level = system.expected_capacity(config, model.constants, conditions)
    for capacity in system.capacities(config, model.constants)[level:]:
        generate = lambda m, c, k, capacity=capacity: system.generate(m, c, k, config, capacity)
        arguments = (model, conditions, keys)
        began = time.perf_counter()
        compiled = jax.jit(generate).lower(*arguments).compile()
        compile_s = time.perf_counter() - began
        found = jax.device_get(compiled(*arguments))
        if not found.overflow:
            break
    counted = arithmetic.of(generate, *arguments)[""]["products"] / 1e6 / showers
    memory: Any = compiled.memory_analysis()
    mib = (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20
    arguments = jax.device_put(arguments)
    return Tile(lambda: compiled(*arguments), found, capacity, counted, mib, compile_s)


def row(made: Tile, timing: measuring.Timing, ceiling: measuring.Ceiling, showers: int, place: str) -> dict[str, Any]:
    """Of a tile: ms per shower, beside how many hits that was for; raises if they are none or not finite."""
    hits = float(made.found.count.mean())
    energy = made.found.energy[: made.found.count.sum()]
    if not hits or not np.isfinite(energy).all() or not (energy > 0).all():
        raise ValueError("showers are empty, or energies not finite and above 0")
    found = measuring.timed(timing, place, "ms per shower", 1e3 / showers, ceiling=ceiling, mflop=made.mflop)
    return found | {
        "hits": hits,
        "us_per_hit": 1e3 * found["value"]["median"] / hits,
        "kib_per_shower": 1024 * made.mib / showers,
        "size": {"tile": showers, "capacity": made.capacity},
        "compile_s": made.compile_s,
        "checked": {"finite": True, "overflow": False},
    }


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Showers of data set 3 in units of those of data set 2 with as many hits, where there are some to both sides."""
    small = [row for key, row in rows.items() if key.startswith("ds2/")]
    hits = [other["hits"] for other in small]
    found = {}
    for name, one in ((key.removeprefix("ds3/"), row) for key, row in rows.items() if key.startswith("ds3/")):
        if not min(hits) <= one["hits"] <= max(hits):
            continue
        alike = lambda values, one=one: np.exp(np.interp(np.log(one["hits"]), np.log(hits), np.log(values)))
        of_rounds = zip(one["value"]["rounds"], *(other["value"]["rounds"] for other in small), strict=True)
        spread = measuring.spread(ms / alike(others) for ms, *others in of_rounds)
        more = {key: one[key] / alike([other[key] for other in small]) for key in ("mflop", "kib_per_shower")}
        found[f"ratio/{name}"] = measuring.row(spread, "x", hits=one["hits"], **more)
    return found


_LOOK = {"ds2": ("data set 2: 6,480 cells", "#2f6f9f", "o"), "ds3": ("data set 3 (toy): 40,500 cells", "#c8102e", "s")}


def draw(results: dict[str, Any], process: str, out: Path) -> None:
    """Time, arithmetic and memory of a shower against its hits; results: of a file; process: NAME/PRECISION/PLACE."""
    from calojax.report import drawing  # noqa: PLC0415  (matplotlib)

    quantities = {
        "time per shower [ms]": lambda of: of["value"]["median"],
        "products per shower [MFLOP]": lambda of: of["mflop"],
        "memory per shower [MiB]": lambda of: of["kib_per_shower"] / 1024,
    }
    with drawing.style():
        drawn, axes = drawing.panels(1, 3, 4.0, 4.2)
        for axis, (words, value) in zip(axes, quantities.items(), strict=True):
            for name, (label, colour, marker) in _LOOK.items():
                rows = {g: results["results"][f"{process}/{name}/{g} GeV"] for g in ENERGIES}
                x, y = [of["hits"] for of in rows.values()], [value(of) for of in rows.values()]
                axis.plot(x, y, marker=marker, ms=6, color=colour, label=label, lw=1.6)
                if axis is axes[0]:
                    below = name == "ds2"
                    look = {"fontsize": 9, "color": colour, "textcoords": "offset points"}
                    look |= {"ha": "left", "va": "top"} if below else {"ha": "right", "va": "bottom"}
                    for gev, *point in zip(rows, x, y, strict=True):
                        axis.annotate(f"{gev} GeV", point, (3, -5) if below else (-3, 5), **look)
            axis.set(xscale="log", yscale="log", xlabel="hit cells per shower", title=words)
            axis.margins(0.16, 0.16)
        axes[-1].legend(loc="upper left")
        drawn.savefig(out, dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detectors", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--figure", type=Path, required=True, metavar="FILE", help="PNG, PDF or SVG")
    parser.add_argument("--results", type=Path, help="results with detectors in them; default: of this machine")
    args = parser.parse_args()
    path = args.results or files.FOLDER / f"{machine.describe()['name']}.json"
    results, process = files.read(path), "detectors/float32/one"
    if f"{process}/ds3/{ENERGIES[-1]} GeV" not in results["results"]:
        raise InputError(
            where=str(path),
            found="has no detectors at all energies",
            rule="the figure shows what their showers cost",
            remedy="make it with `calojax bench detectors`",
        )
    draw(results, process, args.figure)


if __name__ == "__main__":
    by_hand.call(main)
