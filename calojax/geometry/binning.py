"""The binning XML of the CaloChallenge: `<Bins><Bin pid name [etaMin etaMax]><Layer id r_edges n_bin_alpha/>...`.

A layer with a single r edge has no cells and is left out. The format has neither depths nor a threshold: layers get
the nominal depth one after another, and the geometry a threshold of 1 keV (a system's own setting may override it).
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from calojax import writing
from calojax.errors import InputError
from calojax.geometry.cylinder import Cylinder, Layer

NOMINAL_DEPTH = 10.0  # mm, where a source gives no depths; for drawing only
DEFAULT_THRESHOLD = 1e-3  # MeV, where a source gives none


def read_binning(path: str | Path, particle: str | None = None, eta: float | None = None) -> Cylinder:
    """The geometry of one particle (by name) and, where the file has several ranges, at one pseudorapidity.

    Either may be left out if the file leaves no choice. Raises InputError naming the file and the place.
    """
    path = Path(path)
    bins = _select(path, _parse(path), particle, eta)
    try:
        layers = _layers(bins)
        return Cylinder(f"{writing.storable(path.stem)}:{bins.get('name')}", layers, DEFAULT_THRESHOLD)
    except InputError as error:
        raise error.inside(str(path)) from None


def _parse(path: Path) -> list[ElementTree.Element]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:  # of bytes and encodings
        reason = getattr(error, "strerror", None) or error
        raise _refused(str(path), f"cannot be read ({reason})", "a binning XML is needed", "check the path") from None
    found = root.findall("Bin") if root.tag == "Bins" else []
    if not found:
        raise _refused(str(path), "has no Bins/Bin", "a binning XML lists its particles so", "check the file")
    return found


def _select(path: Path, bins: list[ElementTree.Element], particle: str | None, eta: float | None):
    names = list(dict.fromkeys(each.get("name", "") for each in bins))
    if particle is None and len(names) > 1:
        raise _refused(
            str(path), f"holds {', '.join(names)}", "one particle is needed", f"give {path}:{names[0]}, for example"
        )
    wanted = names[0] if particle is None else particle
    found = [each for each in bins if each.get("name", "") == wanted]
    if not found:
        raise _refused(f"{path}, particle {wanted}", "is not in the file", f"it holds {', '.join(names)}", "choose one")
    if eta is not None:
        found = [each for each in found if _number(path, each, "etaMin") <= eta < _number(path, each, "etaMax")]
    if len(found) != 1:
        place = f"{path}, particle {wanted}" + ("" if eta is None else f", eta {eta}")
        raise _refused(place, f"has {len(found)} bins", "one is needed", "choose it by read_binning(..., eta=...)")
    return found[0]


def _number(path: Path, element: ElementTree.Element, key: str) -> float:
    try:
        return float(element.get(key, ""))
    except ValueError:
        raise _refused(f"{path}, {key}", f"is {element.get(key)!r}", "it must be a number", "correct it") from None


def _layers(bins: ElementTree.Element) -> tuple[Layer, ...]:
    found: list[Layer] = []
    for element in bins.findall("Layer"):
        layer, edges, n_alpha = _read_layer(element)
        if len(edges) > 1:
            depth = len(found) * NOMINAL_DEPTH
            found.append(Layer(layer, edges, n_alpha, depth, depth + NOMINAL_DEPTH))
    return tuple(found)


def _read_layer(element: ElementTree.Element) -> tuple[int, tuple[float, ...], int]:
    place = f"layer {element.get('id')}"
    try:
        edges = tuple(float(edge) for edge in element.get("r_edges", "").split(",") if edge.strip())
        return int(element.attrib["id"]), edges, int(element.get("n_bin_alpha", "1"))
    except (KeyError, ValueError) as error:
        rule = "it needs id, r_edges (numbers with commas) and n_bin_alpha"
        raise _refused(place, f"cannot be read ({error})", rule, "correct it") from None


def _refused(where: str, found: str, rule: str, remedy: str) -> InputError:
    return InputError(where=where, found=found, rule=rule, remedy=remedy)
