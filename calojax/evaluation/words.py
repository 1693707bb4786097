"""What is histogrammed, in words: of a cylinder's layers and rings, or of crystals."""

from calojax.evaluation.schema import Metrics

GRID = "crystals"  # inputs.geometry.kind of a Grid; that of a Cylinder is "cylinder"
_FAMILIES = {
    "e_tot": "total energy over incident energy",
    "e_layer": "energy per layer",
    "ec_eta": "centre in eta",
    "ec_phi": "centre in phi",
    "width_eta": "width in eta",
    "width_phi": "width in phi",
    "ec_r": "centre in r",
    "width_r": "width in r",
    "sparsity": "share of empty cells",
    "voxel": "energy per hit cell",
    "n_hits": "hit cells per shower",
    "hit_layers": "hit layers per shower",
    "hit_rings": "hit rings per hit layer",
    "hit_cells": "hit cells per hit ring",
}
_OF_CRYSTALS = {
    "e_layer": "total energy",
    "ec_eta": "centre in x",
    "ec_phi": "centre in y",
    "width_eta": "width in x",
    "width_phi": "width in y",
    "sparsity": "share of empty crystals",
    "voxel": "energy per hit crystal",
    "n_hits": "hit crystals per shower",
    "hit_rings": "hit columns per shower",
    "hit_cells": "hit crystals per hit column",
}


def on_grid(metrics: Metrics) -> bool:
    """Whether the showers are images of crystals."""
    return metrics.inputs.get("geometry", {}).get("kind") == GRID


def families(metrics: Metrics) -> dict[str, str]:
    """The words for every family of histograms."""
    return _FAMILIES | (_OF_CRYSTALS if on_grid(metrics) else {})
