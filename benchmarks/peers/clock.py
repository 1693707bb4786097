"""Seconds of a call, by the clock on the wall and by that of the process; needs nothing but Python."""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def timed(call: Callable[[], Any], calls: int) -> dict[str, list[float]]:
    """Seconds of each of `calls` calls; cpu counts all threads of this process."""
    seconds: dict[str, list[float]] = {"wall": [], "cpu": []}
    for _ in range(calls):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        seconds["cpu"].append(time.process_time() - cpu)
        seconds["wall"].append(time.perf_counter() - wall)
    return seconds


def peak_mib() -> float:
    """Largest memory that this process has held at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
