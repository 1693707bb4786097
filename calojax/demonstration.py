"""The demonstration: a system trained for a few minutes on the sample, judged against showers it never saw."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from calojax import data as shipped
from calojax import system as systems
from calojax import writing

if TYPE_CHECKING:
    import numpy as np

_FOLDER = "calojax-demo"
_REPEATS = 5  # generated showers for every held-out one
_LAYER_SHARE = 0.01  # of the energy, above which a layer's mean is checked


class Check(NamedTuple):
    """A mean of the held-out showers, the same of the generated ones, and how far apart they may be, as a share of the
    former, as is the standard error of their difference."""

    name: str
    held_out: float
    generated: float
    error: float
    allowed: float

    @property
    def difference(self) -> float:
        """Relative to the held-out showers."""
        return self.generated / self.held_out - 1

    @property
    def beyond(self) -> float:
        """How much further apart than allowed they are for certain: two standard errors less."""
        return abs(self.difference) - 2 * self.error - self.allowed

    @property
    def holds(self) -> bool:
        return self.beyond <= 0


class Demo(NamedTuple):
    """The folder, the report's page, and what was checked."""

    folder: Path
    report: Path
    checks: tuple[Check, ...]

    def text(self) -> str:
        """A table of the checks, a sentence on whether all hold, and where the report is."""
        lines = [f"{'mean of':<34} {'held out':>9} {'generated':>9} {'difference':>15} {'allowed':>8}"]
        for check in self.checks:
            apart = f"{check.difference:+.1%} ± {check.error:.1%}"
            lines.append(
                f"{check.name:<34} {check.held_out:>9.4g} {check.generated:>9.4g} {apart:>15} {check.allowed:>8.0%}  "
                f"{'holds' if check.holds else 'does not hold'}"
            )
        missed = sum(not check.holds for check in self.checks)
        said = "The generated showers look like showers: nothing is further off than allowed by more than two errors."
        if missed:
            said = f"{missed} of {len(self.checks)} do not hold: the generated showers do not look like showers yet."
        return "\n".join([*lines, "", said, f"Report: {self.report}"])


def demo(
    system: str = "pyramid", out: Path | str | None = None, *, settings: Sequence[str] = (), progress: bool = True
) -> Demo:
    """Train the system's quick experiment on the sample, generate, judge against held-out showers, and report.

    out: a new folder, default `calojax-demo`, then `calojax-demo-2`; settings: overrides as `key=value`.
    """
    names = (f"{_FOLDER}-{number}" if number > 1 else _FOLDER for number in itertools.count(1))
    folder = next(path for path in map(Path, names) if not path.exists()) if out is None else Path(out)
    return demonstrate(system, folder, settings=settings, progress=progress)


def demonstrate(system: str, folder: Path, *, settings: Sequence[str] = (), progress: bool = True) -> Demo:
    """Train, generate, judge and report in the new folder; InputError if it exists or the system has no sample."""
    writing.refuse_existing(folder)
    systems.load_config(system)  # an unknown system is refused with the nearest name
    experiment, sample = shipped.experiment(system), shipped.sample(system)
    import numpy as np  # noqa: PLC0415

    from calojax import geometry, verbs  # noqa: PLC0415
    from calojax.files import layouts  # noqa: PLC0415

    run = folder / "run"
    verbs.train(experiment, "sample", run, settings=settings, progress=progress)
    loaded = verbs.load(run)
    cylinder = geometry.from_json(loaded.manifest.geometry)
    training, held_out = (layouts.read(sample, cylinder, rows) for rows in shipped.parts(system))
    energies = np.tile(held_out.incident_energy, _REPEATS)
    generated = verbs.generate(loaded, energies, out=folder / "generated.hdf5", progress=progress)
    report = folder / "report"
    own = loaded if hasattr(loaded.system, "evaluate") else None
    verbs.evaluate(held_out, generated, cylinder, report, train=training, level="quick", run=own, progress=progress)
    checks = compare(held_out, layouts.read(Path(str(generated)), cylinder), cylinder)
    return Demo(folder, report / "index.html", checks)


def compare(held_out: Any, generated: Any, cylinder: Any) -> tuple[Check, ...]:
    """What has to agree: mean energies of layers, response and number of hits.

    Both: (incident_energy (N,), showers (N, V)) in MeV, generated at the same energies in the same order, all of them
    once or several times. Of the layers with more than 1 % of the energy the worst is shown, errors considered.
    """
    ours, theirs = _Values.of(generated, cylinder), _Values.of(held_out, cylinder)
    means = theirs.layers.mean(0)
    checked = [layer for layer, mean in enumerate(means) if mean > _LAYER_SHARE * means.sum()]
    name = f"energy (MeV), worst of {len(checked)} layers: "
    layers = [_check(f"{name}{layer}", theirs.layers[:, layer], ours.layers[:, layer], 0.10) for layer in checked]
    return (
        max(layers, key=lambda check: check.beyond),
        _check("E_tot / E_inc", theirs.response, ours.response, 0.03),
        _check("number of hits", theirs.hits, ours.hits, 0.05),
    )


def _check(name: str, held_out: "np.ndarray", generated: "np.ndarray", allowed: float) -> Check:
    """held_out (N,), generated (K N,); the error is that of the ratio of means of N pairs at the same energies."""
    ours = generated.reshape(-1, len(held_out)).mean(0)
    ratio = ours.mean() / held_out.mean()
    error = (ours - ratio * held_out).std() / len(held_out) ** 0.5 / held_out.mean()
    return Check(name, float(held_out.mean()), float(generated.mean()), float(error), allowed)


class _Values(NamedTuple):
    """Of each shower: energies of layers (N, L) MeV, E_tot / E_inc (N,), number of hits (N,)."""

    layers: "np.ndarray"
    response: "np.ndarray"
    hits: "np.ndarray"

    @classmethod
    def of(cls, sample: Any, cylinder: Any) -> "_Values":
        import numpy as np  # noqa: PLC0415

        incident, showers = sample
        layers = np.add.reduceat(showers.astype(np.float64), cylinder.layer_offsets[:-1], axis=1)
        hits = (showers >= np.float32(cylinder.threshold)).sum(axis=1)
        return cls(layers, layers.sum(axis=1) / incident, hits)
