"""Latent bits of a generator with a Boltzmann machine: those of real showers beside those of its priors."""

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report.drawing import COLOURS, FILL, Picture, number, panels, picture, rounded, with_error

_NAMES = {"posterior": "posterior of real showers", "prior": "prior", "naive": "naive prior: independent bits"}
_COLOURS = {
    "posterior": COLOURS["reference"],
    "prior": COLOURS["generated"],
    "naive": COLOURS["train"],
}


def known(metrics: Metrics) -> bool:
    """Whether there are any."""
    return "latent.energy.posterior" in metrics.curves


def energies(metrics: Metrics) -> Picture:
    """Energies of the machine, and how often each bit is 1."""
    drawn, (left, right) = panels(1, 2, 6.2, 4.4)
    edges = metrics.curves["latent.energy.edges"]
    for name, label in _NAMES.items():
        density = metrics.curves[f"latent.energy.{name}"]
        if name == "posterior":
            left.stairs(density, edges, fill=True, color=FILL)
        left.stairs(density, edges, color=_COLOURS[name], lw=1.4, label=label)
    shown = np.concatenate([metrics.curves[f"latent.energy.{name}"] for name in _NAMES])
    left.set_yscale("log")
    left.set_ylim(0.5 * shown[shown > 0].min(), 20 * shown.max())
    left.set(xlabel="energy of the Boltzmann machine", ylabel="density")
    left.legend(fontsize=9)
    for name in ("naive", "prior"):
        often = [metrics.curves[f"latent.often.{one}"].ravel() for one in ("posterior", name)]
        right.plot(*often, ".", ms=4, alpha=0.6, color=_COLOURS[name], label=_NAMES[name])
    right.plot([0, 1], [0, 1], color="black", lw=0.7)
    right.set(xlabel="share of real showers whose bit is 1", ylabel="share of drawn ones")
    right.legend(fontsize=9)
    said = "; ".join(f"{name} {_said(metrics, f'latent.{name}.energy')}" for name in ("prior", "naive"))
    caption = (
        "Left: energy of the Boltzmann machine, of the latent bits of real showers and of those drawn for the same "
        f"range of incident energies. Separation power from the posterior: {said}. Right: how often each bit is 1. "
        "Frobenius distance of the correlations of all bits: "
        + "; ".join(f"{name} {_said(metrics, f'latent.{name}.frobenius.all')}" for name in ("prior", "naive"))
        + "."
    )
    return picture(drawn, caption, caption)


def partitions(metrics: Metrics) -> Picture:
    """Frobenius distances of the correlations of bits, within and between partitions, and of a chain with itself."""
    drawn, (left, right) = panels(1, 2, 6.2, 4.4)
    start = "latent.prior.frobenius."
    names = [name.removeprefix(start) for name in metrics if name.startswith(start) and not name.endswith("all")]
    places = np.arange(len(names))
    for shift, name in ((-0.12, "naive"), (0.12, "prior")):
        found = [metrics[f"latent.{name}.frobenius.{one}"] for one in names]
        value, error = (np.array([getattr(m, part) for m in found], float) for part in ("value", "error"))
        style = {"fmt": "o", "ms": 4, "lw": 1, "color": _COLOURS[name], "label": _NAMES[name]}
        left.errorbar(places + shift, value, error, **style)
    floor = np.array([metrics[start + one].floor for one in names], float)
    left.plot(places, floor, "_", ms=16, color=_COLOURS["posterior"], label="other real showers")
    left.set_xticks(places, [_words(name) for name in names], rotation=60, fontsize=8)
    left.set_ylabel("Frobenius distance of correlations")
    left.legend(fontsize=9)
    sweeps, correlation = metrics.curves["latent.autocorrelation"]
    right.plot(sweeps, correlation, ".-", ms=4, color=_COLOURS["prior"])
    right.axhline(0, color="black", lw=0.7)
    right.set(xlabel="sweeps between two states of a chain", ylabel="autocorrelation of the energy")
    return picture(drawn, _of_chains(metrics), _of_chains(metrics))


def _of_chains(metrics: Metrics) -> str:
    time = metrics["latent.prior.autocorrelation_time"]
    if time.value is None:
        said = f"The autocorrelation time of the chains is unknown: {time.reason}."
    else:
        said = "Right: the energies of chains have an integrated autocorrelation time of "
        said += f"{with_error(time.value, time.error)} sweeps"
        said += "" if time.more.get("long_enough") else " or more (the chains are too short to tell)"
        said += f"; a shower is drawn after {number(time.more['sweeps'])}."
    return (
        "Left: Frobenius distances of the correlation matrices of latent bits from those of real showers, within each "
        "partition (0 has the bits of the incident energy) and between each two. " + said
    )


def _words(name: str) -> str:
    kind, _, which = name.partition(".")
    return which.replace(".", "–") if kind == "between" else f"within {which}"


def _said(metrics: Metrics, name: str) -> str:
    one = metrics[name]
    return f"{with_error(one.value, one.error)} (other real showers: {rounded(one.floor, one.error)})"
