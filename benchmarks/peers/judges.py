"""The packages that define the distances between sets of showers: jetnet (FPD, KPD) and prdc; arrays come in files."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks import measuring


def judged(call: Callable[[], Iterable[float]]) -> dict[str, Any]:
    """What it gives and how long it takes, once: these take minutes."""
    found: list[Iterable[float]] = []
    wall, cpu = measuring.turn(lambda: found.append(call()), 0.0)
    return {"value": [float(one) for one in found[0]], "wall": wall, "cpu": cpu}


class Jetnet:
    packages = ("jetnet", "numba", "scipy", "torch", "numpy")

    def __init__(self) -> None:
        from jetnet.evaluation import gen_metrics  # noqa: PLC0415  (the other class needs none of it)

        self._metrics = gen_metrics

    def fpd(self, arrays: str, **settings: Any) -> dict[str, Any]:
        return judged(lambda: self._metrics.fpd(*_pair(arrays), **settings))

    def kpd(self, arrays: str, **settings: Any) -> dict[str, Any]:
        return judged(lambda: self._metrics.kpd(*_pair(arrays), **settings))


class Prdc:
    packages = ("prdc", "scikit-learn", "numpy")

    def __init__(self) -> None:
        import prdc  # noqa: PLC0415

        self._prdc = prdc

    def prdc(self, arrays: str, nearest_k: int) -> dict[str, Any]:
        return judged(lambda: self._prdc.compute_prdc(*_pair(arrays), nearest_k=nearest_k).values())


def _pair(arrays: str) -> tuple[np.ndarray, np.ndarray]:
    """Reference and generated, (N, D) and (M, D)."""
    with np.load(arrays) as file:
        return file["reference"], file["generated"]
