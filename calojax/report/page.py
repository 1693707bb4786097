"""The page of what the judge found: sections of figures and tables."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from calojax.evaluation import words
from calojax.evaluation.digest import STAGES
from calojax.evaluation.schema import CURVES, Metrics, load_metrics, refuse_own_name, refuse_untraced
from calojax.evaluation.sources import title
from calojax.evaluation.verdicts import summary, verdict
from calojax.progress import Progress
from calojax.report import (
    against_energy,
    comparison,
    cylinders,
    frame,
    latent,
    matrices,
    profiles,
    roc,
    showers,
    spectra,
    tables,
    viewer,
)
from calojax.report.drawing import Picture, style

_FAMILIES = ["e_layer", "ec_eta", "ec_phi", "width_eta", "width_phi", "ec_r", "width_r", "sparsity"]


class Drawing(NamedTuple):
    """A figure to be drawn; fold: what it is folded away under ("": shown); half: takes half the page's width."""

    draw: Callable[[Metrics], Picture]
    fold: str = ""
    half: bool = False


class Section(NamedTuple):
    """A part of the page: figures, and words (HTML) before them."""

    heading: str
    drawings: list[Drawing]
    words: str = ""


def write(
    out: Path | str,
    metrics: Metrics | None = None,
    *,
    compare: Mapping[str, Metrics] | None = None,
    published: bool = False,
    title: str = "",
    progress: bool = True,
) -> Path:
    """Write out/index.html of what the judge found, and give its path.

    metrics: by default those saved in `out`; compare: of other generators judged against the same reference, by name;
    published: results of the CaloChallenge beside them. Raises InputError if there are none, or without matplotlib.
    """
    out = Path(out)
    metrics = load_metrics(out) if metrics is None else metrics
    for name, one in {str(out): metrics, **(compare or {})}.items():
        refuse_untraced(one, name)
    title = title or " against ".join(_source(metrics, sample) for sample in ("generated", "reference"))
    sections = _comparison(metrics, dict(compare or {}), published) + _sections(metrics)
    with style(), Progress(sum(len(s.drawings) for s in sections), "report", unit="figures", enabled=progress) as bar:
        drawn = []
        for section in sections:
            pictures = []
            for drawing in section.drawings:
                pictures.append(frame.figure(drawing.draw(metrics), fold=drawing.fold, half=drawing.half))
                bar.advance(1)
            drawn.append(frame.section(section.heading, pictures, section.words))
    body = frame.template("judged.html").substitute(
        warnings=tables.warnings(metrics),
        contents=frame.contents(["Verdict", *(s.heading for s in sections), "All numbers"]),
        draws=tables.draws(metrics),
        verdict="".join(map(tables.verdict_row, verdict(metrics))),
        summary=summary(verdict(metrics)),
        sections="".join(drawn),
        table=tables.every_metric(metrics),
        provenance=tables.provenance(metrics),
    )
    return frame.save(out / frame.PAGE, title=title, about=tables.inputs(metrics), body=body)


def _source(metrics: Metrics, sample: str) -> str:
    """The name of the sample's file, or what it is."""
    return title(metrics.inputs[sample]["source"], sample)


def _comparison(metrics: Metrics, others: dict[str, Metrics], published: bool) -> list[Section]:
    """This generator beside others."""
    if not others and not published:
        return []
    own = _source(metrics, "generated")
    refuse_own_name(own, others)
    generators = {own: metrics} | others
    drawn = {name: one for name, one in generators.items() if comparison.drawable(one)}
    drawings = []
    if own in drawn and len(drawn) > 1:
        beside = {name: one for name, one in drawn.items() if name != own and _layers_are_empty(one)}
        drawings.append(Drawing(lambda _: comparison.overlays(drawn)))
        drawings += [Drawing(lambda m: profiles.sparsity(m, beside))] if _layers_are_empty(metrics) else []
    return [Section("Beside others", drawings, comparison.table(generators, context=published) + _warned(others))]


def _layers_are_empty(metrics: Metrics) -> bool:
    """Whether it is known how empty the layers are; folders judged by earlier versions do not say."""
    return "sparsity.generated" in metrics.curves and not words.on_grid(metrics)


def _warned(others: dict[str, Metrics]) -> str:
    """What has to be known of the other generators."""
    said = [f"{name}: {sentence}" for name, one in others.items() for sentence in one.warnings]
    return f"<p>To know first:</p>{tables.listed(said)}" if said else ""


def _sections(metrics: Metrics) -> list[Section]:
    """All sections of the page in order."""
    if not metrics.curves:
        return [Section("Figures", [], f"<p>There is no {CURVES} beside these metrics: judge again to draw them.</p>")]
    on_grid = words.on_grid(metrics)
    stages = [(stage, 0) for stage in STAGES if f"histogram.{stage}.edges" in metrics.curves]
    together = [against_energy.correlations, *([] if on_grid else [profiles.hit_maps]), matrices.all_rings]
    return [
        Section(
            "Response",
            [Drawing(against_energy.response), Drawing(against_energy.e_tot_in_bins), _histograms(("e_tot", 0))],
        ),
        *([Section("Energy and shape", [_histograms(*((f, 0) for f in _FAMILIES))])] if on_grid else _layers(metrics)),
        Section(
            "Crystals and counts" if on_grid else "Cells and counts",
            [
                Drawing(lambda m: spectra.histograms(m, [("voxel", 0)], log_y=True), half=True),
                Drawing(lambda m: spectra.histograms(m, [("n_hits", 0)]), half=True),
                *([Drawing(profiles.sparsity)] if _layers_are_empty(metrics) else []),
                _histograms(*stages),
                Drawing(against_energy.hits),
            ],
        ),
        Section(
            "Which crystals are hit together" if on_grid else "Which cells are hit together",
            [Drawing(x) for x in (*together, matrices.two_layers)],
        ),
        *([Section("Classifiers", [Drawing(roc.roc)])] if roc.kinds(metrics) else []),
        *(
            [Section("Latent bits", [Drawing(latent.energies), Drawing(latent.partitions)])]
            if latent.known(metrics)
            else []
        ),
        Section("Memorised showers", [], tables.memorised(metrics)),
        *([] if on_grid else [Section("Average shower", [Drawing(cylinders.average)])]),
        Section(
            "Single showers",
            [Drawing(showers.images)] if on_grid else [Drawing(cylinders.single), Drawing(showers.side_views)],
            "" if on_grid else viewer.section(metrics),
        ),
    ]


def _layers(metrics: Metrics) -> list[Section]:
    """What there is to see of layers."""
    curves, named = metrics.curves, words.families(metrics)
    peak = int(np.argmax(curves["longitudinal.reference"][0]))
    some = [("e_layer", layer) for layer in _spread(curves["longitudinal.reference"][0])]
    at_peak = [(f, _nearest(curves[f"histogram.{f}.layers"], peak)) for f in _FAMILIES[1:]]
    at_peak = [(f, column) for f, column in at_peak if column is not None]
    sheets = [_sheet(f, named[f]) for f in _FAMILIES if len(curves[f"histogram.{f}.layers"])]
    alike = profiles.n_kinds(metrics) == 1
    return [
        Section(
            "Energy in the layers",
            [Drawing(profiles.longitudinal, half=alike), Drawing(profiles.radial, half=alike), _histograms(*some)],
        ),
        Section("Every layer", [Drawing(lambda m: spectra.per_layer(m, _FAMILIES)), _histograms(*at_peak), *sheets]),
    ]


def _sheet(family: str, name: str) -> Drawing:
    return Drawing(lambda m: spectra.grid(m, family), f"all layers: {name}")


def _histograms(*chosen: tuple[str, int]) -> Drawing:
    return Drawing(lambda m: spectra.histograms(m, list(chosen)))


def _spread(profile: np.ndarray) -> list[int]:
    """Up to six layers from the first to the last with 1 % of the most energetic one's energy."""
    seen = np.flatnonzero(profile > 0.01 * profile.max())
    chosen = np.unique(np.linspace(0, len(seen) - 1, 6).round().astype(int)) if len(seen) else [0]
    return [int(seen[i]) for i in chosen] if len(seen) else [0]


def _nearest(layers: np.ndarray, wanted: int) -> int | None:
    """Column of the layer nearest to the wanted one."""
    return int(np.argmin(np.abs(layers - wanted))) if len(layers) else None
