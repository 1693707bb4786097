"""The CaloChallenge binning XML: <Bins><Bin pid name ...><Layer id r_edges="0,5,..." n_bin_alpha/>...</Bin></Bins>.

As the challenge's reader does, a layer with a single ring edge has no cells and is left out, and a layer's position is
its place among those that are left. Differs from it: a particle that occurs in several bins (two eta ranges) is an
error instead of one detector behind the other. The file gives no depth: every layer gets `NOMINAL_DEPTH`.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from calojax.errors import InputError
from calojax.geometry.cylinder import Cylinder, Layer

NOMINAL_DEPTH = 10.0  # mm
NOMINAL_THRESHOLD = 1.0  # MeV, that of dataset 1


def stacked(
    name: str,
    layers: dict[int, tuple[tuple[float, ...], int]],
    *,
    threshold: float = NOMINAL_THRESHOLD,
    depth: float = NOMINAL_DEPTH,
) -> Cylinder:
    """Layers (ring edges in mm and sectors by id) one behind the other, each `depth` mm deep."""
    made = [
        Layer(number, tuple(float(edge) for edge in edges), sectors, place * depth, (place + 1) * depth)
        for place, (number, (edges, sectors)) in enumerate(layers.items())
    ]
    return Cylinder(name, tuple(made), threshold)


def read_binning(path: Path, particle: str | None = None) -> Cylinder:
    """The geometry of one particle; `particle` may be left out where the file has only one."""
    bins = _bins(path)
    names = sorted({entry.get("name", "") for entry in bins})
    wanted = [entry for entry in bins if particle is None or entry.get("name") == particle]
    if len(wanted) != 1:
        raise InputError(
            where=f"{path}, particle {particle or 'not given'}",
            found=f"{len(wanted)} bins match",
            rule="exactly one must",
            remedy=f"name one as FILE.xml:PARTICLE; there are {', '.join(names) or 'none'}",
        )
    layers = {}
    for element in wanted[0].iter("Layer"):
        number, edges, sectors = _layer(path, element)
        if len(edges) > 1:
            layers[number] = (edges, sectors)
    return stacked(f"{path.stem}:{names[0] if particle is None else particle}", layers)


def _bins(path: Path) -> list[ElementTree.Element]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(
            where=str(path),
            found=f"cannot be read ({error})",
            rule="a binning is an XML file with Bins, Bin and Layer",
            remedy="give another file",
        ) from error
    return list(root.iter("Bin"))


def _layer(path: Path, element: ElementTree.Element) -> tuple[int, tuple[float, ...], int]:
    try:
        edges = tuple(float(edge) for edge in element.attrib["r_edges"].split(","))
        return int(element.attrib["id"]), edges, int(element.attrib["n_bin_alpha"])
    except (KeyError, ValueError) as error:
        raise InputError(
            where=f"{path}, Layer {element.get('id', 'without id')}",
            found=f"cannot be read ({error})",
            rule="a layer has an integer id, r_edges separated by commas and an integer n_bin_alpha",
            remedy="mend that line",
        ) from error
