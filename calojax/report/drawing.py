"""How figures look, and how they become part of a page. matplotlib's object interface only: no global state."""

import base64
import html
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax.errors import missing_extra
from calojax.evaluation import words
from calojax.evaluation.schema import Metrics

COLOURS = {"reference": "#1a1a1a", "generated": "#c8102e", "train": "#2f6f9f", "independent": "#7a7a7a"}
FILL = "#d9d9d9"
NAMES = {"reference": "reference", "generated": "generated", "train": "training showers"}
_OTHERS = ("#2f6f9f", "#d77a00", "#3b7d3b", "#7b4ea3", "#6b4a2b", "#00838f")
_STYLE = {
    "font.size": 11,
    "axes.labelsize": 12,
    "axes.titlesize": 11,
    "axes.linewidth": 0.9,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.size": 5,
    "ytick.major.size": 5,
    "xtick.minor.size": 2.5,
    "ytick.minor.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "calojax",
    "figure.dpi": 100,
}


class Picture(NamedTuple):
    """A figure of the page: caption (HTML), what a reader who cannot see it should know, and the image's data URI."""

    caption: str
    alt: str
    image: str


class Look(NamedTuple):
    """How a sample is drawn, and what it is called."""

    colour: str
    name: str
    dash: str = "-"


def look(sample: str) -> Look:
    """Of reference, generated or train, or of another generator, called `<its number>:<its name>`."""
    if sample in COLOURS:
        return Look(COLOURS[sample], NAMES.get(sample, sample), "--" if sample == "train" else "-")
    number, _, name = sample.partition(":")
    return Look(_OTHERS[int(number) % len(_OTHERS)], _plain(name))


def _plain(name: str) -> str:
    """A name as a label that shows it as it is: matplotlib sets what is between two $ as a formula, and leaves labels
    that begin with _ out of a legend."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


@contextmanager
def style() -> Iterator[None]:
    """The look of all figures: mplhep's ATLAS style where it is installed, with our sizes. Raises InputError without
    matplotlib."""
    try:
        with _no_home_needed():
            import matplotlib  # noqa: PLC0415
            import matplotlib.font_manager  # noqa: PLC0415
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    try:
        import mplhep  # noqa: PLC0415

        base = {
            k: v for k, v in dict(mplhep.style.ATLAS).items() if k.startswith(("font.", "mathtext.", "axes.unicode"))
        }
    except ImportError:
        base = {}
    settings: Any = base | _STYLE
    with matplotlib.rc_context(settings):
        yield


@contextmanager
def _no_home_needed() -> Iterator[None]:
    """matplotlib keeps its fonts in the home: without one it fails, and if it cannot write there it complains twice.
    Told of a place that is no folder it takes a temporary one."""
    try:
        Path.home()
    except RuntimeError:
        os.environ.setdefault("MPLCONFIGDIR", os.devnull)
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


def figure(width: float, height: float) -> Any:
    """A figure of this size in inches, drawn without any window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    made = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.08))
    FigureCanvasAgg(made)
    return made


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure of rows x columns places of this size in inches, and axes in each.

    Margins are fixed: measuring the labels of all axes takes longer than drawing them.
    """
    drawn = figure(width * columns, height * rows)
    drawn.set_layout_engine("none")
    left, right, bottom, top = 0.82, 0.12, 0.52, 0.3
    whole = np.array([width * columns, height * rows] * 2)
    axes = []
    for place in range(rows * columns):
        x, y = place % columns * width + left, (rows - 1 - place // columns) * height + bottom
        axes.append(drawn.add_axes(tuple(np.array([x, y, width - left - right, height - bottom - top]) / whole)))
    return drawn, axes


def ratio_panels(rows: int, columns: int, width: float, height: float) -> tuple[Any, list[tuple[Any, Any]]]:
    """The same with two axes in each place: for curves, and below for their ratio."""
    drawn, axes = panels(rows, columns, width, height)
    pairs = []
    for upper in axes:
        x, y, w, h = upper.get_position().bounds
        upper.set_position((x, y + 0.29 * h, w, 0.71 * h))
        lower = drawn.add_axes((x, y, w, 0.27 * h), sharex=upper)
        lower.yaxis.get_major_locator().set_params(nbins=3, prune="upper")
        upper.tick_params(labelbottom=False)
        pairs.append((upper, lower))
    return drawn, pairs


def picture(drawn: Any, caption: str, alt: str, *, raster: bool = False, dpi: int = 130) -> Picture:
    """A drawn figure as SVG, or as PNG where it holds images."""
    buffer = io.BytesIO()
    if raster:
        from PIL import Image  # noqa: PLC0415  (comes with matplotlib)

        drawn.savefig(buffer, format="png", dpi=dpi)
        few = (
            Image.open(buffer).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
        )  # colours: a quarter of the size
        few.putpalette([255 if part > 252 else part for part in few.getpalette() or ()])  # white stays white
        buffer = io.BytesIO()
        few.save(buffer, format="png", optimize=True)
    else:
        drawn.savefig(buffer, format="svg", metadata={"Date": None})
    kind = "png" if raster else "svg+xml"
    return Picture(
        caption, html.escape(alt), f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: `digits` significant ones, a dash for None."""
    if value is None or not np.isfinite(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 10**digits:
        return f"{value:.{digits}g}".replace("-", "−")
    if 10**digits <= abs(value) < 1e7:
        return f"{value:.0f}".replace("-", "−")
    power = int(np.floor(np.log10(abs(value))))
    return f"{value / 10**power:.{digits - 1}f}·10{_superscript(power)}".replace("-", "−")


def with_error(value: float | None, error: float | None) -> str:
    """value ± error, both to the error's second digit."""
    if value is None or not error or not np.isfinite([value, error]).all():
        return number(value)
    power = _power(value, error)
    if power:
        return f"({_fixed(value, error, power)} ± {_fixed(error, error, power)})·10{_superscript(power)}"
    return f"{_fixed(value, error)} ± {_fixed(error, error)}"


def rounded(value: float | None, error: float | None) -> str:
    """value to the digits that `with_error` would give a value of this error."""
    if value is None or not error or not np.isfinite([value, error]).all():
        return number(value)
    power = _power(value, error)
    return f"{_fixed(value, error, power)}·10{_superscript(power)}" if power else _fixed(value, error)


def _power(value: float, error: float) -> int:
    """The power of ten to write apart: 0 unless the number is tiny or huge."""
    power = int(np.floor(np.log10(max(abs(value), error))))
    return power if power < -3 or power > 5 else 0


def _fixed(value: float, error: float, power: int = 0) -> str:
    places = int(np.clip(1 - np.floor(np.log10(error / 10**power) + 1e-9), 0, 7))
    return f"{value / 10**power:.{places}f}".replace("-", "−")


def _superscript(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def palette(n: int) -> np.ndarray:
    """Colours (n, 4) from the faintest to the strongest: darker is more, for colour-blind readers and in print too."""
    from matplotlib import colormaps  # noqa: PLC0415

    return colormaps["inferno_r"](np.linspace(0.08, 1, n))


def layer_name(metrics: Metrics, position: int) -> str:
    """What a layer is called: by its id in the geometry; "" where there are no layers."""
    if words.on_grid(metrics):
        return ""
    return f"layer {int(metrics.curves['geometry.id'][position])}"


def layer_ticks(metrics: Metrics, axis: Any) -> None:
    """A horizontal axis of layer positions, named by their ids where there are few."""
    ids = metrics.curves["geometry.id"]
    axis.set_xlabel("layer")
    if len(ids) <= 12:
        axis.set_xticks(range(len(ids)), [str(int(one)) for one in ids])
