"""The contract of a system: what the shared rooms ask of every one in the table."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import calojax
from calojax import config, data, experiments, system
from calojax.errors import InputError

EXPERIMENTS = Path(calojax.__file__).parents[1] / "experiments"
PARAMETERS = {
    "prepare": ["sources", "out", "config"],
    "init": ["key", "config", "manifest"],
    "constants": ["config", "manifest"],
    "phases": ["config"],
    "buckets": ["config", "manifest"],
}
OF_GENERATION = {
    "generate": ["model", "conditions", "keys", "config", "capacity"],
    "capacities": ["config", "constants"],
    "expected_capacity": ["config", "constants", "conditions"],
}
OF_LOSSES = ["params", "model", "batch", "key", "config"]


@pytest.mark.parametrize("load", [system.load, system.load_config])
def test_an_unknown_system_is_refused_with_the_nearest_name(load):
    with pytest.raises(InputError, match="did you mean pyramid"):
        load("pyramide")


@pytest.mark.parametrize("name", system.TABLE)
def test_a_system_has_the_functions_of_the_protocol(name):
    module = system.load(name)
    generates = any(hasattr(module, function) for function in OF_GENERATION)
    for function, wanted in (PARAMETERS | (OF_GENERATION if generates else {})).items():
        assert mismatch(getattr(module, function), wanted) is None


@pytest.mark.parametrize("name", system.TABLE)
def test_a_configuration_has_the_tables_of_the_rooms_and_comes_back_from_toml(name, tmp_path):
    cls = system.load_config(name)
    assert system.load(name).Config is cls
    assert {entry.key.split(".")[0] for entry in config.describe(cls)} >= {"data", "model", "training"}
    assert all(entry.meaning for entry in config.describe(cls))
    assert "data.rows" in {entry.key for entry in config.describe(cls)}
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(cls()))
    assert config.build(cls, config.read_toml(path)) == cls()


@pytest.mark.parametrize("name", system.TABLE)
def test_phases_have_steps_and_losses_that_training_can_call(name):
    module = system.load(name)
    phases = module.phases(module.Config())
    assert len({phase.name for phase in phases}) == len(phases) > 0
    for phase in phases:
        if isinstance(phase, system.Fit):
            continue
        assert phase.steps > 0 and phase.updates
        for update in phase.updates:
            assert mismatch(update.loss, OF_LOSSES) is None


@pytest.mark.parametrize("name", system.TABLE)
def test_a_system_has_a_demonstration(name):
    assert data.sample(name).is_file()
    assert experiments.read(data.experiment(name)).source == experiments.SAMPLE


@pytest.mark.parametrize(
    "path", sorted(EXPERIMENTS.rglob("*.toml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_experiment_is_a_configuration_of_its_system(path):
    asked = experiments.read(path)
    assert asked.system == path.parent.name and isinstance(asked.config, system.load_config(asked.system))


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


def mismatch(function, names: list[str]) -> str | None:
    """Why it cannot be called with these positional arguments; the manifest's constants may have another name."""
    found = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    required = [p.name for p in found if p.default is p.empty]
    if len(found) < len(names) or len(required) > len(names):
        return f"{function.__name__}{inspect.signature(function)}"
    for parameter, name in zip(found, names, strict=False):
        if parameter.name != name and name != "constants":
            return f"{function.__name__}: {parameter.name} is not {name}"
    return None
