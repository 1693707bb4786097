import os
import sys
from pathlib import Path

import jax
import pytest

from calojax import system

sys.path.insert(0, str(Path(__file__).parent))
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"


@pytest.fixture(scope="session", autouse=True)
def compiled_once(own_cache):
    """Every run of these tests compiles the same few functions, in this process and in others without a command."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setenv(name.upper(), str(getattr(jax.config, name)))
        yield


@pytest.fixture(autouse=True)
def tiny_is_a_system(monkeypatch):
    monkeypatch.setitem(system.TABLE, "tiny", "tiny_system")
