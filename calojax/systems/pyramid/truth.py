"""A tile of showers as every stage sees it: from lists of hits, or as the stages above have drawn it.

Two views: the grid of all layers, flat (G = T L), rings as rows; and the list of hit rings, flat (E), cells as rows.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import sets
from calojax.systems.pyramid.constants import Constants, Polynomials


class Rings(NamedTuple):
    """The flat list of hit rings: owner (E,), T in the padding; ring (E,); real (E,); table (T, N) place, E if none."""

    owner: Array
    ring: Array
    real: Array
    table: Array


class Cells(NamedTuple):
    """A flat list of hit cells, in any order: place of the ring in its list, E in the padding; number alpha; (C,)."""

    place: Array
    alpha: Array


class Showers(NamedTuple):
    """Everything about a tile of true showers."""

    incident_energy: Array  # (T,) MeV
    rings: Rings
    cells: Array  # (A, E) bool
    excess: Array  # (A, E) MeV above threshold, 0 where not hit
    listed: Cells  # the hit cells one by one


def ring_list(owner: Array, ring: Array, showers: int, constants: Constants) -> Rings:
    """owner, ring (E,), owner == T in the padding -> Rings."""
    return Rings(owner, ring, owner < showers, sets.slots(owner, ring, showers, constants.ring_size.shape[0]))


def from_hits(batch: dict[str, Array], constants: Constants, smallest: float) -> Showers:
    """From the loader's lists of one tile: incident_energy (T,), hit.cell|energy|row (C,), ring.index|row (E,)."""
    showers = batch["incident_energy"].shape[0]
    rings = ring_list(batch["ring.row"], batch["ring.index"], showers, constants)
    capacity, cells_per_ring = rings.owner.shape[0], constants.tree.ring_cells.shape[1]
    row, cell = batch["hit.row"], batch["hit.cell"]
    place = rings.table[jnp.minimum(row, showers - 1), constants.tree.cell_ring[cell]]
    place = jnp.where(row < showers, place, capacity)
    alpha = constants.tree.cell_alpha[cell]
    empty = jnp.zeros((cells_per_ring, capacity))
    excess = jnp.maximum(batch["hit.energy"] - constants.threshold, smallest)
    energies = empty.at[alpha, place].set(excess, mode="drop")
    return Showers(batch["incident_energy"], rings, energies > 0, energies, Cells(place, alpha))


def turned(showers: Showers, key: Array, constants: Constants) -> Showers:
    """Every shower turned about its axis by a random number of cells, and mirrored or not.

    Particles enter along the axis, so nothing distinguishes an angle. All rings turn by the same angle, a multiple of
    the coarsest that every ring can turn by (`constants.turns` of them in a full turn).
    """
    count = showers.incident_energy.shape[0]
    turn = jax.random.randint(key, (count,), 0, constants.turns)
    mirror = jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(count,))
    owner = jnp.minimum(showers.rings.owner, count - 1)
    size = constants.ring_size[showers.rings.ring]
    shift = turn[owner] * size // constants.turns
    index = jnp.arange(showers.cells.shape[0])[:, None]
    source = jnp.where(mirror[owner], (shift - 1 - index) % size, (index + shift) % size)
    source = jnp.where(index < size, source, index)
    pick = lambda values: jnp.take_along_axis(values, source, axis=0)
    place, alpha = showers.listed
    at = jnp.minimum(place, size.shape[0] - 1)
    moved = jnp.where(mirror[owner[at]], shift[at] - 1 - alpha, alpha - shift[at]) % size[at]
    listed = Cells(place, jnp.where(place < size.shape[0], moved, 0))
    return Showers(showers.incident_energy, showers.rings, pick(showers.cells), pick(showers.excess), listed)


def grid(per_ring: Array, rings: Rings, constants: Constants) -> Array:
    """per_ring (E,) -> (R, G), 0 where a layer has no such ring or it is not hit."""
    padded = jnp.concatenate([per_ring, jnp.zeros(1, per_ring.dtype)])
    return to_grid(padded[rings.table], constants)


def to_grid(per_ring: Array, constants: Constants) -> Array:
    """(T, N) -> (R, G), 0 where a layer has no such ring."""
    layer_rings = constants.tree.layer_rings
    values = jnp.where(layer_rings >= 0, per_ring[:, layer_rings], 0)  # (T, L, R)
    return jnp.moveaxis(values, 2, 0).reshape(layer_rings.shape[1], -1)


def from_grid(values: Array, constants: Constants) -> Array:
    """(R, G) -> (T, N): undoes `to_grid`."""
    layers, radii = constants.tree.layer_rings.shape
    by_layer = values.reshape(radii, -1, layers)
    return by_layer[constants.tree.ring_radius, :, constants.tree.ring_layer].T


def layers_apart(layers: int, steps: tuple[int, ...]) -> Callable[[Array], Array]:
    """A function (F, G) -> (len(steps) F, G): the same numbers `steps` layers on, 0 outside the detector."""

    def shifted(x: Array) -> Array:
        reach = max(abs(s) for s in steps)
        by_layer = x.reshape(x.shape[0], -1, layers)
        padded = jnp.pad(by_layer, ((0, 0), (0, 0), (reach, reach)))
        parts = [padded[:, :, reach + s : reach + s + layers] for s in steps]
        return jnp.concatenate(parts).reshape(-1, x.shape[1])

    return shifted


def energy_features(incident_energy: Array, constants: Constants) -> Array:
    """(T,) MeV -> (3, T): ln E scaled to [-1, 1] over the trained range, its square and cube."""
    low, high = constants.log_energy
    x = (2 * jnp.log(incident_energy) - low - high) / jnp.maximum(high - low, 1e-3)
    return jnp.stack([x, x * x, x**3])


def mean(fit: Polynomials, incident_energy: Array) -> Array:
    """Means of Q quantities at T energies: (Q, T)."""
    return _polynomial(fit.mean, incident_energy)


def width(fit: Polynomials, incident_energy: Array) -> Array:
    """Their widths: (Q, T)."""
    return jnp.exp(_polynomial(fit.log_width, incident_energy))


def _polynomial(coefficients, incident_energy):
    x = jnp.log(incident_energy / 1e4)
    powers = x[None] ** jnp.arange(coefficients.shape[1])[:, None]
    return jnp.matmul(coefficients, powers, precision="highest")  # an accelerator would round both to 11 bits or fewer


def on_grid(per_shower: Array, layers: int) -> Array:
    """(F, T) -> (F, G)."""
    return jnp.repeat(per_shower, layers, axis=1)


def on_layers(per_layer: Array, showers: int) -> Array:
    """(F, L) -> (F, G)."""
    return jnp.tile(per_layer, (1, showers))
