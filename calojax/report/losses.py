"""The page of a run: what was trained, and its losses, gradients and speed as metrics.jsonl has them."""

import html
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax import config as configuration
from calojax.errors import InputError
from calojax.report import frame
from calojax.report.drawing import COLOURS, Picture, number, panels, picture, style
from calojax.shards import Manifest
from calojax.training import checkpoints, folder, metrics

PAGE = Path("report", frame.PAGE)
_VALIDATION = "validation/"
_NO_TERMS = ("loss", "gradient_norm", "learning_rate")
_OF_THE_LINE = ("steps_per_second", "rows_per_second", "wait_share")
_RATES = {  # title, factor, and what the axis reaches at least
    "gradient_norm": ("gradient norm", 1, 0),
    "learning_rate": ("learning rate", 1, 0),
    "steps_per_second": ("steps per second", 1, 0),
    "wait_share": ("time waiting for data [%]", 100, 2),
}
_SEVERAL = (COLOURS["train"], COLOURS["generated"], "#2e7d32", "#d77a00", "#6a4c93", COLOURS["independent"])
_MOST = 500  # points of a curve: more cannot be told apart and make the page heavy
_FEW = 60  # points up to which each has a marker of its own
_COLUMNS = 3


class Curve(NamedTuple):
    """A value against steps: both (n,), n > 0, steps increasing."""

    steps: np.ndarray
    values: np.ndarray


class Update(NamedTuple):
    """What is known of one update of one phase, by name; title: which it is, "" if it is the only one of the run."""

    title: str
    training: dict[str, Curve]
    validation: dict[str, Curve]


def write_run(run: Path | str) -> Path:
    """Write RUN/report/index.html with the losses of a run so far, and give its path.

    Raises InputError if the folder is no run or has no line of metrics yet, if it cannot be written to, or if
    matplotlib is missing.
    """
    run = Path(run)
    provenance, lines = _provenance(run), metrics.read(run)
    if not lines:
        raise InputError(
            where=str(run / metrics.METRICS),
            found="has no line yet",
            rule="a report shows what training has logged",
            remedy="train on with --resume",
        )
    found = updates(lines)
    with style():
        sections = [
            frame.section("Losses", [frame.figure(_losses(found))], _table(found)),
            *(frame.section(_heading("Terms of the loss", u), [frame.figure(_terms(u))]) for u in found if _names(u)),
            frame.section("Optimiser and speed", [frame.figure(_rates(found, lines))]),
        ]
    known = html.escape(json.dumps(provenance, indent=1))
    sections.append(frame.section("Provenance", words=frame.folded("provenance.json", f"<pre>{known}</pre>")))
    title = f"Training of {run.resolve().name}"
    return frame.save(run / PAGE, title=title, about=_about(run, provenance, lines), body="\n".join(sections))


def updates(lines: Sequence[dict[str, Any]]) -> list[Update]:
    """Every update of every phase in the lines of metrics.jsonl, in the order in which they came."""
    phases = [(name, list(own)) for name, own in itertools.groupby(lines, key=lambda line: line["phase"])]
    found = []
    for phase, own in phases:
        names = list(dict.fromkeys(name for line in own for name in line["values"]))
        logged = [name for name in names if not name.startswith(_VALIDATION)]
        validated = [name.removeprefix(_VALIDATION) for name in names if name.startswith(_VALIDATION)]
        for prefix in _prefixes([*logged, *validated]):
            words = [phase] if len(phases) > 1 else []
            found.append(
                Update(
                    ", ".join([*words, prefix[:-1]] if prefix else words),
                    _curves(own, "", prefix, [name for name in logged if name not in _OF_THE_LINE]),
                    _curves(own, _VALIDATION, prefix, validated),
                )
            )
    return found


def _prefixes(names: Iterable[str]) -> list[str]:
    """What the names of each update begin with: nothing if the phase has one, else `update.`."""
    losses = [name for name in names if name == "loss" or (name.endswith(".loss") and "/" not in name)]
    return list(dict.fromkeys(name.removesuffix("loss") for name in losses))


def _curves(lines: Sequence[dict[str, Any]], kind: str, prefix: str, names: Iterable[str]) -> dict[str, Curve]:
    own = (name for name in names if name.startswith(prefix))
    return {name.removeprefix(prefix): _curve(lines, kind + name) for name in own}


def _curve(lines: Sequence[dict[str, Any]], name: str) -> Curve:
    pairs = [(line["step"], line["values"][name]) for line in lines if name in line["values"]]
    steps, values = zip(*pairs, strict=True)
    return Curve(np.array(steps), np.array(values, float))


# ---- words


def _provenance(run: Path) -> dict[str, Any]:
    """Of a run; InputError if the folder is none."""
    path = run / folder.PROVENANCE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        missing = f"has no {folder.PROVENANCE}" if run.is_dir() else "is no folder"
    except ValueError:
        missing = f"has a {folder.PROVENANCE} that is no JSON"
    else:
        return found
    raise InputError(
        where=str(run), found=missing, rule="a run is a folder made by `calojax train`", remedy="check the path"
    )


def _about(run: Path, provenance: dict[str, Any], lines: Sequence[dict[str, Any]]) -> list[str]:
    """What was trained, on what, for how long, with what."""
    manifest = Manifest.read(run)
    training = configuration.read_toml(run / folder.CONFIG).get("training", {})
    held_out, platform = training.get("validation_rows", 0), provenance.get("platform", {})
    done = max([lines[-1]["step"], *checkpoints.listed(run)])
    devices, parameters = platform.get("devices", []), checkpoints.parameters(run)
    speeds = [line["values"]["rows_per_second"] for line in lines if "rows_per_second" in line["values"]]
    said = [
        f"system: {manifest.system}",
        f"steps: {done:,} of {provenance.get('steps', training.get('steps', done)):,}",
        f"trained on: {manifest.rows - held_out:,} rows, {f'{held_out:,} more' if held_out else 'none'} held out",
        f"batch: {training.get('batch')}",
        f"parameters: {parameters:,}" if parameters else "",
        f"time: {_duration(lines[-1]['time'])}",
        f"median speed: {number(float(np.median(speeds)))} rows/s" if speeds else "",
        "devices: " + ", ".join(f"{devices.count(kind)} × {kind}" for kind in dict.fromkeys(devices)),
        *(f"{name} {version}" for name, version in provenance.get("versions", {}).items()),
    ]
    return [words for words in said if words]


def _duration(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _heading(words: str, update: Update) -> str:
    return f"{words}: {html.escape(update.title)}" if update.title else words


def _table(found: Sequence[Update]) -> str:
    """The loss of every update: last in training, last and best in validation, each with its step."""
    rows = []
    for update in found:
        trained, validated = update.training.get("loss"), update.validation.get("loss")
        last = [_at(curve, -1) for curve in (trained, validated)]
        rows.append(frame.row([html.escape(update.title or "loss"), *last, _at(validated, _best(validated))]))
    head = "".join(f"<th>{words}</th>" for words in ("", "training, last", "validation, last", "validation, lowest"))
    return f'<table class="bins"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _at(curve: Curve | None, place: int | None) -> str:
    if curve is None or place is None:
        return "–"
    return f'{number(curve.values[place], 5)} <span class="ref">at step {curve.steps[place]:,}</span>'


def _best(curve: Curve | None) -> int | None:
    """Where a curve is lowest."""
    if curve is None or not np.isfinite(curve.values).any():
        return None
    return int(np.argmin(np.where(np.isfinite(curve.values), curve.values, np.inf)))


# ---- figures


def _losses(found: Sequence[Update]) -> Picture:
    """The loss of every update: from the beginning, and in the second half of its steps."""
    drawn, axes = panels(len(found), 2, 6.0, 3.7)
    for place, update in enumerate(found):
        whole, late = axes[2 * place : 2 * place + 2]
        curves = _both(update, "loss")
        first, last = _ends(curves)
        for axis, title in ((whole, "from the beginning"), (late, "second half")):
            _draw(axis, curves)
            axis.set_title(f"{update.title}: {title}" if update.title else title)
            axis.set(xlabel="steps", ylabel="loss per row")
        _logarithmic(whole, curves.values())
        _show(late, curves.values(), (first + last) / 2)
        whole.legend()
    said = "Loss, mean over rows. Training: mean over the steps since the point before."
    if any(update.validation for update in found):
        said += " Validation: rows held out, with the moving average of the parameters; a ring marks its lowest value."
    return picture(drawn, said + _thinned(found), "Training and validation loss against steps")


def _terms(update: Update) -> Picture:
    """Every term of an update's loss in a panel of its own."""
    names = _names(update)
    rows = -(-len(names) // _COLUMNS)
    drawn, axes = panels(rows, _COLUMNS, 4.0, 2.7)
    for axis in axes[len(names) :]:
        axis.remove()
    for place, (axis, name) in enumerate(zip(axes, names, strict=False)):
        curves = _both(update, name)
        first, last = _ends(curves)
        _draw(axis, curves)
        axis.set_title(name.replace("_", " "))
        if place + _COLUMNS >= len(names):
            axis.set_xlabel("steps")
        if place % _COLUMNS == 0:
            axis.set_ylabel("mean per row")
        _show(axis, curves.values(), first, first + (last - first) / 10)
    axes[0].legend()
    said = (
        "The terms, mean over rows. The vertical axes are made for the steps after the first tenth: what lies higher "
        "before is cut off."
    )
    return picture(drawn, said, f"Terms of the loss against steps: {', '.join(names)}")


def _rates(found: Sequence[Update], lines: Sequence[dict[str, Any]]) -> Picture:
    """Gradient norm and learning rate of every update, steps per second, share of time spent waiting for data."""
    logged = [line for line in lines if "steps_per_second" in line["values"]]
    whole = {name: {"": _curve(logged, name)} for name in _OF_THE_LINE if logged}
    ends = [line for line, after in itertools.pairwise(lines) if line["phase"] != after["phase"]]
    drawn, axes = panels(1, len(_RATES), 3.3, 3.3)
    for axis, (name, (words, factor, least)) in zip(axes, _RATES.items(), strict=True):
        curves = whole.get(name) or {u.title: u.training[name] for u in found if name in u.training}
        curves = {title: curve._replace(values=factor * curve.values) for title, curve in curves.items()}
        _draw(axis, curves)
        axis.set(xlabel="steps", title=words)
        if name != "gradient_norm" or not _logarithmic(axis, curves.values()):
            axis.set_ylim(0, 1.15 * _finite(curves.values()).max(initial=least) or 1)
        for line in ends:
            axis.axvline(line["step"], color=COLOURS["independent"], lw=0.9, ls=":")
    if len(found) > 1:
        axes[0].legend(fontsize=8)
    said = "Gradient norm before clipping, learning rate, speed, and the share of the time spent waiting for data."
    if ends:
        named = ", ".join(f"{html.escape(line['phase'])} at {line['step']:,}" for line in ends)
        said += f" Dotted: the end of {named}."
    return picture(drawn, said, "Gradient norm, learning rate, steps per second and waiting against steps")


def _names(update: Update) -> list[str]:
    """The terms of an update's loss."""
    return [name for name in update.training | update.validation if name not in _NO_TERMS]


def _both(update: Update, name: str) -> dict[str, Curve]:
    """A value in training and in validation, as far as it is known."""
    kinds = {"training": update.training, "validation": update.validation}
    return {kind: curves[name] for kind, curves in kinds.items() if name in curves}


def _ends(curves: dict[str, Curve]) -> tuple[float, float]:
    """First and last step of any of the curves."""
    return float(min(c.steps[0] for c in curves.values())), float(max(c.steps[-1] for c in curves.values()))


def _draw(axis: Any, curves: dict[str, Curve]) -> None:
    """Curves by title; few points have markers, and the lowest validation has a ring where it is a point shown."""
    for place, (title, curve) in enumerate(curves.items()):
        shown, few = _thin(curve), len(curve.steps) <= _FEW
        size = {"validation": 4.5}.get(title, 4 if len(curve.steps) < _FEW / 4 else 0)
        colour = _SEVERAL[place % len(_SEVERAL)]
        axis.plot(*shown, color=colour, marker="o" if few and size else None, ms=size, label=title or None)
        best = _best(curve) if title == "validation" else None
        if best is not None and len(shown.steps) == len(curve.steps):
            at = curve.steps[best], curve.values[best]
            axis.plot(*at, marker="o", ms=10, mfc="none", mec=colour, mew=1.2, ls="none")
    axis.ticklabel_format(useOffset=False)
    axis.locator_params(axis="x", nbins=5, integer=True)
    axis.xaxis.set_major_formatter(lambda x, _: _steps(x, axis.get_xlim()[1]))


def _steps(steps: float, largest: float) -> str:
    """A number of steps on an axis, in thousands where they are many."""
    return f"{steps / 1000:,g}k" if steps and largest >= 2e4 else f"{steps:,.0f}"


def _thin(curve: Curve) -> Curve:
    """A curve of at most `_MOST` points: means of neighbouring ones, at the last step of each."""
    size = -(-len(curve.steps) // _MOST)
    starts = np.arange(0, len(curve.steps), size)
    ends = np.minimum(starts + size, len(curve.steps))
    return Curve(curve.steps[ends - 1], np.add.reduceat(curve.values, starts) / (ends - starts))


def _thinned(found: Sequence[Update]) -> str:
    curves = (curve for update in found for curve in [*update.training.values(), *update.validation.values()])
    if max((len(curve.steps) for curve in curves), default=0) <= _MOST:
        return ""
    return f" Of a curve with more than {_MOST} points, means of neighbouring ones are shown, without the ring."


def _logarithmic(axis: Any, curves: Iterable[Curve]) -> bool:
    """Make the axis logarithmic if the values, all above 0, span a factor of ten; whether it is."""
    values = _finite(curves)
    if not len(values) or not 0 < 10 * values.min() <= values.max():
        return False
    axis.set_yscale("log")
    return True


def _show(axis: Any, curves: Iterable[Curve], first: float, judged: float | None = None) -> None:
    """Show the steps from `first` on, at the height of the values from the step `judged` on (default: the same)."""
    curves = list(curves)
    last = max(float(curve.steps[-1]) for curve in curves)
    values = _finite(curves, since=first if judged is None else judged)
    if last > first:
        margin = 0.03 * (last - first)
        axis.set_xlim(first - margin, last + margin)
    if len(values) and values.max() > values.min():
        margin = 0.12 * (values.max() - values.min())
        axis.set_ylim(values.min() - margin, values.max() + margin)


def _finite(curves: Iterable[Curve], since: float = 0) -> np.ndarray:
    """(n,) values of all curves from a step on, without those that are not finite."""
    values = np.concatenate([np.empty(0), *(curve.values[curve.steps >= since] for curve in curves)])
    return values[np.isfinite(values)]
