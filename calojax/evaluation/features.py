"""High-level features of showers, in the order of the CaloChallenge.

For layer l with voxel energies E_v, radius r_v (middle of the bin), eta_v = r_v cos(alpha_v), phi_v = r_v sin(alpha_v):

    E_l = sum E_v,   EC_x = sum x_v E_v / E_l,   width_x^2 = sum E_v (x_v - EC_x)^2 / E_l   for x = eta, phi, r
    sparsity = share of the layer's voxels without energy

Voxels below the threshold count as 0 (one equal to it stays). A layer without energy has centres and widths 0 and
sparsity 1. "eta" and "phi" are x and y in mm.

Source: CaloChallenge/homepage, code/HighLevelFeatures.py and evaluate.py (arXiv:2410.21611). Differs in form: the
public script takes width^2 as a difference of second moments, which leaves up to 0.019 mm for a single hit in
float32; here it is the sum of squared distances from the centre, in float64, exactly 0 for a single hit.
"""

from typing import Any, NamedTuple

import numpy as np

from calojax import geometry as geometries
from calojax.evaluation import arrays
from calojax.evaluation.sources import Source, blocks, count

_ROWS = 1024


class Hits(NamedTuple):
    """Voxels at or above threshold, shower after shower: row and cell (H,) int64, energy (H,) float64 MeV."""

    row: np.ndarray
    cell: np.ndarray
    energy: np.ndarray


class Moments(NamedTuple):
    """Per shower and layer, (N, L) float64: energy in MeV; centres and widths in mm; share of empty voxels."""

    energy: np.ndarray
    ec_eta: np.ndarray
    ec_phi: np.ndarray
    width_eta: np.ndarray
    width_phi: np.ndarray
    ec_r: np.ndarray
    width_r: np.ndarray
    sparsity: np.ndarray


def cut(threshold: float) -> float:
    """The smallest energy of a hit, MeV: one written in float32 exactly at the threshold is, one of 0 is not."""
    return max(min(threshold, float(np.float32(threshold))), float(np.finfo(np.float32).tiny))


def find_hits(showers: np.ndarray, threshold: float) -> Hits:
    """Hits of showers (N, V), MeV, of any numbers; whole ones and half floats are compared as float64."""
    if showers.dtype.kind != "f" or showers.dtype.itemsize < 4:
        showers = showers.astype(np.float64)
    flat = np.flatnonzero(showers >= np.asarray(cut(threshold), showers.dtype))
    row, cell = np.divmod(flat, showers.shape[1])
    return Hits(row, cell, showers.reshape(-1)[flat].astype(np.float64))


def hit_moments(hits: Hits, n_showers: int, geometry: Any) -> Moments:
    """Moments of n_showers showers given as their hits. geometry: a Cylinder or a Grid."""
    n_layers = geometry.n_layers
    key = hits.row * n_layers + geometry.layer[hits.cell]

    def total(weights=None):
        return np.bincount(key, weights, minlength=n_showers * n_layers)

    energy, count = total(hits.energy), total()
    share = hits.energy / np.where(energy > 0, energy, 1.0)[key]
    shaped = {"energy": energy, "sparsity": 1.0 - count.reshape(-1, n_layers) / np.diff(geometry.layer_offsets)}
    for name, position in (("eta", geometry.centres[:, 0]), ("phi", geometry.centres[:, 1]), ("r", geometry.r_mid)):
        x = position[hits.cell]
        centre = total(share * x)
        shaped[f"ec_{name}"] = centre
        shaped[f"width_{name}"] = np.sqrt(total(share * (x - centre[key]) ** 2))
    return Moments(**{name: values.reshape(n_showers, n_layers) for name, values in shaped.items()})


def layer_moments(showers: np.ndarray, geometry: Any) -> Moments:
    """Moments of showers (N, V), MeV, in blocks of rows. geometry: a Cylinder or Grid of V cells, or its name.

    Raises InputError for showers that are not finite or not of this geometry.
    """
    geometry = geometries.load(geometry)
    showers = arrays.showers(showers, geometry)
    parts = [
        hit_moments(find_hits(block, geometry.threshold), len(block), geometry)
        for block in (showers[first : first + _ROWS] for first in range(0, max(len(showers), 1), _ROWS))
    ]
    return Moments(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def alpha_layers(geometry: Any) -> np.ndarray:
    """Positions (A,) of the layers that are binned in alpha; only these have EC_eta, EC_phi and their widths."""
    return np.flatnonzero(np.asarray(geometry.n_alpha) > 1)


def of_moments(moments: Moments, incident_energies: np.ndarray, geometry: Any) -> np.ndarray:
    """The feature vector (N, F) float64 of the protocol's classifiers, FPD and KPD.

    log10 E_inc; log10(E_l + 1e-8); EC_eta, EC_phi, width_eta, width_phi (over 100, alpha-binned layers);
    log10(E_tot + 1e-8); sparsity; EC_r, width_r (over 100). moments of (N, L); incident_energies (N,), MeV.
    """
    m = _binned_in_alpha(moments, geometry)
    energies = np.asarray(incident_energies, np.float64).reshape(-1, 1)
    total = m.energy.sum(axis=1, keepdims=True)
    return np.hstack(
        [np.log10(energies), np.log10(m.energy + 1e-8)]
        + [part / 100 for part in (m.ec_eta, m.ec_phi, m.width_eta, m.width_phi)]
        + [np.log10(total + 1e-8), m.sparsity, m.ec_r / 100, m.width_r / 100]
    )


def shower_features(showers: np.ndarray, incident_energies: np.ndarray, geometry: Any) -> np.ndarray:
    """showers (N, V), incident_energies (N,), both MeV -> (N, F) float64, columns as `feature_names(geometry)`.

    The threshold of the geometry is applied. float32 and float64 arrays of the same showers give the same features.
    Raises InputError for showers that are not finite or not of this geometry, or have no incident energy above 0.
    """
    geometry = geometries.load(geometry)
    showers = arrays.showers(showers, geometry)
    incident_energies = arrays.incident_energies(incident_energies, len(showers))
    return of_moments(layer_moments(showers, geometry), incident_energies, geometry)


def features_of(source: Source, geometry: Any) -> np.ndarray:
    """`shower_features` of a file, or of (incident_energy (N,), showers (N, V)) in MeV: (N, F) float64.

    A file is read a block of showers at a time: memory holds the features and one block. The judge makes the same ones,
    bit for bit, of a file. Raises InputError for what cannot be showers of this geometry.
    """
    geometry = geometries.load(geometry)
    found, first = np.empty((count(source), len(feature_names(geometry)))), 0
    for block in blocks(source, geometry, name="showers"):
        part = slice(first, first := first + len(block.showers))
        found[part] = shower_features(block.showers, block.incident_energy, geometry)
    return found


def feature_names(geometry: Any) -> list[str]:
    """Names of the F columns of `shower_features`: log_e_inc, e_layer.<l>, ec_eta.<l>, ..., width_r.<l>."""
    geometry = geometries.load(geometry)
    every, binned = range(geometry.n_layers), alpha_layers(geometry)
    return (
        ["log_e_inc"]
        + [f"e_layer.{i}" for i in every]
        + [f"{family}.{i}" for family in ("ec_eta", "ec_phi", "width_eta", "width_phi") for i in binned]
        + ["e_tot"]
        + [f"{family}.{i}" for family in ("sparsity", "ec_r", "width_r") for i in every]
    )


def _binned_in_alpha(m: Moments, geometry: Any) -> Moments:
    """The same moments, eta and phi for the alpha-binned layers only: (N, A)."""
    binned = alpha_layers(geometry)
    return m._replace(**{name: getattr(m, name)[:, binned] for name in ("ec_eta", "ec_phi", "width_eta", "width_phi")})
