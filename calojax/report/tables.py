"""Numbers as HTML: the verdict, quantities by energy bin, every metric, what was compared."""

import html
import json
from collections.abc import Iterable, Sequence

from calojax.evaluation.schema import Metric, Metrics
from calojax.evaluation.verdicts import Line
from calojax.report.drawing import number, rounded, with_error
from calojax.report.frame import row

_DRAWS = (  # metric, its title, where the sizes of its draws are, and those of the CaloChallenge (JetNet 0.2.5)
    ("fpd", "FPD", ("min_samples", "max_samples"), [10_000, 50_000]),
    ("kpd", "KPD", ("batch_size",), [10_000]),
)
_LEVELS = ("agrees", "small", "visible", "different")


def verdict_row(line: Line) -> str:
    """What was measured, how it is in words, against what, how far off."""
    level = "unknown" if line.level is None else "large" if line.words.endswith("large") else _LEVELS[line.level]
    cells = (
        html.escape(line.title),
        f'<span class="{level}">{html.escape(line.words)}</span>',
        with_error(line.value, line.error),
        rounded(line.target, line.error),
        rounded(line.floor, line.error),
        _excess(line),
        f"<code>{line.name.replace('.', '.<wbr>')}</code>",
    )
    return row(cells)


def _excess(line: Line) -> str:
    """Above the floor, or off the reference; in standard errors."""
    if line.excess is None:
        return "–"
    size = f"{abs(line.excess):.1%}" if line.relative else number(abs(line.excess), 2)
    sigma = "" if line.sigma is None else f" ({line.sigma:+.1f} σ)"
    return ("−" if line.excess < 0 else "+") + size + sigma.replace("-", "−")


def by_bin(metrics: Metrics, quantities: dict[str, str]) -> str:
    """A table: a row for each quantity (words -> name with {} for the bin), a column for each bin of incident energy.

    In each cell the generated value, below it the reference's.
    """
    edges = metrics.curves["bins.edges"]
    bins = range(len(edges) - 1)
    head = "".join(f"<th>{energy_range(edges[b], edges[b + 1])}</th>" for b in bins)
    body = "".join(
        row([html.escape(words), *(_two(metrics[name.format(b)]) for b in bins)]) for words, name in quantities.items()
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="values by incident energy">'
        f'<table class="bins"><thead><tr><th>generated<br><span class="ref">reference</span></th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def energy_range(low: float, high: float) -> str:
    """A bin of incident energy, MeV in, GeV out."""
    return "–".join(f"{x / 1000:.3g}" if x < 999.5e3 else f"{x / 1000:.0f}" for x in (low, high)) + " GeV"


def _two(one: Metric) -> str:
    if one.value is None:
        return f'<span class="ref">{html.escape(one.reason or "–")}</span>'
    reference = with_error(one.more.get("reference"), one.more.get("reference_error"))
    return f'{with_error(one.value, one.error)}<br><span class="ref">{reference}</span>'


def memorised(metrics: Metrics) -> str:
    """The share of memorised showers in a sentence."""
    one = metrics["memorisation.share"]
    if one.value is None:
        return f"<p>The share of memorised showers cannot be given: {html.escape(one.reason or '')}.</p>"
    return (
        f"<p>Share of memorised showers: {with_error(one.value, one.error)}. In this share of {one.n_reference} pairs "
        "of equal energy the generated shower is nearer to a training shower than the reference shower is; a generator "
        "that neither copies nor misses has 0.5, one that returns training showers 1. Mean squared distance: "
        f"{number(one.more['distance_generated'])} generated, {number(one.more['distance_reference'])} reference, to "
        f"{int(one.more['n_train'] or 0)} training showers. Showers of poor quality move this number for their own "
        "reason: read it beside the other metrics.</p>"
    )


def inputs(metrics: Metrics) -> list[str]:
    """What was compared, in a few words each."""
    given = metrics.inputs
    said = [
        f"{name}: {given[name]['source']}, {given[name]['showers']:,} showers"
        for name in ("reference", "generated", "train")
        if name in given
    ]
    floor = given["floor"]
    said.append(f"geometry {given['geometry']['name']}")
    said.append(f"floors: {floor['kind']}, {floor['n_generated']:,} against {floor['n_reference']:,}")
    return said


def warnings(metrics: Metrics) -> str:
    """What a reader has to know first; nothing if there is nothing."""
    if not metrics.warnings:
        return ""
    return f'<div class="warning"><h2>Before reading</h2>{listed(metrics.warnings)}</div>'


def listed(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{html.escape(one)}</li>' for one in sentences)}</ul>"


def every_metric(metrics: Metrics) -> str:
    """Rows of every metric with its numbers."""
    return "".join(_metric(name, metrics[name]) for name in metrics)


def _metric(name: str, one: Metric) -> str:
    cells = (
        f"<code>{html.escape(name)}</code>",
        number(one.value, 4),
        number(one.error, 2),
        number(one.floor, 4),
        number(one.more.get("floor_error"), 2),
        number(one.more.get("floor_at_counts"), 4),
        number(one.more.get("reference"), 4),
        number(one.more.get("reference_error"), 2),
        " / ".join(_share(one.more.get(f"outside_{sample}")) for sample in ("reference", "generated")),
        f"{one.n_reference} / {one.n_generated}",
        html.escape(one.reason or ""),
    )
    return row(cells)


def _share(x: float | None) -> str:
    return "–" if x is None else f"{x:.2%}" if x else "0%"


def draws(metrics: Metrics) -> str:
    """A paragraph on the draws that FPD and KPD are made of, where they are not the protocol's; else nothing."""
    said = []
    for name, title, keys, protocol in _DRAWS:
        one = metrics.metrics.get(name)
        sizes = [None if one is None else one.more.get(key) for key in keys]
        if one is not None and one.value is not None and None not in sizes and sizes != protocol:
            said.append(f"{title} is of draws of {_sizes(sizes)} showers (the protocol's: {_sizes(protocol)})")
    if not said:
        return ""
    return f"<p>{'; '.join(said)}. It depends on them: compare only with values of equal draws.</p>"


def _sizes(sizes: Sequence[float | None]) -> str:
    return " to ".join(f"{size:,.0f}" for size in sizes)


def provenance(metrics: Metrics) -> str:
    """Where the numbers come from, as indented JSON."""
    return html.escape(json.dumps(dict(metrics.inputs), indent=1))
