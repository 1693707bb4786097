"""What a user does, as functions: prepare, train, generate, evaluate, load, info. The command line calls these.

Paths may be strings. Energies are in MeV. Whatever cannot be used is an `InputError`, raised before anything is
written.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from calojax import cache, digests, writing
from calojax import config as configuration
from calojax import data as shipped
from calojax import system as systems
from calojax.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from calojax.evaluation import Metrics
    from calojax.generation import Showers
    from calojax.geometry import Cylinder
    from calojax.shards import Manifest, Shards
    from calojax.training import Loaded, Trained

SAMPLE = "sample"  # the data source that ships with the package


class Experiment(NamedTuple):
    """What a TOML file asks for: the system, its Config, and where the data come from ("" if it does not say)."""

    system: str
    config: Any
    source: str


def experiment(path: str | Path, settings: Iterable[str] = ()) -> Experiment:
    """Read an experiment: `system = NAME` on top, the rest is the system's Config.

    `data = "sample"`, or `source = "sample"` in a table [data], is the sample that ships. settings: overrides as
    `key=value`, the value in TOML.
    """
    table = configuration.read_toml(path)
    if isinstance(table.get("data"), str):
        table["data"] = {"source": table["data"]}
    for setting in settings:
        table = configuration.override(table, setting)
    name = table.pop("system", None)
    if not isinstance(name, str):
        raise InputError(
            where=f"{path}, key system",
            found="is missing" if name is None else f"is {name!r}",
            rule=f"it names the system, one of {', '.join(sorted(systems.TABLE))}",
            remedy='write system = "pyramid" on top, for example',
        )
    source = ""
    if isinstance(table.get("data"), dict):
        source = table["data"].get("source", "")
        table["data"] = {key: value for key, value in table["data"].items() if key != "source"}
    if source not in ("", SAMPLE):
        raise InputError(
            where=f"{path}, data",
            found=f"is {source!r}",
            rule="configurations hold no paths; the only source with a name is the sample",
            remedy='give --data PATH, or write data = "sample"',
        )
    return Experiment(name, configuration.build(systems.load_config(name), table, where=str(path)), source)


def prepare(
    system: str,
    sources: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    data: Mapping[str, Any] | None = None,
) -> "Manifest":
    """Make a folder of shards from outside files.

    sources: one file or several, read in order; out: must not exist; data: fields of the system's `[data]` table.
    """
    config = configuration.build(systems.load_config(system), {"data": dict(data or {})})
    return _prepare(system, _paths(sources), Path(out), config)


def train(
    config: str | Path,
    data: Sequence[str | Path] | str | Path | None = None,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    verify: bool = False,
    settings: Iterable[str] = (),
    progress: bool = True,
) -> "Trained":
    """Train what a TOML file describes.

    data: a folder of shards, or outside files (prepared first, into the cache), or "sample"; default: as the TOML says.
    out: a new folder for the run, default `runs/NAME`, then `runs/NAME-2`, after the TOML file; resume: go on from the
    latest checkpoint in `out`; verify: compare every byte of the shards with its checksum, otherwise done once only;
    settings: overrides as `key=value`. At the end the losses are drawn into out/report/index.html.

    Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint and raise KeyboardInterrupt. Python cannot raise it while a step is
    compiled, the first parameters are made or a phase is fitted: a signal that comes then saves, and ends the process
    with os._exit(130). Nothing of the caller runs any more, and a notebook loses its kernel. Outside the main thread no
    signal is heard.
    """
    asked = experiment(config, settings)
    if out is None and resume:
        raise InputError(
            where="--resume", found="has no run", rule="a run goes on in its folder", remedy="give --out RUN"
        )
    from calojax import training  # noqa: PLC0415  (JAX)
    from calojax.training import folder, processes  # noqa: PLC0415

    if out is None and not processes.alone():
        raise InputError(
            where="the run of several processes",
            found="has no folder",
            rule="all of them write into the same one",
            remedy="give --out RUN",
        )
    out = _new_folder(Path("runs", Path(config).stem)) if out is None else Path(out)
    if not resume and processes.alone():
        folder.refuse_existing(out)  # several processes look together, when all are there
    cache.keep_compiled()
    given = asked.source if data is None else data
    sources = _paths(given) if given else []
    if [str(path) for path in sources] == [SAMPLE]:
        asked = _training_part(asked)
    with processes.together():
        shards = _shards(asked, sources, config, verify)
    trained = training.run(systems.load(asked.system), asked.config, shards, out, resume=resume, progress=progress)
    if processes.is_first():
        _report_losses(out)
    return trained


def load(run: "str | Path | Loaded", settings: Iterable[str] = ()) -> "Loaded":
    """A trained run, ready to generate: system, config, manifest, model.

    settings: overrides of the `[generation]` table as `generation.key=value`.
    """
    from calojax import training  # noqa: PLC0415  (JAX)
    from calojax.training import folder, processes  # noqa: PLC0415

    if isinstance(run, training.Loaded):
        return run
    cache.keep_compiled()
    with processes.together():
        _, module, config = folder.describe(run)
    table = configuration.to_table(config)
    for setting in settings:
        if not setting.startswith("generation."):
            raise InputError(
                where=f"--set {setting}",
                found="is not of the table [generation]",
                rule="the rest of a trained run is fixed",
                remedy="set generation.KEY=VALUE",
            )
        table = configuration.override(table, setting)
    changed = configuration.build(module.Config, table)
    chosen = changed.generation
    return training.load(run, chosen.checkpoint, ema=chosen.ema)._replace(config=changed)


def generate(
    run: "str | Path | Loaded",
    energies: "np.ndarray | Sequence[float] | None" = None,
    seed: int = 0,
    *,
    n: int | None = None,
    energy: float | None = None,
    energy_range: tuple[float, float] | None = None,
    conditions: str | Path | None = None,
    out: str | Path | None = None,
    format: str = "voxels",
    chunk: int | None = None,
    resume: bool = False,
    settings: Iterable[str] = (),
    progress: bool = True,
) -> "Showers | Path":
    """Draw one shower per incident energy, MeV.

    Which energies: `energies` (N,); or those of the file `conditions`, in its order; or `n` of them, all at `energy`
    or log-uniform in `energy_range` (low, high), by default the range of the training data.
    Returns Showers(incident_energy (N,), showers (N, V)) in MeV; with `out`, a file that must not exist yet, showers
    are streamed into it and its path is returned. The same seed gives the same showers.
    format: of the file, "voxels" as the CaloChallenge has it, or "points", the hits as x, y, z, E (files.showerdata);
    chunk: showers that are computed and saved at a time, default 8,192; resume: go on where an equal request was
    interrupted (from the start if it was not begun); another one, or other code or kind of device, is an InputError.
    """
    import numpy as np  # noqa: PLC0415

    from calojax import generation, geometry  # noqa: PLC0415
    from calojax.training import processes  # noqa: PLC0415

    if out is not None and not resume and processes.alone():
        writing.refuse_existing(Path(out))  # of several processes the first one looks, when all are there
    if sum(given is not None for given in (energies, n, conditions)) != 1:
        raise TypeError("generate needs exactly one of energies, n and conditions")
    _check_request(n, energy, energy_range, seed)
    loaded = load(run, settings)
    if conditions is not None:
        with processes.together():
            given = loaded.system.conditions(Path(conditions))
    else:
        if n is not None:
            energies = _draw_energies(n, energy, energy_range or loaded.manifest.ranges["incident_energy"], seed)
        given = {"incident_energy": np.atleast_1d(np.asarray(energies, float))}
    cylinder = geometry.from_json(loaded.manifest.geometry)  # type: ignore[arg-type]
    if out is None:
        processes.refuse_several("generate without a file")
        sink = generation.Arrays(cylinder.n_cells)
    else:
        request = generation.request(loaded, given, seed, chunk=chunk, format=format)
        attributes = generation.attributes(loaded, seed) | {"request": json.dumps(request)}
        layout = _layout(
            format, cylinder, attributes, loaded.config.generation.compression, len(given["incident_energy"])
        )
        sink = generation.Files(out, layout, request, resume=resume)
    return generation.run(
        loaded.system,
        loaded.model,
        loaded.config,
        given,
        seed,
        sink,
        chunk=chunk,
        trained=loaded.manifest.ranges,
        progress=progress,
    )


def evaluate(
    reference: Any,
    generated: Any,
    geometry: "str | Path | Cylinder",
    out: str | Path | None = None,
    *,
    train: Any = None,
    level: str = "standard",
    compare: Mapping[str, Any] | None = None,
    published: bool = False,
    resume: bool = False,
    progress: bool = True,
) -> "Metrics":
    """Judge generated showers against a reference.

    reference, generated, train: CaloChallenge files, or (incident_energy (N,), showers (N, V)) in MeV; train: what the
    generator was trained on, for fair floors and the share of memorised showers. level: quick (no classifiers),
    standard, or full (the protocol of the CaloChallenge). With `out`, a new or empty folder, metrics.json and the
    report (index.html) are written into it; compare: other generators for the report, by name, each showers as above or
    a folder judged before against the same reference; published: the CaloChallenge's results in the report, as context;
    resume: go on with the classifiers of an interrupted evaluation into the same folder.
    """
    from calojax import evaluation  # noqa: PLC0415

    cache.keep_compiled()
    judge = functools.partial(
        evaluation.judge, reference, geometry=geometry, train=train, level=level, progress=progress
    )
    others = {name: _judged(source) for name, source in (compare or {}).items()}
    if out is None:
        return judge(generated)
    from calojax import report  # noqa: PLC0415  (matplotlib)

    out = Path(out)
    with _place_for_metrics(out, resume) as place:
        metrics = judge(generated, saved=place / "classifiers")
        for name, source in others.items():
            if not isinstance(source, evaluation.Metrics):
                others[name] = judge(source, saved=place / "classifiers" / name)
            evaluation.refuse_other_reference(metrics, others[name], name)
        metrics.save(place)
    with writing.refusals(out, "free some room and judge again into another folder; metrics.json is whole"):
        report.write(out, metrics, compare=others, published=published, progress=progress)
    return metrics


def _judged(source: Any) -> Any:
    """What the judge said of the showers of a folder; other sources as they are."""
    from calojax import evaluation  # noqa: PLC0415

    is_folder = isinstance(source, (str, Path)) and Path(source).is_dir()
    return evaluation.load_metrics(source) if is_folder else source


def info(path: str | Path, *, verify: bool = False) -> dict[str, Any]:
    """What is in a file of showers, a folder of shards, a run or a judged folder, as JSON can hold it.

    verify: compare every byte of a folder of shards with its checksums; InputError names the file that differs.
    """
    from calojax import inspection  # noqa: PLC0415

    return inspection.inspect(Path(path), verify=verify)


def _refuse_full(out: Path) -> None:
    """InputError unless the folder is new or empty, and there can be one on a disk that has room."""
    if not out.is_dir() or any(out.iterdir()):
        writing.refuse_existing(out)
    new = [folder for folder in (writing.partial(out), *out.parents) if not folder.exists()]
    with writing.refusals(out):
        for folder in reversed(new):
            folder.mkdir()
        try:
            writing.need_room(new[0].parent if new else writing.partial(out), 0)
        finally:
            for folder in new:
                folder.rmdir()


@contextmanager
def _place_for_metrics(out: Path, resume: bool) -> Iterator[Path]:
    """A folder that gets the name `out` when it holds all the numbers; where it comes to nothing, the classifiers that
    were trained stay in it, under a hidden name."""
    _refuse_full(out)
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


def _check_request(n: int | None, energy: float | None, energy_range: tuple[float, float] | None, seed: int) -> None:
    """InputError for numbers that no shower can be drawn from."""
    if n is not None and not 1 <= n <= 2**32:
        raise InputError(
            where="n", found=f"is {n}", rule="1 to 2^32 showers can be drawn at a time", remedy="give another --n"
        )
    if n is None and (energy, energy_range) != (None, None):
        name = "energy" if energy_range is None else "energy range"
        raise InputError(
            where=name,
            found="is given beside the energies themselves (--conditions)",
            rule="it is for a number of showers (--n)",
            remedy="leave one of them out",
        )
    if energy is not None and not 0 < energy < math.inf:
        raise InputError(where="energy", found=f"is {energy}", rule="it must be above 0 MeV", remedy="give another")
    if energy_range is not None and not 0 < energy_range[0] <= energy_range[1] < math.inf:
        raise InputError(
            where="energy range",
            found=f"is {energy_range[0]:g} to {energy_range[1]:g} MeV",
            rule="it must go from an energy above 0 to a larger one",
            remedy="give --energy-range LOW:HIGH in MeV",
        )
    if not 0 <= seed < 2**32:
        raise InputError(where="seed", found=f"is {seed}", rule="it must be 0 to 2^32 - 1", remedy="give another one")


def _draw_energies(n: int, energy: float | None, energy_range: tuple[float, float], seed: int) -> "np.ndarray":
    """(n,) incident energies, MeV: all the same, or log-uniform in the range."""
    import numpy as np  # noqa: PLC0415

    if energy is not None:
        return np.full(n, float(energy))
    low, high = np.log(energy_range)
    return np.exp(np.random.default_rng((seed, 1)).uniform(low, high, n))


def _layout(format: str, cylinder: "Cylinder", attributes: dict[str, Any], compression: int, showers: int) -> Any:
    """How the file is written."""
    from calojax import generation  # noqa: PLC0415

    if format == "voxels":
        return generation.Voxels(cylinder, attributes, compression)
    if format == "points":
        return generation.Points(cylinder, attributes, showers)
    raise InputError(
        where="format", found=f"is {format}", rule="it must be voxels or points", remedy="give one of them"
    )


def _new_folder(wanted: Path) -> Path:
    """The wanted name, or the first of NAME-2, NAME-3, ... that is free."""
    names = itertools.chain([wanted], (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2)))
    return next(path for path in names if not path.exists())


def _prepare(system: str, sources: list[Path], out: Path, config: Any) -> "Manifest":
    for path in sources:
        if not path.is_file():
            raise InputError(where=str(path), found=_instead(path), rule="sources are files", remedy="check the path")
    return systems.load(system).prepare(sources, out, config)


def _training_part(asked: Experiment) -> Experiment:
    """The experiment limited to the rows of the sample that are for training; the others are held out from it."""
    last = shipped.parts(asked.system)[0].stop
    fields = asked.config.data
    fields = dataclasses.replace(fields, rows=last if fields.rows is None else min(fields.rows, last))
    return asked._replace(config=dataclasses.replace(asked.config, data=fields))


def _shards(asked: Experiment, sources: list[Path], config: str | Path, verify: bool) -> "Shards":
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


def _report_losses(run: Path) -> None:
    """Draw what was logged, if anything was. The run is complete and saved: whatever fails here is only a warning."""
    from calojax.training import metrics  # noqa: PLC0415  (JAX)

    try:
        if metrics.read(run):
            from calojax import report  # noqa: PLC0415  (matplotlib)

            report.write_run(run)
    except Exception as error:
        warnings.warn(f"{run} is trained, but its losses are not drawn: {error}", stacklevel=3)


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
                _prepare(asked.system, sources, folder, asked.config)
        for left in folder.parent.glob(".*.claim"):  # by processes that were killed: claimed and let go, it is removed
            with contextlib.suppress(InputError), writing.claimed(left):
                pass
    return folder


def _instead(path: Path) -> str:
    """What is there in place of a file."""
    return "is a folder" if path.is_dir() else "is no file" if path.exists() else "does not exist"


def _geometry_digest(data: Any) -> str:
    """Of the file that the data name as their geometry; "" for one by name."""
    text = str(getattr(data, "geometry", ""))
    files = (Path(name) for name in (text, text.rpartition(":")[0]))
    return next((digests.of_file(path) for path in files if path.is_file()), "")


def _paths(sources: Sequence[str | Path] | str | Path) -> list[Path]:
    return [Path(sources)] if isinstance(sources, (str, Path)) else [Path(path) for path in sources]
