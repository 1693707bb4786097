"""The pages are true: their code runs, their commands parse, their links lead somewhere.

A fenced block may have a comment before it: `file: NAME` (written before the page's code runs), `table` (of
docs/adding-a-system.md, which has a test of its own), or `executed with a small run` (tests/end_to_end). Write
docs/cli.md afresh with `python tests/test_docs.py`.
"""

import argparse
import json
import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from calojax import cli, geometry
from calojax.evaluation import digest, histograms, verdicts

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.toml"))
REFERENCE = DOCS / "cli.md"
OWN_TEST = DOCS / "adding-a-system.md"
SMALL_RUN = "executed with a small run"
FENCE = re.compile(r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
# a page speaks of the package alone
FOREIGN = re.compile(
    r"\bsessions?\b|\bissues?\b|\bhanded over\b|/(?:work|tmp|home|root|mnt)/|https?://(?:localhost|[\d.]+)"
)


class Block(NamedTuple):
    """A fenced block: what the comment before it says, its language, its text."""

    mark: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(m["mark"] or "", m["language"], m["text"]) for m in FENCE.finditer(page.read_text())]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def of_all(language: str) -> list:
    """Blocks in a language, of all pages, as parameters of a test."""
    found = [(page, block) for page in PAGES for block in blocks(page) if block.language == language]
    return [pytest.param(block, id=f"{name(page)}-{number}") for number, (page, block) in enumerate(found)]


def runs_here(block: Block) -> bool:
    return block.language == "python" and not block.mark


@pytest.mark.parametrize("page", [p for p in PAGES if p != OWN_TEST and any(map(runs_here, blocks(p)))], ids=name)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    for number, block in enumerate(blocks(page)):
        if block.mark.startswith("file: "):
            Path(block.mark.removeprefix("file: ")).write_text(block.text)
        elif runs_here(block):
            exec(compile(block.text, f"{name(page)}, block {number}", "exec"), names)
    assert names.keys() > {"__name__"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_closed_and_every_mark_is_known(page):
    text = page.read_text()
    assert len(re.findall(r"^```", text, re.M)) == 2 * len(blocks(page))
    own = page == OWN_TEST
    for block in blocks(page):
        known = block.mark in ("", SMALL_RUN) or block.mark.startswith("file: ") or (own and block.mark == "table")
        assert known, block.mark
        assert not (own and runs_here(block)), "all code of this page is files and the table"


@pytest.mark.parametrize("block", of_all("python"))
def test_python_compiles(block):
    assert compile(block.text, "block", "exec")


@pytest.mark.parametrize("block", of_all("toml"))
def test_toml_is_toml(block):
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", of_all("json"))
def test_json_is_json(block):
    assert json.loads(block.text)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in (REFERENCE, OWN_TEST)], ids=name)
def test_commands_parse(page):
    parser = cli._parser()
    for block in blocks(page):
        for line in block.text.splitlines():
            if not block.language and line.startswith("calojax "):
                assert parser.parse_args(shlex.split(line)[1:]).run, line


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_commands_in_the_comments_of_an_experiment_parse_and_name_files_that_exist(path):
    parser = cli._parser()
    for command in re.findall(r"^#\s+calojax (.+)$", path.read_text(), re.M):
        asked = parser.parse_args(shlex.split(command))
        assert asked.run and (ROOT / getattr(asked, "config", path)).is_file(), command


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        headings = (
            {
                re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
                for h in re.findall(r"^#+ (.+)$", found.read_text(), re.M)
            }
            if anchor
            else {anchor}
        )
        assert anchor in headings, target


@pytest.mark.parametrize("page", [*PAGES, *EXPERIMENTS], ids=name)
def test_pages_speak_of_the_package_alone(page):
    assert FOREIGN.findall(page.read_text()) == []


def test_every_page_is_in_the_navigation():
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize(("page", "most"), [(ROOT / "README.md", 80), (ROOT / "CONTRIBUTING.md", 60)], ids=str)
def test_a_page_to_be_read_in_two_minutes_is_short(page, most):
    assert len(page.read_text().splitlines()) <= most


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=name)
def test_a_decision_is_short_and_says_what_would_change_it(page):
    text = page.read_text()
    assert len(text.splitlines()) <= 40
    for part in ("**Question.**", "**Choice.**", "**What was refused.**", "**What would change our mind.**"):
        assert part in text


def test_every_package_we_depend_on_has_its_sentence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    always = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    needed = [*always, *(package for extra in extras for package in extra)]
    packages = {re.match(r"[\w-]+", package)[0] for package in needed} - {"calojax"}
    listed = re.findall(r"\*\*([\w-]+)\*\*", (DOCS / "dependencies.md").read_text())
    assert sorted(listed) == sorted(packages)


def test_the_page_of_metrics_has_the_families_directions_and_tolerances_of_the_code():
    text = (DOCS / "metrics.md").read_text()
    families = {*histograms.FAMILIES, "voxel", "n_hits", *digest.STAGES}
    tables = {head: text.split(f"| {head} |")[1].split("\n\n")[0] for head in ("family", "direction")}
    assert set(re.findall(r"`(\w+)`", tables["family"])) == families
    assert set(re.findall(r"`(\w+)`", tables["direction"])) == {
        d for name in ("ds2", "crystals-20x20") for d in geometry.load(name).directions
    }
    separations = [("", f"separation.{name}", verdicts._ABOVE_THE_FLOOR) for name in verdicts._SEPARATIONS]
    for _, name, limit in (*separations, *verdicts._DISTANCES):
        start = name.split(".")[0]
        row = re.search(rf"^\| .*`{start}[.`].*\| {limit:g} above (the floor|0.5) \|$", text, re.M)
        assert row, name
    for _, name, limit in verdicts._ALIKE:
        assert re.search(rf"^\| .*`{name}`.*\| {limit:g} from the floor \|$", text, re.M), name
    assert f"| {100 * verdicts._OF_THE_FLOOR:g} % of the floor, above it |" in text
    for _, start, end, limit, relative in verdicts._QUANTITIES:
        start = "correlation.hits.<direction>." if start.startswith("correlation") else start
        wanted = f"{100 * limit:g} % of the reference" if relative else f"{limit:g}"
        assert f"| `{start}<bin>{end}` | {wanted} |" in text


def test_the_readme_names_every_command():
    table = re.findall(r"^\| `calojax (\w+)", (ROOT / "README.md").read_text(), re.M)
    assert table == list(commands(cli._parser()))


def test_the_command_reference_is_that_of_the_program():
    assert REFERENCE.read_text().split() == command_reference().split(), "write it with python tests/test_docs.py"


def command_reference() -> str:
    """docs/cli.md: the help of every command, 100 columns wide."""
    with mock.patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1"}):
        parser = cli._parser()
        parts = [_HEAD, _section("calojax", parser)]
        for command, sub in commands(parser).items():
            parts.append(_section(f"calojax {command}", sub))
            parts += [_section(f"calojax {command} {each}", one) for each, one in commands(sub).items()]
        return "\n".join(parts)


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Parsers of the commands below one, by name."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


_HEAD = """# The command line

What `--help` says, for every command. Energies are in MeV. Exit codes: 0 done; 1 a defect (traceback), or a
loss or shower that is not finite (one sentence on standard error); 2 the input or the arguments (one sentence, nothing
written); 130 interrupted (go on with `--resume`).
"""


def _section(title: str, parser: argparse.ArgumentParser) -> str:
    text = "\n".join(line.rstrip() for line in parser.format_help().splitlines())
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    REFERENCE.write_text(command_reference())
