"""What the networks know beside their parameters: the grid, the code of the energy, the couplings of the prior."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax import geometry, shards
from calojax.errors import InputError
from calojax.nn.boltzmann import neighbours, zephyr
from calojax.nn.boltzmann.neighbours import Neighbours
from calojax.systems.qvae import bits
from calojax.systems.qvae.config import Config


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Constants:
    """place (V,) int32: where each cell is on the grid, flat; there (Z, A, R) bool: where the grid has a cell;
    energies (2,) MeV: lowest and highest of the training data; scale (2,): mean and width of transformed energies of
    hits; code, tables: of the energy's bits; mask (6, n, n) bool
    and lists: couplings of the prior, both None where all are there."""

    place: Array
    there: Array
    energies: Array
    scale: Array
    tables: bits.Tables
    mask: Array | None
    lists: Neighbours | None
    code: bits.Code = field(metadata={"static": True})


def build(config: Config, manifest: shards.Manifest) -> Constants:
    """From the manifest's geometry and range of energies."""
    grid = geometry.rectangle(geometry.from_json(manifest.geometry))
    lowest, highest = _energies(manifest)
    code = bits.for_range(highest, config.model.nodes)
    mask, lists = None, None
    if config.prior.couplings == "zephyr":
        mask = zephyr.layout(config.model.nodes).mask
        lists = neighbours.of(mask)
    return Constants(
        place=jnp.asarray(grid.place),
        there=jnp.asarray(grid.there),
        energies=jnp.asarray([lowest, highest], jnp.float32),
        scale=jnp.asarray([_statistic(manifest, f"{name} of u") for name in ("mean", "width")], jnp.float32),
        tables=bits.tables(code),
        mask=None if mask is None else jnp.asarray(mask),
        lists=lists,
        code=code,
    )


def _statistic(manifest: shards.Manifest, name: str) -> float:
    if name not in manifest.statistics:
        raise InputError(
            where="the manifest of the shards",
            found=f"has no statistic {name}",
            rule="shards must be prepared by the version that reads them",
            remedy="run `calojax prepare` again",
        )
    return float(manifest.statistics[name])


def _energies(manifest: shards.Manifest) -> tuple[float, float]:
    low, high = (float(np.float32(bound)) for bound in manifest.ranges["incident_energy"])
    return low, high
