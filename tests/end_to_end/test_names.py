"""Names of files that shells, libraries and terminals stumble over, in every locale."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from calojax.shards import Manifest

PROGRAM = """
import os, sys
from calojax import cli
for line in open(sys.argv[1], "rb").read().split(b"\\n\\n"):
    arguments = [os.fsdecode(each) for each in line.split(b"\\n")]
    code = cli.main(arguments)
    print("code", code, flush=True)
"""
SOURCE = b"user.x:Schauer \xc3\xa9/\xd0\x94\xd0\xb0 [1] #1.hdf5"
SHARDS, RUN, MADE = b"sh:\xc3\xa9 [1]", b"r\xc3\xbcn:1 [x] \xff", b"g:\xc3\xa9 [1]\xff.hdf5"
COMMANDS = [
    [b"prepare", b"pyramid", SOURCE, b"--out", SHARDS],
    [b"train", b"tiny \xc3\xa9.toml", b"--data", SHARDS, b"--out", RUN],
    [b"generate", RUN, b"--n", b"3", b"--energy", b"3000", b"--out", MADE],
    [b"info", SHARDS],
    [b"info", RUN],
    [b"info", MADE],
    [b"prepare", b"pyramid", b"~/" + MADE, b"--out", b"~/shards of home"],
    [b"info", b"not there \xc3\xa9\xff.hdf5"],
]
ENVIRONMENTS = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
}


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux only")
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_names_of_all_kinds(tmp_path, run, name):
    place = os.fsencode(tmp_path)
    Path(os.fsdecode(place + b"/user.x:Schauer \xc3\xa9")).mkdir()
    for source, target in (("slice.hdf5", SOURCE), ("tiny.toml", COMMANDS[1][1])):
        Path(os.fsdecode(place + b"/" + target)).write_bytes((run.parent / source).read_bytes())
    (tmp_path / "commands").write_bytes(b"\n\n".join(b"\n".join(each) for each in COMMANDS))
    environment = os.environ | ENVIRONMENTS[name] | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "commands"], cwd=tmp_path, env=environment, capture_output=True
    )
    codes = [line for line in done.stdout.splitlines() if line.startswith(b"code")]
    assert codes == [b"code 0"] * 7 + [b"code 2"], done.stdout + done.stderr
    assert b"WARNING" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"calojax: not there ")
    assert not (tmp_path / "~").exists()
    assert (tmp_path / "shards of home" / "manifest.json").is_file()
    with h5py.File(place + b"/" + MADE) as file, h5py.File(run.parent / "slice.hdf5") as plain:
        assert np.all(file["incident_energies"][:] == 3000)
        assert file.attrs["run"] == "rün:1 [x] \\xff"
        assert file["showers"].shape[1] == plain["showers"].shape[1]
    made, plain = (Manifest.read(path) for path in (os.fsdecode(place + b"/" + SHARDS), run.parent / "shards"))
    assert made.files() == plain.files()
    assert [source.name for source in made.sources] == ["Да [1] #1.hdf5"]
