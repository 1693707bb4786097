"""One benchmark in a process of its own: `python -m benchmarks.running NAME OPTIONS.json RESULT.json`.

Threads have to be set before JAX or any linear algebra is imported, and memory is that of the process.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine, measuring
from calojax import stopping

_ONE_THREAD = ("--xla_cpu_multi_thread_eigen=false", "intra_op_parallelism_threads=1")
_SHORT = ("--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true")  # compiles faster


class Options(NamedTuple):
    """What a script is told. place: "one", "all" or "gpu"; short: be done in seconds, times mean nothing; run: trained,
    None for a fresh model; peers: Python of an environment with the packages to compare with, if there is one."""

    place: str = "one"
    precision: str = "float32"
    rounds: int = 5
    short: bool = False
    run: str | None = None
    peers: str | None = None

    @property
    def seconds(self) -> float:
        """Of a call's turn in a round."""
        return 0.02 if self.short else 0.3


def environment(options: Options) -> dict[str, str]:
    """Variables of a process that computes at the place of the options."""
    one = options.place == "one"
    flags = (os.environ.get("XLA_FLAGS", ""), *(_ONE_THREAD if one else ()), *(_SHORT if options.short else ()))
    found = os.environ | {
        "JAX_PLATFORMS": "cuda" if options.place == "gpu" else "cpu",
        "XLA_FLAGS": " ".join(flags).strip(),
    }
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return found | dict.fromkeys(names if one else (), "1")


def alone() -> bool:
    """Whether this process was started for one thread."""
    return _ONE_THREAD[1] in os.environ.get("XLA_FLAGS", "").split()


def main(name: str, options: Options) -> dict[str, Any]:
    """{"process", "results", "left_out"} of a script, with the machine's ceilings from before and after it."""
    if options.place == "one" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    script = importlib.import_module(f"benchmarks.{name}")
    began, state = time.time(), machine.state()
    turns = 1 if options.short else 3
    before = machine.ceilings(turns, options.seconds / 5)
    found = script.run(options)
    after = machine.ceilings(turns, options.seconds / 5)
    clock = "cpu" if options.place == "one" else "wall"
    limits = {limit: measuring.spread(of[clock] + after[limit][clock])._asdict() for limit, of in before.items()}
    process = state | {
        "load_after": machine.state()["load"],
        "seconds": round(time.time() - began, 1),
        "rounds": options.rounds,
        "run": Path(options.run).name if options.run else None,
        "ceilings": limits,
    }
    return {"process": process} | found


if __name__ == "__main__":
    told = Options(**json.loads(Path(sys.argv[2]).read_text()))
    with stopping.interrupting():  # so that processes that a script has started end with it
        found = main(sys.argv[1], told)
    Path(sys.argv[3]).write_text(json.dumps(found))
