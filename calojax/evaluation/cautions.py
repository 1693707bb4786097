"""What a reader has to know before the numbers: sentences on the sets that were compared."""

from collections.abc import Mapping

import numpy as np

from calojax.evaluation import inspection
from calojax.evaluation.inspection import Inspection
from calojax.evaluation.schema import Metric
from calojax.evaluation.sparse import Sparse

_NAMES = {"reference": "reference", "generated": "generated", "train": "training"}
_OTHER_SPECTRUM = {
    "generated": "every metric that is not at fixed energy compares two spectra as well as two detectors",
    "train": "floors of metrics that are not at fixed energy are too high",
}
_FEW = 1000  # showers
_FAR_OUTSIDE = 0.1  # share of the entries outside the range that is said


def sentences(
    found: Mapping[str, Inspection], sets: Mapping[str, Sparse], metrics: Mapping[str, Metric]
) -> tuple[str, ...]:
    """All there are. found: what is wrong with what was read; sets: what was digested (`floors.sets_and_pairs`)."""
    said = [sentence for name, one in found.items() for sentence in inspection.complaints(one, _NAMES[name])]
    return (*said, *_spectra(found), *_units(sets), *_outside(metrics), *_numbers(found, sets))


def _spectra(found: Mapping[str, Inspection]) -> list[str]:
    """On incident energies that differ from the reference's."""
    energies = {name: one.incident_energy for name, one in found.items()}
    said = []
    for name, meaning in _OTHER_SPECTRUM.items():
        if name in energies:
            said += inspection.spectrum_complaints(energies["reference"], energies[name], _NAMES[name], meaning)
    low, high = energies["reference"].min(), energies["reference"].max()
    outside = int(np.sum((energies["generated"] < low) | (energies["generated"] > high)))
    if outside > max(0.005 * len(found["generated"]), 2):
        said.append(f"{outside} generated showers have incident energies outside the reference's range")
    return said


def _units(sets: Mapping[str, Sparse]) -> list[str]:
    """On cells that seem to be in other units than those of the reference."""
    both = [sets[name] for name in ("reference", "generated")]
    reference, generated = (one.energy.sum(dtype=np.float64) / one.incident_energy.sum() for one in both)
    factor = generated / reference if min(generated, reference) > 0 else 1.0
    if not 300 < max(factor, 1 / factor) < 3000:
        return []
    return [
        f"E_tot/E_inc of the generated showers is {factor:.3g} times that of the reference: cells, too, must be in MeV"
    ]


def _outside(metrics: Mapping[str, Metric]) -> list[str]:
    """On histograms that do not see much more of the generated showers than of the reference."""
    names = []
    for name, one in metrics.items():
        reference, generated = (one.more.get(f"outside_{sample}") or 0.0 for sample in ("reference", "generated"))
        if name.startswith("separation.") and generated - reference > _FAR_OUTSIDE:
            names.append(f"{name} ({generated:.0%})")
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    what = "generated entries outside the range of a histogram, where the reference has fewer, count for nothing"
    return [f"{what}: {', '.join(names[:3])}{more}"] if names else []


def _numbers(found: Mapping[str, Inspection], sets: Mapping[str, Sparse]) -> list[str]:
    """On how many showers there are, and what floors are made with."""
    n = {name: len(one) for name, one in sets.items()}
    said = []
    if min(n["reference"], n["generated"]) < _FEW:
        said.append(f"{n['reference']} against {n['generated']} showers: small differences cannot be seen")
    if "train" in found and "train" not in sets:
        said.append("most training showers are copies of reference ones: floors are those of halves of the reference")
    elif "train" in sets and n["train"] < n["generated"]:
        said.append(f"floors are made with {n['train']} training showers for {n['generated']} generated ones")
    return said
