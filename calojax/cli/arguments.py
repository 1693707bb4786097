"""Arguments: a parser that says what is wrong in one sentence, and the types of values."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from calojax.errors import on_one_line


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage; `more` makes what follows the help."""

    more: Callable[[], str] = str

    def format_help(self) -> str:
        return super().format_help() + self.more()

    def error(self, message: str) -> NoReturn:
        self.exit(2, on_one_line(f"{self.prog}: {message}; see {self.prog} --help") + "\n")


def path(text: str) -> Path:
    """A path as the shell would read it: `~` is the home folder also behind `--out=`."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{text} names a home folder that is unknown") from None


def named(text: str) -> tuple[str, Path]:
    """NAME=FILE."""
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=FILE")
    return name, path(file)


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def energy(text: str) -> float:
    """MeV."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number, the energy in MeV") from None


def energy_range(text: str) -> tuple[float, float]:
    """LO:HI, MeV."""
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not LO:HI, two energies in MeV") from None


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text[0].upper() + text[1:] + "."
