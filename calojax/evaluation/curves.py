"""Arrays behind the figures. Whatever the report draws is made here, once, and stored beside the metrics.

Names: histogram.<family>.edges (C, B + 1), .layers (C,), .<sample> (2, C, B); e_tot_in_bins.edges (n, B + 1),
.<sample> (2, n, B); response.<sample>, hits.<sample> (4, n): mean, error, width, error; longitudinal.<sample> (2, L),
sparsity.<sample> (3, L): mean share of empty cells, its error, its spread over showers;
rings.<sample> (2, R), probability.<sample> (R,); average.<sample> (2, V): mean share of the incident energy per cell;
pearson.<sample> (R, R), pearson_layer.<sample> (L, L), zoom.<sample>; viewer.<sample>.*; independent.*; example.*;
bins.*; geometry.*.
Samples: reference, generated, train. A leading 2 is value and error; histograms are shares of the entries in the range.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from calojax.evaluation import fixed_energy, histograms, occupancy
from calojax.evaluation.digest import Digest
from calojax.evaluation.energy_response import MeanAndWidth
from calojax.evaluation.jackknife import jackknife
from calojax.evaluation.memorisation import nearest_energy
from calojax.evaluation.patterns import Patterns
from calojax.evaluation.pearson import pearson_matrix
from calojax.evaluation.sparse import Sparse
from calojax.geometry import Grid

_EXAMPLES = (0.15, 0.45, 0.7, 0.95)  # of the reference's range in ln E
_EVENTS, _EVENT_HITS = 40, 150_000  # showers of each sample to look at, and their hits at most: 1.2 MB of a page


def curves(digests: Mapping[str, Digest]) -> dict[str, np.ndarray]:
    """All one-dimensional curves and maps of every sample."""
    reference = digests["reference"]
    frame, geometry = reference.frame, reference.frame.geometry
    made: dict[str, np.ndarray] = {
        "bins.edges": frame.bins.edges,
        "bins.fine": frame.fine.edges,
        "geometry.n_rings": np.asarray(geometry.n_rings),
        "geometry.n_alpha": np.asarray(geometry.n_alpha),
    }
    if isinstance(geometry, Grid):
        made |= {"geometry.pitch": np.array(geometry.pitch), "geometry.id": np.zeros(1, int)}
    else:
        made["geometry.r_edges"] = _padded([layer.r_edges for layer in geometry.layers])
        made["geometry.z_edges"] = np.array([(layer.z_min, layer.z_max) for layer in geometry.layers])
        made["geometry.threshold"] = np.array(geometry.threshold)
        made["geometry.id"] = np.array([layer.id for layer in geometry.layers])
    for name, family in frame.families.items():
        made[f"histogram.{name}.edges"], made[f"histogram.{name}.layers"] = family.edges, family.layers
    made["e_tot_in_bins.edges"] = _response_edges(reference)
    for sample_name, one in digests.items():
        for name, counts in one.histograms.items():
            made[f"histogram.{name}.{sample_name}"] = _shares(counts)
        made[f"e_tot_in_bins.{sample_name}"] = _e_tot_in_bins(one, made["e_tot_in_bins.edges"])
        made[f"response.{sample_name}"] = _rows(one.response(frame.fine))
        made[f"hits.{sample_name}"] = _rows(one.hits(frame.fine))
        made[f"pearson_layer.{sample_name}"] = pearson_matrix(one.sample.moments.energy).astype(np.float32)
        made |= {f"{key}.{sample_name}": array for key, array in _profiles(one).items()}
    independent = fixed_energy.independent_cells(
        reference.sample.patterns, reference.sample.incident_energy, frame.bins, np.random.default_rng(0)
    )
    alone = fixed_energy.fixed_energy_correlations(
        independent, reference.sample.incident_energy, geometry, frame.bins, frame.pairs
    )
    made |= {f"independent.{d}": value.value for d, value in alone.values.items()}
    made["independent.hits"] = _independent_width(reference, independent)
    return made


def matrices(samples: Mapping[str, tuple[np.ndarray, Patterns]], reference: Digest) -> dict[str, np.ndarray]:
    """Matrices of hits averaged over rings (R, R), and cell by cell in two layers at the shower maximum.

    samples: of "reference" and "generated" the averages, and the hits.
    """
    geometry = reference.frame.geometry
    peak = int(np.argmax(np.bincount(geometry.layer, reference.sample.shares.sum(axis=0))))
    first = geometry.layer_offsets[peak]
    last = geometry.layer_offsets[min(peak + 2, geometry.n_layers)]
    last = min(last, first + 400)
    made = {"zoom.layers": np.array([peak, min(peak + 1, geometry.n_layers - 1)])}
    for name, (averages, hits) in samples.items():
        made[f"pearson.{name}"] = averages.astype(np.float32)
        made[f"zoom.{name}"] = occupancy.hit_pearson(hits, slice(first, last)).astype(np.float32)
    return made


def examples(reference: Sparse, generated: Sparse) -> dict[str, np.ndarray]:
    """Some showers of the reference, and the generated ones of the nearest energy: energies (n,), showers (n, V)."""
    made = {}
    for name, showers in _pairs(reference, generated, np.array(_EXAMPLES)).items():
        made[f"example.{name}.energy"] = showers.incident_energy
        made[f"example.{name}.rows"] = showers.rows
        made[f"example.{name}.showers"] = showers.dense(np.arange(len(showers)))
    return made


def events(reference: Sparse, generated: Sparse) -> dict[str, np.ndarray]:
    """Up to 40 such pairs, evenly over the reference's ln E, as hits; fewer where showers have very many of them.

    viewer.<sample>.energy (n,) MeV, .rows (n,) in its source, .offsets (n + 1,), .cell (H,), .deposit (H,) MeV.
    """
    pairs = _pairs(reference, generated, np.linspace(0, 1, _EVENTS))
    most = max(len(showers.cell) for showers in pairs.values())
    if most > _EVENT_HITS:
        pairs = _pairs(reference, generated, np.linspace(0, 1, max(_EVENTS * _EVENT_HITS // most, 1)))
    made = {}
    for name, showers in pairs.items():
        made[f"viewer.{name}.energy"] = showers.incident_energy
        made[f"viewer.{name}.rows"] = showers.rows
        made[f"viewer.{name}.offsets"] = showers.offsets
        made[f"viewer.{name}.cell"] = showers.cell
        made[f"viewer.{name}.deposit"] = showers.energy
    return made


def _pairs(reference: Sparse, generated: Sparse, places: np.ndarray) -> dict[str, Sparse]:
    """Different reference showers nearest to these places (0 to 1) in their range of ln E, rising, and the generated
    showers of the energy nearest to each."""
    energies = reference.incident_energy
    low, high = np.log(energies.min()), np.log(energies.max())
    rows = list(dict.fromkeys(nearest_energy(energies, np.exp(low + (high - low) * places))))
    chosen = reference.take(np.array(rows))
    return {
        "reference": chosen,
        "generated": generated.take(nearest_energy(generated.incident_energy, chosen.incident_energy)),
    }


def ring_of_cell(geometry: Any) -> np.ndarray:
    """Number (V,) of each cell's ring, rings of all layers one after another."""
    starts = np.concatenate([[0], np.cumsum(geometry.n_rings)[:-1]])
    return starts[geometry.layer] + geometry.ring


def _profiles(one: Digest) -> dict[str, np.ndarray]:
    """Mean shares of the incident energy: per layer (2, L) with errors, per ring (2, R), per cell (2, V); and hit
    probability (R,)."""
    geometry, shares = one.frame.geometry, one.sample.shares
    rings, n_rings = ring_of_cell(geometry), int(np.sum(geometry.n_rings))
    n = np.bincount(np.arange(len(one)) % one.sample.n_blocks, minlength=one.sample.n_blocks)
    by_ring = np.stack([np.bincount(rings, block, n_rings) for block in shares])
    by_layer = np.stack([np.bincount(geometry.layer, block, geometry.n_layers) for block in shares])
    mean = lambda total, count: total / max(count, 1)
    probability = np.bincount(rings, occupancy.hit_probability(one.sample.patterns), n_rings) / np.bincount(rings)
    return {
        "longitudinal": np.stack(jackknife(mean, by_layer, n)),
        "rings": np.stack(jackknife(mean, by_ring, n)),
        "average": np.stack(jackknife(mean, shares, n)).astype(np.float32),
        "probability": probability,
        "sparsity": _mean_error_and_spread(one.sample.moments.sparsity),
    }


def _mean_error_and_spread(values: np.ndarray) -> np.ndarray:
    """Of showers (N, L): (3, L)."""
    spread = values.std(axis=0)
    return np.stack([values.mean(axis=0), spread / np.sqrt(len(values)), spread])


def _response_edges(reference: Digest) -> np.ndarray:
    """Edges (n, 31) of E_tot/E_inc in each of the n energy bins: four widths of the reference to each side."""
    found = reference.response(reference.frame.bins)
    mean, width = np.nan_to_num(found.mean.value, nan=1.0), np.nan_to_num(found.width.value)
    return mean[:, None] + np.maximum(width, 1e-3)[:, None] * np.linspace(-4, 4, 31)


def _e_tot_in_bins(one: Digest, edges: np.ndarray) -> np.ndarray:
    """E_tot/E_inc in each of the n energy bins: (2, n, B) for edges (n, B + 1)."""
    place = one.frame.bins.place(one.sample.incident_energy)
    ratio = one.e_tot / one.sample.incident_energy
    rows = np.where(place[:, None] == np.arange(len(edges)), ratio[:, None], np.inf)  # inf: outside
    return _shares(histograms.counts(rows, edges, one.sample.n_blocks))


def _shares(counts: np.ndarray) -> np.ndarray:
    """Histograms (K, C, B + 2) as shares of the entries in the range, with errors: (2, C, B) float32."""
    inside = counts[..., 1:-1]
    return np.stack(jackknife(lambda c: c / np.maximum(c.sum(axis=-1, keepdims=True), 1), inside)).astype(np.float32)


def _independent_width(reference: Digest, independent: Patterns) -> np.ndarray:
    from calojax.evaluation.hits import hits_at_energy  # noqa: PLC0415

    counts, bins = independent.counts(), reference.frame.bins
    return hits_at_energy(counts, reference.sample.incident_energy, bins).width.value


def _rows(found: MeanAndWidth) -> np.ndarray:
    """(4, n): mean, its error, width, its error."""
    return np.stack([*found.mean, *found.width])


def _padded(rows: list) -> np.ndarray:
    """Rows of different lengths in one array, nan behind their ends."""
    out = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
