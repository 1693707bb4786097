"""Names that files have elsewhere (colons of grid storage, brackets, other alphabets, bytes that are no text), in any
locale, through all commands."""

import os
import shutil
import subprocess
import sys

import pytest

PROGRAM = r"""
import os, sys
from calojax import cli

def go(*arguments, code=0):
    try:
        found = cli.main([os.fsdecode(a) if isinstance(a, bytes) else a for a in arguments])
    except SystemExit as left:
        found = left.code
    assert found == code, (found, arguments)

named = lambda text: text.encode()
source, config = named("user.x:Schauer é/Дата [1] #1.hdf5"), named("é [1].toml")
shards, run, made, report = (named(f"{name}:é [1]") for name in ("shards", "run", "g.hdf5", "report"))
if sys.argv[1] == "bytes":
    source, shards, run, made, report = b"a\xff.hdf5", b"s\xff", b"r\xff", b"g\xff.hdf5", b"p\xff"
go("prepare", "pyramid", source, "--out", shards)
go("train", config, "--data", shards, "--out", run, "--set", "training.steps=3")
go("generate", run, "--n", "3", "--energy", "3000", "--out", made)
go("evaluate", source, made, "--geometry", "ds2", "--out", report)
for path in (source, shards, run, made, report):
    go("info", path)
go("info", run, "--json")
go("prepare", "pyramid", source, "--out", "~/home/shards")
go("info", named("nicht da é.hdf5"), code=2)
"""
LOCALES = {
    "no locale, ascii terminal": {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    },
    "UTF-8": {"LC_ALL": "C.UTF-8"},
}


@pytest.mark.slow
@pytest.mark.parametrize(("names", "locale"), [("text", "no locale, ascii terminal"), ("bytes", "UTF-8")])
def test_any_name_goes_through_all_commands(place, run, tmp_path, names, locale):
    folder = tmp_path / "user.x:Schauer é"
    folder.mkdir()
    shutil.copy(place / "slice.hdf5", folder / "Дата [1] #1.hdf5")
    (folder / "Дата 1 #1.hdf5").write_text("not this one, which a pattern would find")
    shutil.copy(place / "slice.hdf5", os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.hdf5"))
    shutil.copy(place / "tiny.toml", tmp_path / "é [1].toml")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    environment |= LOCALES[locale] | {"HOME": str(tmp_path)}
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py", names], env=environment, cwd=tmp_path, capture_output=True)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert b"nicht da" in done.stderr and "Traceback" not in said
    assert (tmp_path / "home" / "shards" / "manifest.json").is_file()
    assert not (tmp_path / "~").exists()
    assert not [name for name in os.listdir(os.fsencode(tmp_path)) if name.endswith(b".partial")]
