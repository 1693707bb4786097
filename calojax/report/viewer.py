"""The interactive viewer: pairs of showers in three dimensions, with everything it needs in the page."""

import base64
import json
from typing import Any

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report import frame
from calojax.report.drawing import palette

_SAMPLES = ("reference", "generated")
_KEYS = ("energy", "rows", "offsets", "cell", "deposit")
_PANEL = (
    '<figure data-part="{0}"><div class="stack"><canvas aria-hidden="true"></canvas>'
    '<canvas tabindex="0" role="application" aria-label="The {0} shower in three dimensions: arrow keys turn it, plus '
    'and minus zoom, 0 resets the view. Its numbers follow."></canvas></div>'
    '<figcaption aria-live="polite"></figcaption></figure>'
)


def section(metrics: Metrics) -> str:
    """The viewer as HTML with its program and its data."""
    n = len(metrics.curves["viewer.reference.energy"])
    return frame.template("viewer.html").substitute(
        words=f"{n} reference showers, evenly over the logarithm of the incident energy, each beside the generated "
        "shower of the nearest energy, from the same side and with the same colours.",
        panels="\n".join(_PANEL.format(name) for name in _SAMPLES),
        data=_embedded(_data(metrics)),
        script=frame.text("viewer.js"),
    )


def _data(metrics: Metrics) -> dict[str, Any]:
    """Layers (ids, edges in r and z in mm, alpha bins), the smallest energy that counts, colours, and the showers."""
    curves = metrics.curves
    places = zip(*(curves[f"geometry.{x}"] for x in ("id", "r_edges", "n_alpha", "z_edges")), strict=True)
    layers = [
        {"id": int(id), "r": r[np.isfinite(r)].tolist(), "alpha": int(alpha), "z": z.tolist()}
        for id, r, alpha, z in places
    ]
    samples = [_sample(name, {key: curves[f"viewer.{name}.{key}"] for key in _KEYS}) for name in _SAMPLES]
    threshold, colours = float(curves["geometry.threshold"]), palette(16)[:, :3].round(4).tolist()
    return {"layers": layers, "threshold": threshold, "colours": colours, "samples": samples}


def _sample(name: str, kept: dict[str, np.ndarray]) -> dict[str, Any]:
    """The showers of one sample: few numbers as they are, many in base64."""
    small = kept["cell"].max(initial=0) < 2**16
    return {
        "name": name,
        "energy": [float(f"{x:.6g}") for x in kept["energy"]],
        "rows": kept["rows"].tolist(),
        "offsets": kept["offsets"].tolist(),
        "cell": _packed(kept["cell"], "<u2" if small else "<u4", "Uint16Array" if small else "Uint32Array"),
        "deposit": _packed(kept["deposit"], "<f4", "Float32Array"),
    }


def _packed(values: np.ndarray, dtype: str, name: str) -> dict[str, str]:
    """Values as base64 of little-endian numbers, and the JavaScript array that reads them."""
    return {"type": name, "base64": base64.b64encode(values.astype(dtype).tobytes()).decode()}


def _embedded(data: dict[str, Any]) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
