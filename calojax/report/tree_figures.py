"""Figures of a tree of ATLAS voxel files: active layers, incident energies, sums of the types, negative voxels."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from calojax.files.atlas import detector
from calojax.files.atlas.describing import Found
from calojax.files.atlas.statistics import Statistics
from calojax.report.drawing import COLOURS, FILL, Picture, figure, palette, panels, picture, ratio_panels

_KINDS = {"combined": COLOURS["reference"], "positive": COLOURS["generated"], "fine": COLOURS["train"]}
_DASHES = {"combined": "-", "positive": "--", "fine": "-."}
_MOST_CURVES = 4


def active_layers(gathered: list[Found]) -> Picture:
    """Share of events with energy in each layer over eta, complete and rebuilt beside each other."""
    forms = {"complete": [f.complete for f in gathered], "rebuilt": [f.jobs for f in gathered]}
    forms = {form: files for form, files in forms.items() if any(files)}
    ids = sorted({id for files in forms.values() for each in files for one in each.values() for id in one.geometry.ids})
    names = [_label(found) for found in gathered]
    width = max(2.3, 0.5 * len(names))
    drawn = figure(width * len(forms) + 2.6, 0.27 * len(ids) + 1.3)
    axes = drawn.subplots(1, len(forms), sharey=True, squeeze=False)[0]
    colours = None
    for axis, (form, files) in zip(axes, forms.items(), strict=True):
        share = np.array([[_share(each, id) for each in files] for id in ids])
        colours = _colour_map(axis, share, names)
        axis.set_title(form)
        axis.set_xticks(range(len(names)), names, rotation=90 if len(names) > 3 else 0)
        axis.set_xlabel(r"$|\eta|$")
    axes[0].set_yticks(range(len(ids)), [detector.name(id) for id in ids])
    bar = drawn.colorbar(colours, ax=list(axes), label="events with energy in the layer [%]", extend="min")
    bar.ax.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    caption = "Share of events whose voxels in a layer add up to something else than 0. White: no event, or no layer."
    return picture(drawn, caption, caption)


def spectrum(gathered: list[Found]) -> Picture:
    """Incident energies, events per MeV, on logarithmic axes."""
    drawn = figure(6.6, 4.6)
    axis = drawn.subplots()
    every = [*((f, "complete", f.complete) for f in gathered), *((f, "rebuilt", f.jobs) for f in gathered)]
    every = [(found, form, next(iter(files.values())).incident) for found, form, files in every if files]
    shown = [every[i] for i in sorted({*np.linspace(0, len(every) - 1, _MOST_CURVES).round().astype(int)})]
    low, high = min(e.min() for *_, e in shown), max(e.max() for *_, e in shown)
    edges = np.geomspace(low, high * (1 + 1e-9), 41) if high > low else np.array([low * 0.9, high * 1.1])
    colours = ("#1a1a1a", "#c8102e", "#2f6f9f", "#d77a00")
    for colour, (found, form, energy) in zip(colours, shown, strict=False):
        counts = np.histogram(energy, edges)[0]
        density, error = (values / len(energy) / np.diff(edges) for values in (counts, np.sqrt(counts)))
        kept = counts > 0
        middle = np.sqrt(edges[1:] * edges[:-1])
        label = rf"$|\eta|$ {_label(found)}, {form}: {len(energy):,} events"
        axis.errorbar(middle[kept], density[kept], error[kept], fmt="o", ms=3.5, lw=1, color=colour, label=label)
    axis.set(xscale="log", yscale="log", xlabel=r"$E_\mathrm{inc}$ [MeV]", ylabel=r"share of events per MeV")
    axis.legend()
    caption = "Incident energies. A power law is a straight line."
    if len(shown) < len(every):
        caption += f" {len(shown)} of {len(every)} sets are shown."
    return picture(drawn, caption, caption)


def sums(files: Mapping[str, Statistics], title: str) -> Picture:
    """The sum of all voxels of an event, as a share of the incident energy and in MeV, with its ratio to the first."""
    drawn, pairs = ratio_panels(1, 2, 5.2, 4.4)
    response = {kind: one.sums / one.incident for kind, one in files.items()}
    total = {kind: one.sums[one.sums > 0] for kind, one in files.items()}
    middle = np.median(np.concatenate(list(response.values())))
    width = 4 * np.std(np.clip(np.concatenate(list(response.values())), 0, 3))
    linear = np.linspace(max(0, middle - width), middle + width, 51)
    low, high = (function([function(each) for each in total.values() if len(each)]) for function in (np.min, np.max))
    logarithmic = np.geomspace(low, high * (1 + 1e-9), 41)
    _overlay(pairs[0], response, linear, r"$\sum E_\mathrm{voxel}/E_\mathrm{inc}$", log=False)
    _overlay(pairs[1], total, logarithmic, r"$\sum E_\mathrm{voxel}$ [MeV]", log=True)
    pairs[0][0].set_title(title, loc="left", fontsize=10)
    pairs[0][0].legend()
    caption = (
        f"Energy sums of the types beside each other, {title}: "
        + "; ".join(f"{kind} mean {one.sums.mean():,.6g} MeV" for kind, one in files.items())
        + f". Below: ratio to {next(iter(files))}."
    )
    return picture(drawn, caption, caption)


def negatives(files: Mapping[str, Statistics], title: str) -> Picture:
    """Number and sum of the negative voxels of an event, by type."""
    drawn, (left, right) = panels(1, 2, 5.2, 3.9)
    most = max(int(one.negatives.max()) for one in files.values())
    step = max(1, -(-most // 60))
    counts = np.arange(-0.5, most + step + 0.5, step)
    sums = {kind: -one.negative_sums[one.negative_sums < 0] for kind, one in files.items()}
    sums = {kind: values for kind, values in sums.items() if len(values)}
    for kind, one in files.items():
        label = f"{kind}: mean {one.negatives.mean():.3g}"
        heights = np.histogram(one.negatives, counts)[0] / one.events
        left.stairs(heights, counts, color=_KINDS[kind], ls=_DASHES[kind], label=label, lw=1.4)
    left.set(xlabel="negative voxels", ylabel="share of events", yscale="log")
    left.set_ylim(0.3 / max(one.events for one in files.values()), 30)
    left.legend()
    left.set_title(title, loc="left", fontsize=10)
    if sums:
        every = np.concatenate(list(sums.values()))
        edges = np.geomspace(every.min(), every.max() * (1 + 1e-9), 41)
        for kind, values in sums.items():
            heights = np.histogram(values, edges)[0] / files[kind].events
            label = f"{kind}: mean {-files[kind].negative_sums.mean():.3g} MeV"
            right.stairs(heights, edges, color=_KINDS[kind], ls=_DASHES[kind], label=label)
        right.set(xlabel=r"$-\sum E_\mathrm{voxel<0}$ [MeV]", ylabel="share of events", xscale="log")
        right.set_ylim(0, 1.3 * right.get_ylim()[1])
        right.legend()
    else:
        right.text(0.5, 0.5, "no negative voxels", ha="center", va="center", transform=right.transAxes)
        right.set_axis_off()
    caption = f"Negative voxels of an event, {title}: how many, and the size of their sum."
    return picture(drawn, caption, caption)


def _overlay(pair: tuple[Any, Any], values: Mapping[str, np.ndarray], edges: np.ndarray, name: str, *, log: bool):
    """Histograms of the types, and their ratio to the first with the error of its counts."""
    upper, lower = pair
    first = None
    for kind, each in values.items():
        counts = np.histogram(each, edges)[0]
        share = counts / max(len(each), 1)
        if first is None:
            first = share
            upper.stairs(share, edges, fill=True, color=FILL)
            relative = 1 / np.sqrt(np.maximum(counts, 1))
            lower.fill_between(edges, *(_steps(1 + sign * relative) for sign in (-1, 1)), step="post", color=FILL, lw=0)
        upper.stairs(share, edges, color=_KINDS[kind], ls=_DASHES[kind], label=kind, lw=1.4)
        ratio = np.divide(share, first, out=np.full(len(share), np.nan), where=first > 0)
        lower.stairs(ratio, edges, color=_KINDS[kind], ls=_DASHES[kind], baseline=None)
    if log:
        upper.set_xscale("log")
    upper.set(ylabel="share of events")
    upper.set_ylim(0, 1.25 * upper.get_ylim()[1])
    lower.set(xlabel=name, ylabel="ratio", ylim=(0.75, 1.25), xlim=(edges[0], edges[-1]))


def _steps(values: np.ndarray) -> np.ndarray:
    return np.append(values, values[-1])


def _colour_map(axis: Any, share: np.ndarray, names: list[str]) -> Any:
    """A matrix of shares, in percent, with numbers where there is room."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415
    from matplotlib.colors import ListedColormap, LogNorm  # noqa: PLC0415

    colours = ScalarMappable(LogNorm(0.1, 100, clip=True), ListedColormap(palette(256)))
    rgba = np.where((share > 0)[..., None], colours.to_rgba(np.maximum(100 * share, 0.1)), 1.0)
    axis.imshow(rgba, aspect="auto", interpolation="nearest")
    if len(names) <= 4:
        for (row, column), value in np.ndenumerate(share):
            if value > 0:
                dark = value > 0.06  # 60 % of the way on the scale of colours
                words = f"{100 * value:.3g}"
                axis.text(column, row, words, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axis.tick_params(which="both", length=0)
    return colours


def _share(files: Mapping[str, Statistics], layer: int) -> float:
    if not files:
        return 0.0
    one = next(iter(files.values()))
    return one.nonzero.get(layer, 0) / one.events


def _label(found: Found) -> str:
    short = "" if found.folder.binning == "regular" else " default"
    return f"{found.folder.eta / 100:.2f}{short}"
