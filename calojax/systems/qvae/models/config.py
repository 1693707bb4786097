"""What can be set for encoder and decoder of the qvae. Imports no JAX."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from calojax import errors

Heads = Literal["last", "all", "first-and-last"]
Gate = Literal["probability", "logit"]
Earlier = Literal["map", "scalar"]


@dataclass(frozen=True)
class Model:
    """Encoder and decoder."""

    nodes: Annotated[int, "binary variables in each of the four partitions"] = 512
    width: Annotated[float, "channels of all layers in units of the published ones"] = 1.0
    heads: Annotated[
        Heads, "which of the four sub-decoders have the hit head: published as V5 (last), V4 (all), GeoDecoder"
    ] = "last"
    gate: Annotated[
        Gate, "what energies are multiplied by between sub-decoders that have both heads; published: logit"
    ] = "probability"
    attention: Annotated[bool, "linear attention in the energy head"] = True
    skip: Annotated[bool, "sub-decoders after the first see the latent variables again"] = True
    direct: Annotated[
        bool, "direct paths between voxels and latent variables, beside the networks; published: false"
    ] = True
    earlier: Annotated[
        Earlier, "how a level of the encoder sees the partitions before it: a map of its own, or one published number"
    ] = "map"

    def __post_init__(self):
        errors.check_least("model", "nodes", self.nodes, 1)
        if not 0 < self.width < math.inf:
            raise errors.field("model", "width", self.width, "it must be above 0")
        errors.check_choice("model", "heads", self.heads, get_args(Heads))
        errors.check_choice("model", "gate", self.gate, get_args(Gate))
        errors.check_choice("model", "earlier", self.earlier, get_args(Earlier))

    def channels(self, published: int) -> int:
        """So many channels of the published networks, times the width; one stays one."""
        return published if published == 1 else max(2, round(published * self.width))
