"""The coupling flow of the same size in calojax."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks import machine
from benchmarks.peers.flow import LEARNING_RATE, STEPS, Shape, clocked, data
from calojax.nn import vector_flow

SPREAD = 0.02  # of what is added to the weights: the flow is made as the identity, where nothing can go wrong


class Flow:
    packages = ("calojax", "jax", "jaxlib", "optax", "numpy")

    def make(self, **sizes: Any) -> dict[str, Any]:
        self.shape, self.flow = Shape(**sizes), vector_flow.Shape(**sizes)
        leaves, tree = jax.tree.flatten(vector_flow.init(jax.random.key(0), self.flow))
        keys = jax.random.split(jax.random.key(1), len(leaves))
        noisy = [leaf + SPREAD * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
        self.params, self.optimiser = jax.tree.unflatten(tree, noisy), optax.adam(LEARNING_RATE)
        self.state = self.optimiser.init(self.params)
        self.drawn = jax.jit(lambda params, key, context: vector_flow.sample(params, key, context, self.flow))
        self.step = jax.jit(self._step)
        return {"parameters": sum(leaf.size for leaf in leaves)}

    def checked(self, n: int) -> dict[str, Any]:
        x, context = self._data(n)
        forward = jax.jit(lambda params: vector_flow.forward(params, x, context, self.flow).values)
        back = jax.jit(lambda params, base: vector_flow.inverse(params, base, context, self.flow).values)
        apart = jnp.abs(back(self.params, forward(self.params)) - x).max()
        losses = [float(self._trained(x, context)) for _ in range(STEPS)]
        drawn = self.drawn(self.params, jax.random.key(1), context)
        found = {"round_trip": float(apart), "losses": losses, "finite": bool(jnp.isfinite(drawn).all())}
        return found | {"drawn": list(drawn.shape[::-1])}

    def sampling(self, n: int, seconds: float) -> dict[str, Any]:
        context, key = self._data(n)[1], jax.random.key(1)
        return clocked(lambda: jax.block_until_ready(self.drawn(self.params, key, context)), seconds)

    def training(self, n: int, seconds: float) -> dict[str, Any]:
        x, context = self._data(n)
        return clocked(lambda: jax.block_until_ready(self._trained(x, context)), seconds)

    def peak(self) -> dict[str, float]:
        return {"peak_mib": machine.peak_mib()}

    def _data(self, n: int) -> tuple[jax.Array, ...]:
        """Feature-major: (dims, n) and (context, n)."""
        return tuple(jnp.asarray(one.T.copy()) for one in data(self.shape, n))

    def _trained(self, x: jax.Array, context: jax.Array) -> jax.Array:
        self.params, self.state, loss = self.step(self.params, self.state, x, context)
        return loss

    def _step(self, params, state, x, context):
        score = lambda params: -vector_flow.log_density(params, x, context, self.flow).mean()
        loss, gradient = jax.value_and_grad(score)(params)
        change, state = self.optimiser.update(gradient, state)
        return optax.apply_updates(params, change), state, loss
