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


@contextmanager
def known(folder: Path | str) -> Iterator[None]:
    """The written files can be imported as if they lay in the package, and the table is the page's."""
    places = [*systems.__path__, str(Path(folder) / "calojax" / "systems")]
    with mock.patch.object(system, "TABLE", table()), mock.patch.object(systems, "__path__", places):
        yield
    for name in [name for name in sys.modules if name.startswith("calojax.systems.layers")]:
        del sys.modules[name]
    vars(systems).pop("layers", None)
