"""The built wheel, in an environment of its own and far from the checkout, has all that the demonstration needs."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import calojax

CHECKOUT = Path(calojax.__file__).parents[1]
QUICK = CHECKOUT / "experiments" / "pyramid" / "quick.toml"
CUT = ("training.steps=3", "training.batch=8", "training.tile=8", "model.hidden=4", "model.cell_hidden=4")
CUT += ("model.components=2", "generation.tile=25", "generation.window=25")
# five of the sample's showers held out, so that 25 are generated
DEMONSTRATION = """
import sys
from calojax import cli, data
data.TRAINING_ROWS["pyramid"] = 1195
sys.exit(cli.main(sys.argv[1:]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").is_file(), reason="needs a checkout to build from"),
]


def said(*command, cwd=None) -> str:
    """What a command prints, wherever the checkout is for the tests; an assertion if it fails."""
    known = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=cwd, env=known)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", out)
    said(sys.executable, "-m", "pip", "wheel", *options, CHECKOUT)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel; the packages it depends on are borrowed, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    said(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel)
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def test_the_wheel_holds_sample_and_experiments(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"calojax/data/experiments/pyramid/{path.name}" for path in QUICK.parent.glob("*.toml")}
    assert names >= wanted | {"calojax/data/egs_ds2_sample.hdf5"}
    assert not [name for name in names if name.startswith(("tests/", "experiments/"))]


def test_the_installed_package_is_not_the_checkout(installed, tmp_path):
    where = said(installed, "-c", "import calojax; print(calojax.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parents[1])
    assert said(installed, "-m", "calojax", "--version", cwd=tmp_path).split()[-1] == calojax.__version__


@pytest.mark.skipif(not QUICK.is_file(), reason="needs experiments/pyramid/quick.toml")
def test_the_demonstration_runs_far_from_the_checkout(installed, tmp_path):
    settings = [part for setting in CUT for part in ("--set", setting)]
    out = said(installed, "-c", DEMONSTRATION, "demo", "--out", "shown", *settings, cwd=tmp_path)
    assert "E_tot / E_inc" in out
    assert (tmp_path / "shown" / "report" / "index.html").is_file()
