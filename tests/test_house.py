"""The rules of the house: imports run one way, systems can be removed, and help needs nothing heavy."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import calojax
from calojax import system as systems

PACKAGE = Path(calojax.__file__).parent
# each may import those below it; those of one row may not import each other, but a room may import itself
ORDER = (
    {"__main__"},
    {"cli"},
    {"demonstration"},
    {"verbs"},
    {"inspection", "preparation"},
    {"experiments"},
    {"systems"},
    {"report"},
    {"evaluation"},
    {"generation"},
    {"training"},
    {"nn", "shards", "files"},
    {"geometry"},
    {"system", "progress", "cache", "data", "writing"},
    {"config", "stopping"},
    {"errors", "lazy", "digests"},
)
LEVEL = {room: level for level, row in enumerate(ORDER) for room in row}
HEAVY = ("jax", "numpy", "scipy", "h5py", "matplotlib", "flax", "optax", "orbax")
MODULES = sorted(path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    """The second name of `calojax.room.module`, the first being the package."""
    return [*module.split("."), ""][1]


def imported(path: Path) -> set[str]:
    """Every module of the package that a file imports, anywhere in it but for type checking."""
    tree = ast.parse((PACKAGE.parent / path).read_text())
    found = set()
    for node in walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole if node.module in ("calojax", "calojax.systems") else {str(node.module)}
    return {name for name in found if name.startswith("calojax.")}


def walk(tree):
    """All nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from walk(node)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_run_one_way(path):
    room = room_of(".".join(path.with_suffix("").parts))
    if room == "__init__":  # the package itself: names only, looked up when asked for
        assert imported(path) == set()
        return
    for name in imported(path):
        other = room_of(name)
        if other in (room, "__version__"):
            continue
        assert other in LEVEL, f"{path} imports {name}, which has no place in the order"
        allowed = LEVEL[room] < LEVEL[other]
        assert allowed, f"{path} imports {name}, which lies above it"


@pytest.mark.parametrize("path", [path for path in MODULES if "systems" in path.parts], ids=str)
def test_no_system_imports_another(path):
    own = path.parts[2]
    others = {name.split(".")[2] for name in imported(path) if name.startswith("calojax.systems.")}
    assert others <= {own}


def test_only_whole_rooms_are_in_the_package():
    names = {path.parts[1].removesuffix(".py") for path in MODULES}
    assert names - {"__init__"} == set(LEVEL)


def run(code: str, folder: Path | None = None) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter, which looks for modules in `folder` first."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


@pytest.mark.parametrize("system", systems.TABLE)
def test_a_deleted_system_leaves_the_rest_importable(system, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "calojax", ignore=shutil.ignore_patterns("__pycache__", "*.hdf5"))
    shutil.rmtree(tmp_path / "calojax" / "systems" / system)
    table = tmp_path / "calojax" / "system.py"
    lines = re.sub(rf'"{system}": "calojax.systems.{system}.system",? ?', "", table.read_text())
    assert f"calojax.systems.{system}" not in lines
    table.write_text(lines)
    rest = [path for path in MODULES if system not in path.parts and path.stem != "__main__"]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in rest]
    code = (
        f"import importlib\nfor name in {names}: importlib.import_module(name)\nimport calojax; print(calojax.__file__)"
    )
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


@pytest.mark.parametrize(
    "code",
    [
        "import calojax, calojax.cli",
        *(f"from calojax import system; system.load_config({name!r})" for name in systems.TABLE),
        *(f"from calojax import cli; cli._parser().parse_args({arguments!r})" for arguments in (["info", "x"],)),
    ],
)
def test_nothing_heavy_is_imported_for_help(code):
    done = run(f"{code}\nimport sys; print(sorted(set(sys.modules) & set({HEAVY})))")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--help"], ["prepare", "pyramid", "--help"], ["atlas", "clean", "--help"]],
    ids=" ".join,
)
def test_help_takes_less_than_300_ms_of_cpu(arguments):
    code = (
        "import contextlib, sys, time\n"
        "from calojax import cli\n"
        f"with contextlib.suppress(SystemExit): cli.main({arguments})\n"
        "print('cpu', time.process_time(), sorted(set(sys.modules) & set(%s)))" % (HEAVY,)
    )
    run(code)  # bytecode is compiled
    done = run(code)
    _, cpu, heavy = done.stdout.splitlines()[-1].split(" ", 2)
    assert heavy == "[]"
    assert float(cpu) < 0.3


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse((PACKAGE.parent / path).read_text()))


@pytest.mark.parametrize("name", calojax.__all__)
def test_public_names_exist(name):
    found = getattr(calojax, name)
    assert found.__doc__
