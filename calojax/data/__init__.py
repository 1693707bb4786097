"""What ships with the package: a sample of real-physics input per system, and the experiments' configurations."""

from importlib import resources
from pathlib import Path

from calojax.errors import InputError

SAMPLES = {"pyramid": "egs_ds2_sample.hdf5", "qvae": "egs_atlas_sample.hdf5"}
TRAINING_ROWS = {"pyramid": 1000, "qvae": 1000}  # the first rows of a sample; only those after them are compared with


def sample(system: str) -> Path:
    """The path of a system's sample; InputError if none ships."""
    if system not in SAMPLES:
        raise InputError(
            where=f"sample of {system}",
            found="does not exist",
            rule=f"samples ship for {', '.join(sorted(SAMPLES))}",
            remedy="give a file of your own with --data",
        )
    return _folder() / SAMPLES[system]


def parts(system: str) -> tuple[slice, slice]:
    """The rows of a system's sample that are for training, and those that are held out."""
    first = TRAINING_ROWS[system]
    return slice(0, first), slice(first, None)


def experiment(system: str, name: str = "quick") -> Path:
    """The path of `experiments/<system>/<name>.toml`, in an installed package or a checkout; InputError if absent."""
    places = (_folder() / "experiments", _folder().parents[1] / "experiments")
    for place in places:
        path = place / system / f"{name}.toml"
        if path.is_file():
            return path
    raise InputError(
        where=f"experiment {system}/{name}",
        found="does not ship with this package",
        rule="a demonstration needs one",
        remedy="give a configuration of your own to `calojax train`",
    )


def _folder() -> Path:
    return Path(str(resources.files(__name__)))
