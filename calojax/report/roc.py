"""How well classifiers tell generated showers from real ones: ROC curves."""

import numpy as np

from calojax.evaluation.schema import Metrics
from calojax.report.drawing import COLOURS, Picture, panels, picture, with_error

WORDS = {
    "low": "cell energies",
    "low_normed": "shares in the layers",
    "high": "features",
    "cnn": "convolutional, cell energies",
}


def kinds(metrics: Metrics) -> list[str]:
    """The classifiers that were trained."""
    return [kind for kind in WORDS if f"roc.{kind}" in metrics.curves]


def roc(metrics: Metrics) -> Picture:
    """A panel for each classifier: share of real showers taken for real against that of generated ones."""
    chosen = kinds(metrics)
    drawn, axes = panels(1, len(chosen), 3.6, 3.4)
    said = []
    for axis, kind in zip(axes, chosen, strict=True):
        fpr, tpr = metrics.curves[f"roc.{kind}"]
        one = metrics[f"classifier.{kind}.auc"]
        axis.plot([0, 1], [0, 1], "--", color=COLOURS["independent"], lw=1)
        axis.plot(fpr, tpr, color=COLOURS["generated"])
        axis.fill_between(fpr, np.minimum(fpr, tpr), tpr, color=COLOURS["generated"], alpha=0.12, lw=0)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="generated taken for real", title=WORDS[kind])
        axis.text(0.95, 0.08, f"AUC {with_error(one.value, one.error)}", ha="right", transform=axis.transAxes)
        said.append(
            f"{WORDS[kind]}: AUC {with_error(one.value, one.error)}, "
            f"JSD {with_error(metrics[f'classifier.{kind}.jsd'].value, metrics[f'classifier.{kind}.jsd'].error)}"
        )
    axes[0].set_ylabel("real taken for real")
    caption = (
        f"Classifiers, mean over their seeds; the dashed line is one that cannot tell. {'; '.join(said)}. Scored on "
        f"{metrics[f'classifier.{chosen[0]}.auc'].n_reference:,} showers of each kind that no network had seen."
    )
    return picture(drawn, caption, f"ROC curves. {caption}")
