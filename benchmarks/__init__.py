"""Speed beside the machine's own limits: one script per question; `make bench` or `calojax bench NAME`, in a checkout.

To add one, write a module `benchmarks/NAME.py` with a function `run(options: running.Options)` that returns
{"results": {key: row}, "left_out": {key: reason}} and give it an entry in TABLE. It runs in a fresh process for each
place and precision of its entry, its keys get NAME/PRECISION/PLACE/ in front. Rows come from `measuring.row` (any
value) or `measuring.timed` (what `measuring.measured` timed, beside the ceiling of the same rounds). A script checks
what it times and raises if that is wrong; what cannot run here it leaves out by name; `options.short` means seconds.
"""

from typing import NamedTuple


class Benchmark(NamedTuple):
    """What a script asks, where ("one": one CPU thread, "all": all of them, "gpu") and in which precisions."""

    question: str
    places: tuple[str, ...] = ("one",)
    precisions: tuple[str, ...] = ("float32",)


TABLE = {
    "generation": Benchmark(
        "what a complete shower costs, from its energy to its voxels, and how far each stage is from the limit",
        ("one", "all", "gpu"),
        ("float32", "bfloat16"),
    ),
    "training": Benchmark(
        "what a step of training costs, and how far it is from the limit",
        ("one", "all", "gpu"),
        ("float32", "bfloat16"),
    ),
    "loading": Benchmark("whether reading data holds training up", ("all",)),
    "detectors": Benchmark("whether a shower costs what its hits cost, or what the cells of its detector cost"),
    "scaling": Benchmark("whether several devices, and several processes, come to what one does", ("all",)),
    "starting": Benchmark("how long a user waits for the first shower after starting a process, compiled and not"),
    "couplings": Benchmark("how much faster coupling flows are than those of nflows, zuko and flowjax"),
    "gibbs": Benchmark(
        "how fast the chains of the Boltzmann prior are, and how much faster than a loop on PyTorch", ("one", "gpu")
    ),
    "latent": Benchmark(
        "what a shower of the qvae costs, and what its prior and its decoder have of it", ("one", "gpu")
    ),
    "distances": Benchmark("how much faster FPD, KPD and PRDC are than in jetnet and prdc, and how far apart"),
}
