"""Single showers, drawn from the side: reference above, the generated one of the nearest energy below."""

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report.drawing import Picture, figure, layer_ticks, picture

_SAMPLES = ("reference", "generated")


def side_views(metrics: Metrics) -> Picture:
    """Energy per layer and signed radius; the upper half of each picture is the half circle around alpha = 0."""
    views = {s: [_side_view(metrics, x).T for x in metrics.curves[f"example.{s}.showers"]] for s in _SAMPLES}
    said = "seen from the side: energy by layer and ring, the half circle around alpha = 0 up, the other down."
    return _shown(metrics, views, _extent(metrics), "ring, signed", said)


def images(metrics: Metrics) -> Picture:
    """Energy per crystal of a grid."""
    n_x, n_y = (int(metrics.curves[f"geometry.{n}"][0]) for n in ("n_rings", "n_alpha"))
    views = {s: list(metrics.curves[f"example.{s}.showers"].reshape(-1, n_y, n_x)) for s in _SAMPLES}
    half = 0.5 * float(metrics.curves["geometry.pitch"])
    extent = (-half * n_x, half * n_x, -half * n_y, half * n_y)
    return _shown(metrics, views, extent, "y [mm]", "seen along their axis: energy by crystal.", "x [mm]")


def _shown(
    metrics: Metrics,
    views: dict[str, list[np.ndarray]],
    extent: tuple[float, float, float, float],
    y_label: str,
    said: str,
    x_label: str = "",
) -> Picture:
    """Pictures (rows, columns) of single showers of both samples; without an x label, columns are layers."""
    energies = {s: metrics.curves[f"example.{s}.energy"] for s in _SAMPLES}
    n = len(energies["reference"])
    drawn = figure(3.4 * n, 5.4)
    axes = drawn.subplots(2, n, sharex=True, sharey=True, squeeze=False)
    top = max(float(v.max()) for row in views.values() for v in row) or 1.0
    from matplotlib.colors import LogNorm  # noqa: PLC0415

    norm = LogNorm(max(top * 1e-5, 1e-6), top)
    for row, (sample, shown) in enumerate(views.items()):
        for column, view in enumerate(shown):
            axis = axes[row, column]
            image = axis.imshow(
                np.ma.masked_less_equal(view, 0),
                origin="lower",
                aspect="equal" if x_label else "auto",
                norm=norm,
                cmap="inferno_r",
                extent=extent,
                interpolation="nearest",
            )
            energy, visible = energies[sample][column], metrics.curves[f"example.{sample}.showers"][column].sum()
            axis.set_title(f"{energy / 1000:.3g} GeV, seen {visible / 1000:.3g} GeV", fontsize=10)
            axis.minorticks_off()
        axes[row, 0].set_ylabel(f"{sample}\n{y_label}")
    for axis in axes[-1]:
        if x_label:
            axis.set_xlabel(x_label)
        else:
            layer_ticks(metrics, axis)
    drawn.colorbar(image, ax=axes, label="energy [MeV]", pad=0.01)
    caption = f"{n} reference showers (above) and the generated showers of the nearest incident energy (below), {said}"
    return picture(drawn, caption, caption, raster=True)


def _side_view(metrics: Metrics, shower: np.ndarray) -> np.ndarray:
    """Energy (L, 2 x rings) of one shower (V,): rings of the far half downwards, of the near half upwards."""
    n_rings, n_alpha = metrics.curves["geometry.n_rings"], metrics.curves["geometry.n_alpha"]
    most = int(n_rings.max())
    view, first = np.zeros((len(n_rings), 2 * most)), 0
    for layer, (rings, sectors) in enumerate(zip(n_rings, n_alpha, strict=True)):
        cells = shower[first : first + rings * sectors].reshape(sectors, rings)
        up = np.abs((np.arange(sectors) + 0.5) * 2 * np.pi / sectors - np.pi) < np.pi / 2
        weight = np.where(up, 1.0, 0.0) if sectors > 1 else np.array([0.5])
        view[layer, most : most + rings] = weight @ cells
        view[layer, most - rings : most] = ((1 - weight) @ cells)[::-1]
        first += rings * sectors
    return view


def _extent(metrics: Metrics) -> tuple[float, float, float, float]:
    n_rings = metrics.curves["geometry.n_rings"]
    return (-0.5, len(n_rings) - 0.5, -float(n_rings.max()), float(n_rings.max()))
