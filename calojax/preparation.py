"""From what a user names, files, a folder or the sample, to a folder of shards."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calojax import cache, digests, writing
from calojax import config as configuration
from calojax import data as shipped
from calojax import system as systems
from calojax.errors import InputError
from calojax.experiments import SAMPLE, Experiment

if TYPE_CHECKING:
    from calojax.shards import Manifest, Shards


def shards(asked: Experiment, sources: list[Path], config: str | Path, verify: bool) -> "Shards":
    """The shards: in the folder given, or in one in the cache made from the files given."""
    paths = [shipped.sample(asked.system) if str(path) == SAMPLE else path for path in sources]
    if not paths:
        raise InputError(
            where=str(config),
            found="names no data",
            rule="there is nothing to train on",
            remedy='give --data PATH, or write data = "sample"',
        )
    given = len(paths) == 1 and paths[0].is_dir()
    folder = paths[0] if given else _cached(asked, paths)
    from calojax.shards import Shards  # noqa: PLC0415  (numpy)
    from calojax.training.package import CONFIG  # noqa: PLC0415  (JAX)

    if given and (folder / CONFIG).is_file():
        raise InputError(
            where=str(folder),
            found="is a run",
            rule="a training reads shards",
            remedy="give the folder made by `calojax prepare`; to go on with the run, --out RUN --resume",
        )

    try:
        found = Shards(folder, verify=verify or None)
    except InputError as error:
        if given:
            raise
        remedy = f"remove {folder}, it is made again from {', '.join(map(str, sources)) or asked.source}"
        raise InputError(where=error.where, found=error.found, rule=error.rule, remedy=remedy) from None
    if found.manifest.system != asked.system:
        raise InputError(
            where=str(folder),
            found=f"was prepared for {found.manifest.system}",
            rule=f"{config} trains {asked.system}",
            remedy=f"prepare it for {asked.system}",
        )
    return found


def for_training(asked: Experiment, sources: Sequence[Path]) -> Experiment:
    """The experiment, limited to the rows that are for training if it is the sample's; the others are held out."""
    if [str(path) for path in sources] != [SAMPLE]:
        return asked
    last = shipped.parts(asked.system)[0].stop
    fields = asked.config.data
    fields = dataclasses.replace(fields, rows=last if fields.rows is None else min(fields.rows, last))
    return asked._replace(config=dataclasses.replace(asked.config, data=fields))


def prepare(system: str, sources: list[Path], out: Path, config: Any) -> "Manifest":
    """What the system makes of the files, a new folder of shards; InputError if a source is no file."""
    for path in sources:
        if not path.is_file():
            raise InputError(where=str(path), found=_instead(path), rule="sources are files", remedy="check the path")
    return systems.load(system).prepare(sources, out, config)


def listed(sources: Sequence[str | Path] | str | Path) -> list[Path]:
    """The paths named, one or several."""
    return [Path(sources)] if isinstance(sources, (str, Path)) else [Path(path) for path in sources]


def _cached(asked: Experiment, sources: list[Path]) -> Path:
    """Shards in the cache, named by everything they depend on; made if they are not there."""
    for path in sources:
        if not path.is_file():
            raise InputError(
                where=str(path),
                found=_instead(path) + (" among several sources" if path.is_dir() else ""),
                rule="data are one folder of shards, or files",
                remedy="check the path",
            )
    from calojax.shards import manifest  # noqa: PLC0415

    content = {
        "system": asked.system,
        "format": manifest.VERSION,
        "code": digests.of_code(),
        "sources": [digests.of_file(path) for path in sources],
        "data": configuration.to_table(asked.config.data),
        "geometry": _geometry_digest(asked.config.data),
    }
    name = digests.of_table(content)[:20]
    folder = cache.folder() / "shards" / name
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                where=str(folder.parent),
                found=f"cannot be made ({error.strerror})",
                rule="files are prepared into the cache first",
                remedy="set XDG_CACHE_HOME, or run `calojax prepare` and give its folder",
            ) from None
        with writing.claimed(folder.with_name(f".{name}.claim"), wait=True):
            if not folder.is_dir():  # another process may have made it meanwhile
                prepare(asked.system, sources, folder, asked.config)
        for left in folder.parent.glob(".*.claim"):  # by processes that were killed: claimed and let go, it is removed
            with contextlib.suppress(InputError), writing.claimed(left):
                pass
    return folder


def _geometry_digest(data: Any) -> str:
    """Of the file that the data name as their geometry; "" for one by name."""
    text = str(getattr(data, "geometry", ""))
    files = (Path(name) for name in (text, text.rpartition(":")[0]))
    return next((digests.of_file(path) for path in files if path.is_file()), "")


def _instead(path: Path) -> str:
    """What is there in place of a file."""
    return "is a folder" if path.is_dir() else "is no file" if path.exists() else "does not exist"
