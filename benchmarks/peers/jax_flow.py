"""The coupling flow of the same size in flowjax."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import paramax
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import Normal
from flowjax.flows import coupling_flow
from flowjax.train.losses import MaximumLikelihoodLoss
from flowjax.train.train_utils import step

from benchmarks import machine
from benchmarks.peers.flow import LEARNING_RATE, STEPS, Shape, clocked, data


class Flowjax:
    """Splines whose end slopes are learned too: two parameters more for each number that moves."""

    packages = ("flowjax", "equinox", "jax", "numpy")

    def make(self, **sizes: Any) -> dict[str, Any]:
        self.shape = shape = Shape(**sizes)
        self.flow = coupling_flow(
            jax.random.key(0),
            base_dist=Normal(jnp.zeros(shape.dims)),
            transformer=RationalQuadraticSpline(knots=shape.bins - 1, interval=shape.bound),  # inner knots
            cond_dim=shape.context,
            flow_layers=shape.couplings,
            nn_width=shape.hidden,
            nn_depth=2,
        )
        fixed = lambda leaf: isinstance(leaf, paramax.NonTrainable)
        self.params, self.rest = eqx.partition(self.flow, eqx.is_inexact_array, is_leaf=fixed)
        self.optimiser, self.loss = optax.adam(LEARNING_RATE), MaximumLikelihoodLoss()
        self.state = self.optimiser.init(self.params)
        self.drawn = eqx.filter_jit(lambda flow, key, context: flow.sample(key, (), context))
        return {"parameters": sum(leaf.size for leaf in jax.tree.leaves(self.params))}

    def checked(self, n: int) -> dict[str, Any]:
        x, context = data(self.shape, n)
        bijection = paramax.unwrap(self.flow).bijection
        both = jax.vmap(lambda x, c: bijection.transform(bijection.inverse(x, c), c))
        apart = jnp.abs(both(x, context) - x).max()
        losses = [float(self._step(x, context)) for _ in range(STEPS)]
        drawn = self.drawn(self.flow, jax.random.key(1), context)
        found = {"round_trip": float(apart), "losses": losses, "finite": bool(jnp.isfinite(drawn).all())}
        return found | {"drawn": list(drawn.shape)}

    def sampling(self, n: int, seconds: float) -> dict[str, Any]:
        context, key = jnp.asarray(data(self.shape, n)[1]), jax.random.key(1)
        return clocked(lambda: jax.block_until_ready(self.drawn(self.flow, key, context)), seconds)

    def training(self, n: int, seconds: float) -> dict[str, Any]:
        x, context = map(jnp.asarray, data(self.shape, n))
        return clocked(lambda: jax.block_until_ready(self._step(x, context)), seconds)

    def peak(self) -> dict[str, float]:
        return {"peak_mib": machine.peak_mib()}

    def _step(self, x, context):
        self.params, self.state, loss = step(
            self.params, self.rest, x, context, optimizer=self.optimiser, opt_state=self.state, loss_fn=self.loss
        )
        return loss
