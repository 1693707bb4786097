"""Who measures, and what this machine can do at most: products of matrices, copies, exponentials."""

import contextlib
import math
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import measuring

SHAPES = ((64, 64, 2048), (128, 128, 2048))  # (rows, inner, columns) of the products that the pyramid's layers are
PRODUCT = SHAPES[0]
FLOP = 2.0 * math.prod(PRODUCT)
ON_A_GPU = (8192, 8192, 8192)
_COPIED = 1 << 24  # float32 numbers, more than caches hold
_EXPONENTS = 1 << 16
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")
_PACKAGES = ("calojax", "jax", "jaxlib", "numpy")


def describe() -> dict[str, Any]:
    """The machine as far as it matters for speed, the same from run to run; needs no JAX."""
    cpu, flags = _cpu()
    gpus = gpu_names()
    cores = os.cpu_count() or 1
    return {
        "name": _slug(" ".join([cpu, str(cores), *gpus[:1]])),
        "cpu": cpu,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": cores,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpus": gpus,
        "os": platform.platform(),
    }


def state() -> dict[str, Any]:
    """What may change from process to process: versions, cores that this process may use, load."""
    return {
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "load": round(os.getloadavg()[0], 2),
    }


def gpu_names() -> list[str]:
    """Names of the NVIDIA GPUs, as their driver has them; none without one."""
    if not shutil.which("nvidia-smi"):
        return []
    said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return re.findall(r"^GPU \d+: (.+) \(UUID", said, re.M)


def product(precision: str, shape: tuple[int, int, int] = PRODUCT):
    """(call, FLOP of a call): one product of matrices of a shape, operands in a precision, the sum in float32."""
    import jax  # noqa: PLC0415  (what describes the machine needs no JAX)
    import jax.numpy as jnp  # noqa: PLC0415

    rows, inner, columns = shape
    a, b = (jnp.ones(size, precision) for size in ((rows, inner), (inner, columns)))
    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    return lambda: multiply(a, b), 2.0 * math.prod(shape)


def ceilings(rounds: int, seconds: float) -> dict[str, dict[str, tuple[float, ...]]]:
    """What the device gives at most, by name with its unit: one value for each round; wall and CPU time.

    Copies count what is read and what is written.
    """
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    shapes = SHAPES if jax.default_backend() == "cpu" else (*SHAPES, ON_A_GPU)
    calls, amounts = {}, {}
    for precision in ("float32", "bfloat16"):
        for shape in shapes:
            name = f"{precision} {'x'.join(map(str, shape))}, GFLOP/s"
            calls[name], amounts[name] = product(precision, shape)
    many, some = jnp.zeros(_COPIED), jnp.zeros(_EXPONENTS)
    one_more, exponentials = jax.jit(lambda x: x + 1), jax.jit(jnp.exp)
    calls |= {"copy, GB/s": lambda: one_more(many), "exp, G/s": lambda: exponentials(some)}
    amounts |= {"copy, GB/s": 2.0 * many.nbytes, "exp, G/s": float(some.size)}
    found = measuring.measured(calls, rounds, seconds)
    rates = lambda name, times: tuple(amounts[name] / 1e9 / each for each in times.rounds)
    return {name: {"wall": rates(name, t.wall), "cpu": rates(name, t.cpu)} for name, t in found.items()}


def forget_peak() -> None:
    """Let `peak_mib` begin anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Largest memory that this process has held at once, since `forget_peak` where the system can."""
    try:
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**10  # type: ignore
    except (OSError, TypeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _cpu() -> tuple[str, set[str]]:
    """Model and flags."""
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    except OSError:
        return platform.processor() or platform.machine(), set()
    said = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    name = said.get("model name") or platform.processor() or platform.machine()
    return name, set((said.get("flags") or said.get("Features") or "").split())


def _slug(text: str) -> str:
    text = re.sub(r"\((R|TM)\)|\b(CPU|Processor)\b|@ [\d.]+GHz", " ", text)
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
