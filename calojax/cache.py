"""The user's cache folder: prepared shards, compiled functions. Everything in it can be deleted at any time."""

import hashlib
import os
import platform
import warnings
from pathlib import Path

from calojax.errors import InputError


def folder() -> Path:
    """`$XDG_CACHE_HOME/calojax`, by default `~/.cache/calojax`; it need not exist. InputError without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "calojax"
    except RuntimeError:
        raise InputError(
            where="cache folder",
            found="has no place, since HOME is not set and this user has no home",
            rule="prepared files are kept in it",
            remedy="set XDG_CACHE_HOME to a folder that can be written",
        ) from None


def keep_compiled() -> None:
    """Let JAX keep what it compiles for the next process, one folder per kind of CPU, unless it is told where already.

    Without a writable cache folder nothing happens, and what cannot be read or written is compiled again without a
    word: the cache saves time, no result depends on it.
    """
    import jax  # noqa: PLC0415  (a second)

    if getattr(jax.config, "jax_compilation_cache_dir", None):
        return
    try:
        place = folder() / f"compiled-{cpu()}"
        place.mkdir(parents=True, exist_ok=True)
    except (InputError, OSError):
        return
    if not os.access(place, os.W_OK):
        return
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cpu() -> str:
    """A name for the instruction set that compiled code is bound to."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind = next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
    except OSError:
        kind = platform.platform() + platform.processor()
    return hashlib.sha256(kind.encode()).hexdigest()[:8]
