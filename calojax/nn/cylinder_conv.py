"""Convolutions on maps of a cylinder: the circle is closed, and the innermost ring has a neighbour across the axis.

Maps are (N, Z, A, R, C): N showers, Z layers, A sectors of the circle, R rings from the axis outwards, C channels.
The circle is padded by repeating it. Rings inside the innermost one are those of the opposite sector: a line that goes
in comes out on the other side, half a turn away. Where the number of sectors is odd, half a turn ends on the border
of two of them, and their mean is taken. Everything else is padded with zeros.

`convolve`: pad, then a convolution without padding (kernel (kz, ka, kr, C, O)); four forms that give the same numbers:

- `space`: one convolution in three dimensions;
- `stack`: layers are rows of the batch of one convolution in two dimensions, with an output for every plane of the
  kernel, and the outputs are added up shifted by a layer each;
- `fold`: layers are channels of one convolution in two dimensions, whose kernel is banded;
- `taps`: what the taps of the kernel meet stands side by side, and one product of matrices is all.

`transpose`: the transposed operator (kernel (C, kz, ka, kr, O)), which spreads every cell over cells of a larger map: a
product of matrices, then sums of what overlaps. On a closed circle the sum goes around it.
"""

import itertools
import math
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

Form = Literal["space", "stack", "fold", "taps"]
Steps = tuple[int, int, int]  # along layers, sectors, rings
ONE: Steps = (1, 1, 1)


class Padding(NamedTuple):
    """How many are added before the first and after the last: layers and outer rings of zeros, sectors of the circle
    repeated, and inner rings through the axis."""

    layers: tuple[int, int] = (0, 0)
    sectors: tuple[int, int] = (0, 0)
    rings: tuple[int, int] = (0, 0)


NONE = Padding()


def around(kernel: Steps) -> Padding:
    """The padding with which a convolution of stride 1 keeps the grid."""
    layers, sectors, rings = (((k - 1) // 2, k // 2) for k in kernel)
    return Padding(layers, sectors, rings)


def opposite(x: Array, axis: int = 2) -> Array:
    """The map half a turn away; the mean of two sectors if the number of sectors is odd."""
    half, odd = divmod(x.shape[axis], 2)
    turned = jnp.roll(x, half, axis)
    return 0.5 * (turned + jnp.roll(x, half + 1, axis)) if odd else turned


def pad(x: Array, padding: Padding) -> Array:
    """(N, Z, A, R, C) -> (N, Z', A', R', C)."""
    inner, outer = padding.rings
    if inner:
        x = jnp.concatenate([opposite(x[:, :, :, :inner])[:, :, :, ::-1], x], 3)
    if any(padding.sectors):
        x = jnp.pad(x, ((0, 0), (0, 0), padding.sectors, (0, 0), (0, 0)), mode="wrap")
    if outer or any(padding.layers):
        x = jnp.pad(x, ((0, 0), padding.layers, (0, 0), (0, outer), (0, 0)))
    return x


def convolve(x: Array, kernel: Array, stride: Steps = ONE, padding: Padding = NONE, form: Form | None = None) -> Array:
    """x (N, Z, A, R, C), kernel (kz, ka, kr, C, O) -> (N, Z', A', R', O), each (padded size - k) // stride + 1.

    form: by default the one that was measured to be fast.
    """
    chosen = form or fast_form(x.shape[1], kernel.shape, jax.default_backend())
    if chosen in ("space", "taps"):
        return (_in_space if chosen == "space" else _tapped)(pad(x, padding), kernel, stride)
    x = pad(x, padding._replace(layers=(0, 0)))
    depth = (x.shape[1] + sum(padding.layers) - kernel.shape[0]) // stride[0] + 1
    return (_stacked if chosen == "stack" else _folded)(x, kernel, stride, padding.layers[0], depth)


def fast_form(layers: int, kernel: tuple[int, ...], platform: str) -> Form:
    """What is fast for so many layers and such a kernel (kz, ka, kr, C, O): measured, see docs/performance.md."""
    depth, *_, inputs, outputs = kernel
    if platform != "cpu":
        return "space"
    if inputs < 4 or outputs >= 128:
        return "taps"
    if depth > 1 and layers <= 5 and inputs * outputs <= 64:
        return "fold"
    return "stack"


def _in_space(x, kernel, stride):
    return lax.conv_general_dilated(x, kernel, stride, "VALID", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def _convolved(x: Array, kernel: Array, stride: tuple[int, int]) -> Array:
    return lax.conv_general_dilated(x, kernel, stride, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


_in_plane = jax.custom_vjp(_convolved, nondiff_argnums=(2,))


def _in_plane_saving(x, kernel, stride):
    return _in_plane(x, kernel, stride), (x, kernel)


def _in_plane_gradients(stride, saved, gradient):
    """That of the kernel as a product for each tap: XLA's convolution takes two to five times as long on a CPU."""
    # barrier: or the padding of x and the sum that gradient comes from would be computed anew for every tap
    (x, kernel), gradient = lax.optimization_barrier((saved, gradient))
    plain = partial(_convolved, stride=stride)
    of_x = jax.linear_transpose(lambda x: plain(x, kernel), x)(gradient)[0]
    across, along, inputs, outputs = kernel.shape
    if inputs < 4:  # too narrow for a product
        return of_x, jax.linear_transpose(lambda kernel: plain(x, kernel), kernel)(gradient)[0]
    last = [(size - 1) * step + 1 for size, step in zip(gradient.shape[1:3], stride, strict=True)]
    flat = gradient.reshape(-1, outputs)
    met = lambda a, r: x[:, a : a + last[0] : stride[0], r : r + last[1] : stride[1]].reshape(-1, inputs)
    taps = [met(a, r).T @ flat for a in range(across) for r in range(along)]
    return of_x, jnp.stack(taps).reshape(kernel.shape)


_in_plane.defvjp(_in_plane_saving, _in_plane_gradients)


def _tapped(x, kernel, stride):
    *taps, _, outputs = kernel.shape
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:4], taps, stride, strict=True)]
    met = []
    for tap in itertools.product(*map(range, taps)):
        every = (slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, sizes, stride, strict=True))
        met.append(x[:, *every])
    met = jnp.concatenate(met, 4)
    return (met.reshape(-1, met.shape[4]) @ kernel.reshape(-1, outputs)).reshape(*met.shape[:4], outputs)


def _stacked(x, kernel, stride, front, depth):
    n, layers = x.shape[:2]
    planes, across, along, inputs, outputs = kernel.shape
    side_by_side = jnp.transpose(kernel, (1, 2, 3, 0, 4)).reshape(across, along, inputs, planes * outputs)
    y = _in_plane(x.reshape(n * layers, *x.shape[2:]), side_by_side, stride[1:])
    y = y.reshape(n, layers, *y.shape[1:3], planes, outputs)
    step, span = stride[0], (depth - 1) * stride[0] + 1
    total = jnp.zeros((n, depth, *y.shape[2:4], outputs), y.dtype)
    for plane in range(planes):
        first = plane - front  # layer that this plane of the kernel meets in the first layer of the outcome
        cut = (-first, first + span - layers, 0)
        zero = jnp.zeros((), y.dtype)
        shifted = lax.pad(y[..., plane, :], zero, ((0, 0, 0), cut, (0, 0, 0), (0, 0, 0), (0, 0, 0)))
        total += shifted[:, ::step]
    return total


def _folded(x, kernel, stride, front, depth):
    n, layers, sectors, rings, inputs = x.shape
    planes, across, along, _, outputs = kernel.shape
    plane = np.arange(layers)[:, None] - np.arange(depth) * stride[0] + front
    plane = np.where((plane >= 0) & (plane < planes), plane, planes)
    banded = jnp.concatenate([kernel, jnp.zeros((1, *kernel.shape[1:]), kernel.dtype)])[plane]
    banded = jnp.transpose(banded, (2, 3, 0, 4, 1, 5)).reshape(across, along, layers * inputs, depth * outputs)
    x = jnp.transpose(x, (0, 2, 3, 1, 4)).reshape(n, sectors, rings, layers * inputs)
    y = _in_plane(x, banded, stride[1:])
    return jnp.transpose(y.reshape(*y.shape[:3], depth, outputs), (0, 3, 1, 2, 4))


def transpose(
    x: Array, kernel: Array, stride: Steps = ONE, *, closed: bool, crop: tuple[int, int, int] = (0, 0, 0)
) -> Array:
    """x (N, Z, A, R, C), kernel (C, kz, ka, kr, O) -> (N, Z', A', R', O), each (size - 1) stride + k - 2 crop.

    closed: the A sectors are the whole circle, so that the outcome has A times the stride (its crop is not used), and
    rings go on through the axis. crop: cells that are cut off on both sides.
    """
    n, layers, sectors, rings, inputs = x.shape
    _, *taps, outputs = kernel.shape
    if closed and stride == ONE and max(taps) > 1 and _keeps_its_size(x, taps, crop):
        return _as_convolution(x, kernel, crop)
    y = x.reshape(-1, inputs) @ kernel.reshape(inputs, -1)
    if layers == sectors == rings == 1 and not closed and not any(crop):
        return y.reshape(n, *taps, outputs)
    y = y.reshape(n, layers, sectors, rings, *taps, outputs)
    y = _cut(_added(y, 1, 4, stride[0]), 1, crop[0])  # first, where most is added up at once
    y = _around(y, stride[1]) if closed else _cut(_added(y, 2, 4, stride[1]), 2, crop[1])
    beyond = min((taps[2] - 1 - crop[2]) // stride[2], rings) if closed else 0  # rings across the axis that reach here
    if beyond:
        y = jnp.concatenate([opposite(y[:, :, :, :beyond])[:, :, :, ::-1], y], 3)
    return _cut(_added(y, 3, 4, stride[2]), 3, crop[2], beyond * stride[2])


def _keeps_its_size(x, taps, crop) -> bool:
    """The outcome has about as many cells, so that a convolution multiplies hardly any zeros of the padding."""
    more = [k - 1 - 2 * c for k, c in zip(taps[::2], crop[::2], strict=True)]
    grown = math.prod((n + m) / n for n, m in zip((x.shape[1], x.shape[3]), more, strict=True))
    reach = [k - 1 - c for k, c in zip(taps[::2], crop[::2], strict=True)]
    return grown < 1.3 and min(reach) >= 0 and reach[1] <= x.shape[3]


def _as_convolution(x, kernel, crop):
    """`transpose` on a closed circle with a stride of 1: the convolution with the kernel turned around."""
    _, *taps, _ = kernel.shape
    layers, rings = taps[0] - 1 - crop[0], taps[2] - 1 - crop[2]
    centre = (taps[1] - 1) // 2
    padding = Padding((layers, layers), (taps[1] - 1 - centre, centre), (rings, rings))
    return convolve(x, jnp.flip(jnp.moveaxis(kernel, 0, 3), (0, 1, 2)), ONE, padding)


def _cut(y, axis, crop, before=0):
    return lax.slice_in_dim(y, before + crop, y.shape[axis] - crop, axis=axis)


def _added(y, axis, of_taps, stride):
    """Cells along `axis` spread over their taps: (size - 1) stride + k cells there, the axis of taps is gone."""
    size, taps = y.shape[axis], y.shape[of_taps]
    if taps == 1 == stride:
        return jnp.squeeze(y, of_taps)
    blocks = _blocks(y, of_taps, stride)
    total = 0.0
    for number, block in enumerate(blocks):
        around = [(0, 0)] * block.ndim
        around[axis] = (number, len(blocks) - 1 - number)
        total += jnp.pad(block, around)
    return lax.slice_in_dim(_merged(total, axis, of_taps), 0, (size - 1) * stride + taps, axis=axis)


def _around(y, stride):
    """Sectors (axis 2) spread over their taps (axis 4) around the circle: A stride sectors, taps centred."""
    taps = y.shape[4]
    total = sum(jnp.roll(block, number, 2) for number, block in enumerate(_blocks(y, 4, stride)))
    return jnp.roll(_merged(total, 2, 4), -(max(taps - stride, 0) // 2), 2)


def _blocks(y, of_taps, stride):
    """Taps in blocks as long as the stride, the last one filled with zeros."""
    taps = y.shape[of_taps]
    number = math.ceil(taps / stride)
    filling = [(0, 0)] * y.ndim
    filling[of_taps] = (0, number * stride - taps)
    return jnp.split(jnp.pad(y, filling), number, of_taps)


def _merged(y, axis, of_taps):
    """The axis of taps becomes the faster part of `axis`."""
    y = jnp.moveaxis(y, of_taps, axis + 1)
    return y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
