"""Results as Markdown."""

from collections.abc import Iterable, Mapping
from typing import Any

_HEAD = ("", "value", "spread", "unit", "GFLOP at the ceiling", "of the ceiling", "")


def of_results(results: Mapping[str, Any]) -> str:
    """A table for each process, with the ceilings of the same minutes, and what was left out."""
    parts = [f"{machine(results['machine'])}. What the numbers mean: docs/performance.md."]
    for process, about in results["processes"].items():
        rows = [key for key in results["results"] if key.startswith(f"{process}/")]
        lines = [[key.removeprefix(f"{process}/"), *cells(results["results"][key])] for key in rows]
        limits = "; ".join(f"{name} {value['median']:.3g}" for name, value in about["ceilings"].items())
        parts.append(f"**{process}** ({about['made']}, {about['commit']}; ceilings: {limits})\n\n{table(_HEAD, lines)}")
    if results["left_out"]:
        parts.append("Left out:\n\n" + "\n".join(f"- {key}: {why}" for key, why in results["left_out"].items()))
    return "\n\n".join(parts)


def cells(row: Mapping[str, Any]) -> list[str]:
    """Median, from the least to the most round, unit, distance from the limit, notes."""
    value = row["value"]
    share = row.get("gflop_at_ceiling")
    notes = [f"compiled in {row.get('trace_s', 0.0) + row['compile_s']:.0f} s"] if "compile_s" in row else []
    notes += [f"{row['peak_mib']:,} MiB"] if "peak_mib" in row else []
    notes += ["CPU time, as others ran"] if row.get("clock") == "cpu" else []
    return [
        number(value["median"]),
        f"{number(value['least'])} to {number(value['most'])}",
        row["unit"],
        number(share["median"]) if share else "",
        f"{100 * row['of_ceiling']:.0f} %" if "of_ceiling" in row else "",
        "; ".join(notes),
    ]


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    bars = lambda cells: f"| {' | '.join(cells)} |"
    head = list(head)
    return "\n".join([bars(head), "|" + "---|" * len(head), *map(bars, lines)])


def number(value: float) -> str:
    """Three significant digits, all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine(about: Mapping[str, Any]) -> str:
    gpus = f", {', '.join(about['gpus'])}" if about["gpus"] else ""
    flags = f" ({', '.join(about['flags'])})" if about["flags"] else ""
    return f"{about['cpu']}{flags}, {about['cores']} cores, {about['memory_gib']} GiB{gpus}; {about['os']}"
