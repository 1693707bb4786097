"""The judged folder: it gets its name when it holds all the numbers."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calojax import writing
from calojax.errors import InputError
from calojax.evaluation.schema import FILE, Metrics, load_metrics


def finished(out: Path) -> Metrics | None:
    """What a judged folder holds; None if it is none yet."""
    return load_metrics(out) if (out / FILE).exists() else None


@contextmanager
def growing(out: Path, resume: bool) -> Iterator[Path]:
    """A folder that gets the name `out` when it holds all the numbers; where it comes to nothing, the classifiers that
    were trained stay in it, under a hidden name."""
    writing.refuse_full(out)
    place = writing.partial(out)
    kept = place / "classifiers"
    if kept.is_dir() and not resume:
        raise InputError(
            where=str(out),
            found=f"was begun and interrupted ({place.name} lies beside it)",
            rule="the classifiers trained for it are not thrown away",
            remedy="go on with --resume, or remove that folder",
        )
    with writing.refusals(out), writing.claimed(place):
        try:
            yield place
        except BaseException:
            for left in () if kept.is_dir() else place.iterdir():
                left.unlink()
            raise
        shutil.rmtree(kept, ignore_errors=True)
        os.replace(place, out)
