"""The frame of every page: one self-contained HTML file with one look."""

import html
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template

from calojax import writing
from calojax.report.drawing import Picture

PAGE = "index.html"


def save(path: Path, *, title: str, about: Iterable[str], body: str) -> Path:
    """Write a page, whole or not at all, and give its path.

    title, about (what it is of, in a few words each): plain text; body: HTML. The folder is made if there is none.
    Raises InputError if it cannot be written.
    """
    items = "".join(f"<li>{html.escape(one)}</li>" for one in about)
    page = template("page.html").substitute(title=html.escape(title), about=items, body=body)
    with writing.refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writing.text(path, page.encode(errors="backslashreplace").decode())  # names of files may be no UTF-8
    return path


def section(heading: str, figures: Iterable[str] = (), words: str = "") -> str:
    """A part of a page: words, then figures, all of it HTML."""
    drawn = "".join(figures)
    shown = f'<div class="figures">{drawn}</div>' if drawn else ""
    return f'<section id="{anchor(heading)}"><h2>{heading}</h2>{words}{shown}</section>'


def anchor(heading: str) -> str:
    """The name of a section in links: letters and digits with dashes between."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def contents(headings: Iterable[str]) -> str:
    """Links to the sections of a page."""
    items = "".join(f'<li><a href="#{anchor(one)}">{one}</a></li>' for one in headings)
    return f'<nav aria-label="sections"><ul>{items}</ul></nav>'


def figure(drawn: Picture, *, fold: str = "", half: bool = False) -> str:
    """A figure with its caption; fold: what it is folded away under ("": shown); half: takes half the page's width."""
    kind = ' class="half"' if half else ""
    caption = f"<figcaption>{drawn.caption}</figcaption>"
    shown = f'<figure{kind}><img src="{drawn.image}" alt="{drawn.alt}">{caption}</figure>'
    return folded(fold, shown) if fold else shown


def folded(summary: str, content: str) -> str:
    """Content (HTML) that opens when its summary is clicked, and is printed."""
    return f"<details><summary>{summary}</summary>{content}</details>"


def row(cells: Iterable[str]) -> str:
    """A row of a table."""
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def template(name: str) -> Template:
    """Text of this room with places to fill."""
    return Template(text(name))


def text(name: str) -> str:
    """A file of this room as it is."""
    return resources.files("calojax.report").joinpath(name).read_text(encoding="utf-8")
