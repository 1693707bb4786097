"""What a user does, as functions: prepare, train, generate, evaluate, load, info. The command line calls these.

Paths may be strings. Energies are in MeV. Whatever cannot be used is an `InputError`, raised before anything is
written.
"""

import importlib
import json
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calojax import cache, experiments, preparation, writing
from calojax import config as configuration
from calojax import system as systems
from calojax.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from calojax.evaluation import Metrics
    from calojax.generation import Showers
    from calojax.geometry import Cylinder
    from calojax.shards import Manifest
    from calojax.training import Loaded, Trained


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
    return preparation.prepare(system, preparation.listed(sources), Path(out), config)


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
    asked = experiments.read(config, settings)
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
    out = writing.unused(Path("runs", Path(config).stem)) if out is None else Path(out)
    if not resume and processes.alone():
        folder.refuse_existing(out)  # several processes look together, when all are there
    cache.keep_compiled()
    given = asked.source if data is None else data
    sources = preparation.listed(given) if given else []
    asked = preparation.for_training(asked, sources)
    with processes.together():
        shards = preparation.shards(asked, sources, config, verify)
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
    format: of the file, "voxels" as the CaloChallenge has it, "points", the hits as x, y, z, E (files.showerdata), or
    "atlas", a raw file of ATLAS voxels (files.atlas);
    chunk: showers that are computed and saved at a time, default 8,000; resume: go on where an equal request was
    interrupted (from the start if it was not begun); another one, or other code or kind of device, is an InputError.
    """
    import numpy as np  # noqa: PLC0415

    from calojax import generation, geometry  # noqa: PLC0415
    from calojax.generation import layouts, requested  # noqa: PLC0415
    from calojax.training import processes  # noqa: PLC0415

    if out is not None and not resume and processes.alone():
        writing.refuse_existing(Path(out))  # of several processes the first one looks, when all are there
    if sum(given is not None for given in (energies, n, conditions)) != 1:
        raise TypeError("generate needs exactly one of energies, n and conditions")
    requested.check(n, energy, energy_range, seed)
    loaded = load(run, settings)
    if conditions is not None:
        with processes.together():
            given = loaded.system.conditions(Path(conditions), loaded.config, loaded.manifest)
    else:
        if n is not None:
            energies = requested.energies(n, energy, energy_range or loaded.manifest.ranges["incident_energy"], seed)
        given = {"incident_energy": np.atleast_1d(np.asarray(energies, float))}
    cylinder = geometry.from_json(loaded.manifest.geometry)  # type: ignore[arg-type]
    if out is None:
        processes.refuse_several("generate without a file")
        sink = generation.Arrays(cylinder.n_cells)
    else:
        request = generation.request(loaded, given, seed, chunk=chunk, format=format)
        showers, compression = len(given["incident_energy"]), loaded.config.generation.compression
        attributes = generation.attributes(loaded, seed, showers) | {"request": json.dumps(request)}
        sub_voxels = loaded.manifest.tables.get("probabilities")
        layout = layouts.named(format, cylinder, attributes, compression, showers, sub_voxels)
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
    run: "str | Path | Loaded | None" = None,
    settings: Iterable[str] = (),
    resume: bool = False,
    progress: bool = True,
) -> "Metrics":
    """Judge generated showers against a reference.

    reference, generated, train: CaloChallenge or ATLAS voxel files, or (incident_energy (N,), showers (N, V)) in MeV;
    geometry: by name, a binning XML, or an ATLAS voxel file, for its active layers; train: what the generator was
    trained on, for fair floors and the share of memorised showers. level: quick (no classifiers), standard, or full
    (the protocol of the CaloChallenge). With `out`, a new or empty folder, metrics.json and the report (index.html) are
    written into it; compare: other generators for the report, by name, each showers as above or a folder judged before
    against the same reference; published: the CaloChallenge's results in the report, as context; run: of the generator,
    for what only its system can say (of the qvae the latent bits), with settings as for `load`; resume: go on with the
    classifiers of an interrupted evaluation into the same folder; if that is done, give what was found, or an
    InputError if it was of something else.
    """
    from calojax.files import layouts  # noqa: PLC0415

    settings = tuple(settings)
    if settings and run is None:
        rule, remedy = "only a run has settings", "give its run too"
        raise InputError(where=f"--set {settings[0]}", found="has no --run", rule=rule, remedy=remedy)
    cache.keep_compiled()
    geometry = layouts.geometry(geometry)
    if out is None:
        from calojax import evaluation  # noqa: PLC0415

        _refuse_without_folder(compare=compare, published=published, run=run, resume=resume)
        return evaluation.judge(reference, generated, geometry, train=train, level=level, progress=progress)
    from calojax import report  # noqa: PLC0415  (matplotlib)
    from calojax.evaluation import several  # noqa: PLC0415

    out = Path(out)
    own = None if run is None else _own(load(run, settings), reference, geometry, level)
    drawn = (out / report.PAGE).exists()
    found = several.judge(
        reference,
        generated,
        geometry,
        out,
        train=train,
        level=level,
        compare=compare or {},
        published=published,
        resume=resume,
        drawn=drawn,
        progress=progress,
        own=own,
    )
    if not drawn:
        with writing.refusals(out, "free some room and judge again into another folder; metrics.json is whole"):
            report.write(out, found.metrics, compare=found.others, published=published, progress=progress)
    return found.metrics


def bench(
    names: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    run: str | Path | None = None,
    short: bool = False,
    peers: str | Path | None = None,
    compare: tuple[str | Path, str | Path] | None = None,
) -> str:
    """Measure speed beside the machine's own limits, or compare two files of results; a table in Markdown.

    names: of the scripts in `benchmarks/`, default all; out: JSON file, default benchmarks/results/MACHINE.json;
    run: a trained run to measure, default fresh models; short: minutes in all, to see that it runs; peers: Python of an
    environment with the packages to compare with. InputError outside a checkout of the repository.
    """
    checkout = Path(__file__).parents[1]
    if not (checkout / "benchmarks" / "suite.py").is_file():
        raise InputError(
            where="benchmarks",
            found="are not installed",
            rule="they are in a checkout of the repository, not in the package",
            remedy="clone it and run `make bench` there",
        )
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    suite = importlib.import_module("benchmarks.suite")
    path = lambda given: None if given is None else Path(given)
    if compare:
        return suite.compare(*map(Path, compare))
    return suite.run(names, path(out), path(run), short, path(peers))


def info(path: str | Path, *, verify: bool = False) -> dict[str, Any]:
    """What is in a file of showers, a folder of shards, a run or a judged folder, as JSON can hold it.

    verify: compare every byte of a folder of shards with its checksums; InputError names the file that differs.
    """
    from calojax import inspection  # noqa: PLC0415

    return inspection.inspect(Path(path), verify=verify)


def _own(loaded: "Loaded", reference: Any, geometry: Any, level: str) -> Any:
    """What the system of a run says of a reference beside the judge; InputError if it is of another geometry, or if
    there is nothing to say."""
    from calojax import generation  # noqa: PLC0415  (JAX)
    from calojax import geometry as geometries  # noqa: PLC0415
    from calojax.evaluation.several import Own  # noqa: PLC0415

    where = f"the run {loaded.name}"
    if not hasattr(loaded.system, "evaluate"):
        rule = f"the judge says all there is to say of the system {loaded.manifest.system}"
        raise InputError(where=where, found="is given to evaluate", rule=rule, remedy="leave --run away")
    trained_in = geometries.from_json(loaded.manifest.geometry)  # type: ignore[arg-type]
    if getattr(geometry, "layers", None) != trained_in.layers:  # another threshold is no other geometry
        rule = "it is judged in that which it was trained on"
        raise InputError(where=where, found="is of another geometry", rule=rule, remedy="give its --geometry")
    find = lambda: loaded.system.evaluate(loaded.model, reference, loaded.config, loaded.manifest, level)
    return Own(generation.described(loaded), find)


def _report_losses(run: Path) -> None:
    """Draw what was logged, if anything was. The run is complete and saved: whatever fails here is only a warning."""
    from calojax.training import metrics  # noqa: PLC0415  (JAX)

    try:
        if metrics.read(run):
            from calojax import report  # noqa: PLC0415  (matplotlib)

            report.write_run(run)
    except Exception as error:
        warnings.warn(f"{run} is trained, but its losses are not drawn: {error}", stacklevel=3)


def _refuse_without_folder(**given: Any) -> None:
    """InputError for the first argument that would say nothing."""
    for name, value in given.items():
        if value:
            raise InputError(
                where=f"evaluate, {name}",
                found="is given without out",
                rule="it is about the report, or what was interrupted, in a folder",
                remedy="give out, or leave it away",
            )
