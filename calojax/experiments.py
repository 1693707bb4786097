"""Experiments: what a TOML file asks for, the system, its Config and the data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from calojax import config as configuration
from calojax import system as systems
from calojax.errors import InputError

SAMPLE = "sample"  # the data source that ships with the package


class Experiment(NamedTuple):
    """What a TOML file asks for: the system, its Config, and where the data come from ("" if it does not say)."""

    system: str
    config: Any
    source: str


def read(path: str | Path, settings: Iterable[str] = ()) -> Experiment:
    """Read an experiment: `system = NAME` on top, the rest is the system's Config.

    `data = "sample"`, or `source = "sample"` in a table [data], is the sample that ships. settings: overrides as
    `key=value`, the value in TOML.
    """
    table = configuration.read_toml(path)
    if isinstance(table.get("data"), str):
        table["data"] = {"source": table["data"]}
    for setting in settings:
        table = configuration.override(table, setting)
    name = table.pop("system", None)
    if not isinstance(name, str):
        raise InputError(
            where=f"{path}, key system",
            found="is missing" if name is None else f"is {name!r}",
            rule=f"it names the system, one of {', '.join(sorted(systems.TABLE))}",
            remedy='write system = "pyramid" on top, for example',
        )
    source = ""
    if isinstance(table.get("data"), dict):
        source = table["data"].get("source", "")
        table["data"] = {key: value for key, value in table["data"].items() if key != "source"}
    if source not in ("", SAMPLE):
        raise InputError(
            where=f"{path}, data",
            found=f"is {source!r}",
            rule="configurations hold no paths; the only source with a name is the sample",
            remedy='give --data PATH, or write data = "sample"',
        )
    return Experiment(name, configuration.build(systems.load_config(name), table, where=str(path)), source)
