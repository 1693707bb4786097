"""The user's cache folder: shards that training prepared on its way, and functions that JAX compiled."""

import os
import platform
from pathlib import Path


def folder() -> Path:
    """`calojax` in $XDG_CACHE_HOME, by default in ~/.cache; it may not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "calojax"


def keep_compiled() -> None:
    """Let JAX keep what it compiles between processes, one folder per machine.

    Does nothing if the user has chosen a folder already, or if ours cannot be written: then every start compiles.
    """
    import jax  # noqa: PLC0415  (slow, and only for commands that compute)

    if jax.config.jax_compilation_cache_dir is not None:
        return
    place = folder() / "compiled" / (platform.node() or "machine")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(place, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(place))
    # the defaults keep only what took longer than a second; most of a start is many small compilations
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
