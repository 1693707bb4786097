"""The run folder: made whole before training begins, checked before it goes on, and all that `load` needs.

`config.toml` (what `calojax train` takes), `manifest.json` (with `statistics.npz`), `provenance.json`, `metrics.jsonl`,
`checkpoints/`.
"""

import functools
import importlib.metadata
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax

from calojax import config as configuration
from calojax import digests, writing
from calojax import system as systems
from calojax.errors import InputError
from calojax.shards.manifest import Manifest
from calojax.system import Model
from calojax.training import package
from calojax.training.package import CONFIG
from calojax.training.step import INITIAL, purpose_key

PROVENANCE = "provenance.json"
_PACKAGES = ("calojax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "h5py")


class Loaded(NamedTuple):
    """A trained run: name of the folder, system module, its config, the manifest it was trained on, the Model with
    averaged parameters (the last ones if config.generation.ema is false), and the step."""

    name: str
    system: ModuleType
    config: Any
    manifest: Manifest
    model: Model
    step: int


def load(run: Path | str, step: int | str | None = None, *, ema: bool | None = None) -> Loaded:
    """A run as it was at a checkpoint, or a packaged model, ready to generate or predict.

    step: of the checkpoint, or "last" or "best" (of the lowest validation loss), default config.generation.checkpoint,
    else the last; ema: use the moving average of the parameters, default config.generation.ema, else True. A package
    has one set of parameters.
    Raises InputError if the folder is no run, has no checkpoint, or none of that step.
    """
    run = Path(run)
    manifest, module, config = describe(run)
    like = _on_one_device(jax.eval_shape(lambda: initial(module, config, manifest)))
    if (run / package.PARAMS).is_file():
        params, state, found = package.read(run, *like)
    else:
        wanted = getattr(config, "generation", None)
        which = getattr(wanted, "checkpoint", "last") if step is None else step
        average = bool(getattr(wanted, "ema", True)) if ema is None else ema
        params, state, found = _restore(run, which, *like, config=config, manifest=manifest, ema=average)
    return Loaded(
        writing.storable(run.name),
        module,
        config,
        manifest,
        Model(params, state, module.constants(config, manifest)),
        found,
    )


def _restore(
    run: Path, step: int | str, params: Any, state: Any, *, config: Any, manifest: Manifest, ema: bool
) -> tuple[Any, Any, int]:
    from calojax.training.checkpoints import Checkpoints  # noqa: PLC0415  (Orbax is slow to import)

    with Checkpoints(run) as checkpoints:
        meta = checkpoints.meta(checkpoints.named(step))
        refuse_foreign(run, meta, config, manifest)
        return *checkpoints.restore_model(meta["step"], params, state, ema=ema), int(meta["step"])


def describe(run: Path | str) -> tuple[Manifest, ModuleType, Any]:
    """Manifest, system module and config of a run folder; InputError if it is none."""
    run = Path(run)
    if not (run / CONFIG).is_file():
        raise InputError(
            where=str(run),
            found=f"has no {CONFIG}" if run.is_dir() else "is no folder",
            rule="a run is a folder made by `calojax train`",
            remedy="check the path",
        )
    manifest = Manifest.read(run)
    module = systems.load(manifest.system)
    table = configuration.read_toml(run / CONFIG)
    table.pop("system", None)  # for `calojax train`; here the manifest says it; older runs have no such line
    return manifest, module, configuration.build(module.Config, table, where=str(run / CONFIG))


def initial(module: ModuleType, config: Any, manifest: Manifest) -> tuple[Any, Any]:
    """Parameters and state before training; a pure function of config and manifest."""
    model = module.init(purpose_key(config.training.seed, INITIAL), config, manifest)
    return model.params, model.state


def create(run: Path, config: Any, shards_folder: Path, manifest: Manifest, steps: int) -> None:
    """Make the run folder with everything but checkpoints and metrics, in one rename; steps: of the whole training."""
    with writing.refusals(run):
        temporary = writing.partial(run)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            writing.need_room(temporary, 0)
            (temporary / CONFIG).write_text(configuration.to_toml(config, system=manifest.system), encoding="utf-8")
            manifest.write(temporary)
            provenance = _provenance(config, shards_folder, manifest, steps)
            (temporary / PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
            temporary.rename(run)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove(run: Path) -> None:
    """Take a run folder away, its name first."""
    temporary = writing.partial(run)
    shutil.rmtree(temporary, ignore_errors=True)
    run.rename(temporary)
    shutil.rmtree(temporary, ignore_errors=True)


def _provenance(config: Any, shards_folder: Path, manifest: Manifest, steps: int) -> dict[str, Any]:
    return {
        "system": manifest.system,
        "steps": steps,
        "config_digest": configuration.digest(config),
        "data_digest": manifest.digest,
        "data": str(shards_folder),
        "seed": config.training.seed,
        "command": sys.argv,
        "versions": versions(),
        "code": digests.of_code(),
        "platform": {
            "python": platform.python_version(),
            "machine": platform.platform(),
            "backend": jax.default_backend(),
            "devices": [device.device_kind for device in jax.devices()],
            "processes": jax.process_count(),
        },
    }


@functools.cache  # every checkpoint has them
def versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def refuse_existing(run: Path) -> None:
    """InputError if the run folder is there already and training was not asked to resume."""
    writing.refuse_existing(run, remedy="go on with --resume, or give another --out")


def refuse_other(run: Path, config: Any, manifest: Manifest) -> None:
    """InputError if the run was started with another system, config, geometry or data than are given now."""
    stored, _, old = describe(run)
    for what, before, now in (
        ("system", stored.system, manifest.system),
        ("geometry", stored.geometry_digest[:12], manifest.geometry_digest[:12]),
    ):
        if before != now:
            raise _other(f"{run}, {what}", before, now)
    for key, before, now in _differences(configuration.to_table(old), configuration.to_table(config)):
        raise _other(f"{run / CONFIG}, key {key}", before, now)
    if stored.digest != manifest.digest:
        raise _other(f"{run}, digest of the shards", stored.digest[:12], manifest.digest[:12])


def refuse_foreign(run: Path, meta: dict[str, Any], config: Any, manifest: Manifest) -> None:
    """InputError if a checkpoint was not made by the run in whose folder it lies."""
    where = f"{run}, checkpoint {meta['step']}"
    saved_with = configuration.build(type(config), meta["config"], where=where)  # newer fields: their default
    tables = [configuration.to_table(each) for each in (saved_with, config)]
    found = list(_differences(*({key: table[key] for key in table if key != "generation"} for table in tables)))
    digests = {"geometry digest": manifest.geometry_digest, "digest of the shards": manifest.digest}
    saved = {"geometry digest": meta["geometry_digest"], "digest of the shards": meta["data_digest"]}
    found += [(name, saved[name][:12], now[:12]) for name, now in digests.items() if saved[name] != now]
    for key, before, now in found:
        raise InputError(
            where=f"{where}, {key}",
            found=f"is {before}",
            rule=f"in the folder of its run it is {now}",
            remedy="restore the checkpoints of this run, or train again",
        )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Key, old and new value wherever two tables differ."""
    old, new = dict(configuration.flat(before)), dict(configuration.flat(now))
    yield from ((key, old.get(key), new.get(key)) for key in old | new if old.get(key) != new.get(key))


def _other(where: str, before: Any, now: Any) -> InputError:
    return InputError(
        where=where,
        found=f"was {before} when the run started and is {now} now",
        rule="a run goes on with what it was started with",
        remedy="restore the old value or start another run",
    )


def _on_one_device(tree: Any) -> Any:
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device), tree)
