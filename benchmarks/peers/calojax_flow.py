"""The coupling flow of the same size in calojax."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.peers.clock import peak_mib, timed
from benchmarks.peers.flow import LEARNING_RATE, STEPS, Shape, data
from calojax.nn import couplings

SPREAD = 0.02  # of what is added to the weights: the flow is made as the identity, where nothing can go wrong


class Flow:
    packages = ("calojax", "jax", "jaxlib", "optax", "numpy")

    def make(self, **sizes: Any) -> dict[str, Any]:
        self.shape = Shape(**sizes)
        self.flow = flow = couplings.Shape(pooled=0, **sizes)
        leaves, tree = jax.tree.flatten(couplings.init(jax.random.key(0), flow))
        keys = jax.random.split(jax.random.key(1), len(leaves))
        noisy = [leaf + SPREAD * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
        self.params, optimiser = jax.tree.unflatten(tree, noisy), optax.adam(LEARNING_RATE)
        self.state = optimiser.init(self.params)

        def draw(params, key, context):
            noise = jax.random.normal(key, (flow.dims, context.shape[1]))
            return couplings.inverse(params, noise, _setting(context), flow).values

        def score(params, x, context):
            return -couplings.log_density(params, x, _setting(context), flow).mean()

        def step(params, state, x, context):
            loss, gradient = jax.value_and_grad(score)(params, x, context)
            change, state = optimiser.update(gradient, state)
            return optax.apply_updates(params, change), state, loss

        self.drawn, self.step = jax.jit(draw), jax.jit(step)
        return {"parameters": sum(leaf.size for leaf in leaves)}

    def checked(self, n: int) -> dict[str, Any]:
        x, context = self._data(n)

        @jax.jit
        def there_and_back(params):
            base = couplings.forward(params, x, _setting(context), self.flow).values
            return couplings.inverse(params, base, _setting(context), self.flow).values

        apart = jnp.abs(there_and_back(self.params) - x).max()
        losses = [float(self._step(x, context)) for _ in range(STEPS)]
        drawn = self.drawn(self.params, jax.random.key(1), context)
        found = {"round_trip": float(apart), "losses": losses, "finite": bool(jnp.isfinite(drawn).all())}
        return found | {"drawn": list(drawn.shape[::-1])}

    def sampling(self, n: int, calls: int) -> dict[str, Any]:
        context, key = self._data(n)[1], jax.random.key(1)
        return timed(lambda: jax.block_until_ready(self.drawn(self.params, key, context)), calls)

    def training(self, n: int, calls: int) -> dict[str, Any]:
        x, context = self._data(n)
        return timed(lambda: jax.block_until_ready(self._step(x, context)), calls)

    def peak(self) -> dict[str, float]:
        return {"peak_mib": peak_mib()}

    def _data(self, n: int):
        """Feature-major: (dims, n) and (context, n)."""
        return tuple(jnp.asarray(one.T.copy()) for one in data(self.shape, n))

    def _step(self, x, context):
        self.params, self.state, loss = self.step(self.params, self.state, x, context)
        return loss


def _setting(context):
    """Elements that stand alone."""
    n = context.shape[1]
    return couplings.Setting(context, jnp.ones(n, bool), jnp.zeros(n, jnp.int32), jnp.arange(n), n)
