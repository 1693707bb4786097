"""The cache folder: what has to go on without one, and with one that is damaged."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from calojax import cache, verbs
from calojax.errors import InputError


@pytest.fixture
def homeless(monkeypatch):
    """Neither HOME nor a user that the system knows."""

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    kept = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", kept)


def test_the_folder_is_asked_for_only_where_it_is_needed(homeless, tmp_path):
    with pytest.raises(InputError, match=r"cache folder: has no place.*set XDG_CACHE_HOME"):
        cache.folder()
    cache.keep_compiled()
    toml = tmp_path / "x.toml"
    toml.write_text('system = "pyramid"\ndata = "sample"\n')
    with pytest.raises(InputError, match="set XDG_CACHE_HOME"):
        verbs.train(toml, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == [toml]


# Draws with a window system's backend asked for and no window system; multiplies matrices in JAX.
PROGRAM = """
import sys
if {homeless}:
    from pathlib import Path
    def unknown(): raise RuntimeError("Could not determine home directory.")
    Path.home = unknown
import jax, jax.numpy as jnp
from calojax.report import drawing
from calojax import cache
cache.keep_compiled()
print(round(float(jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((3, 3)))[0, 0]), 3))
if {draw}:
    with drawing.style():
        drawn, axes = drawing.panels(1, 1, 3, 2)
        axes[0].plot([1, 2])
        print(len(drawing.picture(drawn, "", "").image) > 1000)
"""


def said(*, homeless=False, draw=False, **environment):
    """What the program prints; it must say nothing on stderr."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XDG_", "MPL"))}
    text = PROGRAM.format(homeless=homeless, draw=draw)
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=keep | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("place", ["no home", "below a file", "/proc/nope"])
def test_without_a_cache_folder_a_home_and_a_window_everything_is_drawn(tmp_path, place):
    (tmp_path / "file").touch()
    window = {"MPLBACKEND": "TkAgg", "DISPLAY": ":99"}
    if place == "no home":
        found = said(homeless=True, draw=True, **window)
    else:
        where = str(tmp_path / "file" / "cache") if place == "below a file" else place
        found = said(draw=True, HOME=where, XDG_CACHE_HOME=where, **window)
    assert found == ["2.524", "True"]


def test_compiled_functions_cut_to_half_are_compiled_again(tmp_path):
    first = said(XDG_CACHE_HOME=str(tmp_path))
    kept = [path for path in tmp_path.rglob("*-cache") if path.is_file()]
    assert kept
    assert said(XDG_CACHE_HOME=str(tmp_path)) == first
    for path in kept:
        os.truncate(path, path.stat().st_size // 2)
    assert said(XDG_CACHE_HOME=str(tmp_path)) == first
    for path in kept:
        path.write_bytes(b"")
    assert said(XDG_CACHE_HOME=str(tmp_path)) == first
