"""The table of systems."""

import subprocess
import sys

import pytest

from calojax import system
from calojax.errors import InputError


@pytest.mark.parametrize("load", [system.load, system.load_config])
def test_an_unknown_system_is_refused_with_the_nearest_name(load):
    with pytest.raises(InputError, match="did you mean pyramid"):
        load("pyramide")


@pytest.mark.parametrize("name", system.TABLE)
def test_a_system_has_what_the_rooms_ask_of_it(name):
    module = system.load(name)
    needed = {"Config", "prepare", "init", "constants", "phases", "loss", "buckets"}
    assert needed <= set(dir(module))
    assert module.Config is system.load_config(name)


@pytest.mark.parametrize("name", system.TABLE)
def test_a_configuration_is_listed_without_jax_or_numpy(name):
    code = f"""
import sys
from calojax import config, system
assert len(config.describe(system.load_config({name!r}))) > 10
print(sorted({{"jax", "numpy", "h5py", "scipy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
