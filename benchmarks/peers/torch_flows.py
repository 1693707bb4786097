"""Coupling flows of the same size in nflows and zuko, on PyTorch: eager, as their users run them, and compiled."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import machine
from benchmarks.peers.flow import LEARNING_RATE, STEPS, Shape, clocked, data

torch.set_num_threads(1)
torch.set_num_interop_threads(1)


class _Flow:
    """What both have in common; subclasses say how to make, draw and score."""

    flow: Any
    packages: tuple[str, ...] = ("torch", "numpy")

    def make(self, **sizes: Any) -> dict[str, Any]:
        torch.manual_seed(0)
        self.shape = Shape(**sizes)
        self.flow = self._made(self.shape)
        self.optimiser = torch.optim.Adam(self.flow.parameters(), LEARNING_RATE)
        return {"parameters": sum(p.numel() for p in self.flow.parameters())}

    def checked(self, n: int) -> dict[str, Any]:
        x, context = self._data(n)
        with torch.no_grad():
            apart = (self._there_and_back(x, context) - x).abs().max()
        losses = [float(self._step(x, context)) for _ in range(STEPS)]
        with torch.inference_mode():
            drawn = self._drawn(context)
        found = {"round_trip": float(apart), "losses": losses, "finite": bool(torch.isfinite(drawn).all())}
        return found | {"drawn": list(drawn.shape)}

    def sampling(self, n: int, seconds: float) -> dict[str, Any]:
        context = self._data(n)[1]
        with torch.inference_mode():
            return clocked(lambda: self._drawn(context), seconds)

    def training(self, n: int, seconds: float) -> dict[str, Any]:
        x, context = self._data(n)
        return clocked(lambda: self._step(x, context), seconds)

    def peak(self) -> dict[str, float]:
        return {"peak_mib": machine.peak_mib()}

    def _data(self, n: int) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(np.ascontiguousarray(one)) for one in data(self.shape, n))

    def _step(self, x: Tensor, context: Tensor) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        loss = -self._log_density(x, context).mean()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _made(self, shape: Shape) -> Any:
        raise NotImplementedError

    def _drawn(self, context: Tensor) -> Tensor:
        raise NotImplementedError

    def _log_density(self, x: Tensor, context: Tensor) -> Tensor:
        raise NotImplementedError

    def _there_and_back(self, x: Tensor, context: Tensor) -> Tensor:
        raise NotImplementedError


class Nflows(_Flow):
    packages = ("nflows", *_Flow.packages)

    def _made(self, shape):
        from nflows.distributions.normal import StandardNormal  # noqa: PLC0415
        from nflows.flows.base import Flow  # noqa: PLC0415
        from nflows.transforms.base import CompositeTransform  # noqa: PLC0415
        from nflows.transforms.coupling import PiecewiseRationalQuadraticCouplingTransform as Coupling  # noqa: PLC0415

        class Conditioner(nn.Sequential):
            """A plain network; the library's own feeds the context to it three times."""

            hidden_features = shape.hidden  # the library divides raw widths and heights by its root

            def __init__(self, n_in: int, n_out: int) -> None:
                wide = shape.hidden
                first, second = nn.Linear(n_in + shape.context, wide), nn.Linear(wide, wide)
                super().__init__(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(wide, n_out))

            def forward(self, x: Tensor, context: Tensor) -> Tensor:
                return super().forward(torch.cat([x, context], 1))

        spline = {"num_bins": shape.bins, "tails": "linear", "tail_bound": shape.bound}
        halves = [torch.arange(shape.dims) % 2 == j % 2 for j in range(shape.couplings)]
        layers = [Coupling(half, Conditioner, **spline) for half in halves]
        return Flow(CompositeTransform(layers), StandardNormal([shape.dims]))

    def _drawn(self, context):
        return self.flow.sample(1, context=context)[:, 0]

    def _log_density(self, x, context):
        return self.flow.log_prob(x, context=context)

    def _there_and_back(self, x, context):
        base, _ = self.flow._transform(x, context=context)
        return self.flow._transform.inverse(base, context=context)[0]


class Zuko(_Flow):
    packages = ("zuko", *_Flow.packages)

    def _made(self, shape):
        from zuko.flows.coupling import NICE  # noqa: PLC0415
        from zuko.transforms import MonotonicRQSTransform  # noqa: PLC0415

        return NICE(  # not NSF(passes=2), whose masked networks cost two passes
            shape.dims,
            shape.context,
            transforms=shape.couplings,
            univariate=partial(MonotonicRQSTransform, bound=shape.bound),
            shapes=[(shape.bins,), (shape.bins,), (shape.bins - 1,)],
            hidden_features=(shape.hidden, shape.hidden),
        )

    def _drawn(self, context):
        return self.flow(context).sample()

    def _log_density(self, x, context):
        return self.flow(context).log_prob(x)

    def _there_and_back(self, x, context):
        transform = self.flow(context).transform
        return transform.inv(transform(x))


class _Compiled(_Flow):
    """Both ways through torch.compile, once for each number of elements; needs a C++ compiler."""

    def make(self, **sizes):
        self._compiled = {}
        return super().make(**sizes)

    def _drawn(self, context):
        return self._once("drawn", super()._drawn)(context)

    def _log_density(self, x, context):
        return self._once("log_density", super()._log_density)(x, context)

    def _once(self, name, call):
        if name not in self._compiled:
            self._compiled[name] = torch.compile(call, dynamic=False)
        return self._compiled[name]


class NflowsCompiled(_Compiled, Nflows):
    pass


class ZukoCompiled(_Compiled, Zuko):
    pass
