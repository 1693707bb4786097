"""What was found in voxel files, in lines for people. Takes what `describing` gives, as JSON can hold it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from calojax.files.atlas.units import WORDS

FORMS = ("complete", "rebuilt", "concatenated", "cleaned")


def tree(found: Mapping[str, Any]) -> str:
    """Of a whole tree."""
    lines = [f"kind: {found['kind']}", f"path: {found['path']}", f"files: {len(found['files'])}"]
    for name, folder in found["folders"].items():
        lines += ["", f"{name} (eta {folder['eta']:.2f}, {folder['binning']} binning)", *_folder(folder)]
    return "\n".join(lines)


def file(found: Mapping[str, Any]) -> str:
    """Of one file."""
    lines = [f"kind: {found['kind']}", f"path: {found['path']}", *_file("", found, "").splitlines()]
    lines += _binning(found)
    lines += [f"attribute {key}: {value}" for key, value in found.get("attributes", {}).items()]
    return "\n".join(lines)


def checked(found: Mapping[str, Any]) -> str:
    """What `describing.check` compared: all of it agrees, or there had been an error."""
    lines = []
    for name, folder in found.items():
        said = []
        if "events" in folder:
            said.append(f"{folder['events']:,} events, incident energies equal in {', '.join(folder['types'])}")
        if "positive is combined without negative voxels" in folder:
            agree = folder["positive is combined without negative voxels"]
            said.append(f"positive is {'' if agree else 'not '}combined with negative voxels at 0")
        if "events of jobs" in folder:
            jobs = folder["events of jobs"]
            said.append(f"{len(jobs)} jobs of one geometry with {sum(jobs):,} events, incident energies equal")
        lines.append(f"{name}: {'; '.join(said) or 'no files'}")
    return "\n".join(lines)


def _folder(folder: Mapping[str, Any]) -> Iterator[str]:
    for form in FORMS:
        for kind, one in folder.get(form, {}).items():
            if "bins" in one:
                yield f"  {form} {kind}: without bins"
                continue
            jobs = f" of {len(folder['jobs'])} jobs" if form == "rebuilt" else ""
            yield _file(f"  {form} {kind}: ", one, jobs)
    if missing := folder.get("missing jobs"):
        yield f"  missing jobs: {_ranges(missing)}"
    first = next((one for form in FORMS for one in folder.get(form, {}).values() if "binning" in one), None)
    if first:
        yield from (f"  {line}" for line in _binning(first))
    for kind, entry in folder.get("complete against rebuilt", {}).items():
        said = [f"{what} {', '.join(map(str, layers))}" for what, layers in entry.items() if layers]
        yield f"  complete against rebuilt, {kind}: {'; '.join(said) or 'the same layers and bins'}"


def _file(title: str, one: Mapping[str, Any], jobs: str) -> str:
    low, high = one["incident energy (MeV)"]["lowest"], one["incident energy (MeV)"]["highest"]
    counts, sums = one["negative voxels per event"], one["sum of negative voxels per event (MeV)"]
    said = [
        f"{one['events']:,} events{jobs} from {low:,.6g} to {high:,.6g} MeV, in {WORDS[one['unit']]}",
        f"active layers {', '.join(map(str, one['active layers'])) or 'none'} of the {len(one['layers'])} in the file",
    ]
    if counts["largest"]:
        said.append(
            f"negative voxels per event: mean {counts['mean']:.4g}, median {counts['median']:g}, with a sum of "
            f"{sums['mean']:.4g} and {sums['median']:.4g} MeV"
        )
    else:
        said.append("no negative voxels")
    if above := one["events with a voxel at or above the incident energy"]:
        said.append(f"{above:,} events with a voxel at or above the incident energy")
    if without := one["layers without energies"]:
        said.append(f"layers without energies: {', '.join(map(str, without))}")
    indent = "\n" + " " * (len(title) - len(title.lstrip()) + 2)
    return title + indent.join(said)


def _binning(one: Mapping[str, Any]) -> Iterator[str]:
    """Layers of one binning in a line, rings x sectors."""
    binning = one["binning"]
    for words in dict.fromkeys(binning.values()):
        ids = [int(id) for id, its in binning.items() if its == words]
        yield f"{words} voxels in layer{'s' if len(ids) > 1 else ''} {_ranges(ids)}"


def _ranges(ids: Sequence[int]) -> str:
    runs = [[id for _, id in run] for _, run in groupby(enumerate(ids), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
