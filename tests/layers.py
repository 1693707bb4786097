"""The system of docs/adding-a-system.md: its files in a folder, and a process that knows it."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from calojax import system, systems

PAGE = (Path(__file__).parents[1] / "docs" / "adding-a-system.md").read_text()
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.S))
_TABLE = re.findall(r"<!-- table -->\n```python\n(.*?)```", PAGE, re.S)


def table() -> dict[str, str]:
    """The table of systems as the page has it."""
    names: dict = {}
    exec(_TABLE[0], names)
    return names["TABLE"]


def write(folder: Path) -> None:
    """The page's files."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def add(folder: Path | str) -> None:
    """Make the written files importable as if they lay in the package, and the table that of the page, for good."""
    system.TABLE.update(table())
    systems.__path__.append(str(Path(folder) / "calojax" / "systems"))


@contextmanager
def known(folder: Path | str) -> Iterator[None]:
    """The same for a while, without whatever else a test has put into the table."""
    with mock.patch.dict(system.TABLE, clear=True), mock.patch.object(systems, "__path__", [*systems.__path__]):
        add(folder)
        yield
    for name in [name for name in sys.modules if name.startswith("calojax.systems.layers")]:
        del sys.modules[name]
    vars(systems).pop("layers", None)
