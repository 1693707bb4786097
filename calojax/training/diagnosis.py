"""What to say when a loss or a gradient is not finite: the step, the phase, the group of parameters."""

import math
from collections.abc import Mapping

from calojax.errors import NotFinite


class NonFiniteLoss(NotFinite):
    """Training produced NaN or infinity; the run stopped and no checkpoint holds it."""


def check(step: int, phase: str, values: Mapping[str, float]) -> None:
    """Raise NonFiniteLoss if any of one step's values is not finite.

    values: by name, with `norm/<group>` the gradient norm of each top-level group of parameters.
    """
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if not bad:
        return
    groups = [name.split("norm/", 1)[1] for name in bad if "norm/" in name]
    terms = [f"{name} = {values[name]}" for name in bad if "norm/" not in name and "gradient_norm" not in name]
    where = f"the gradient of parameter group `{groups[0]}`" if groups else "every gradient is finite"
    others = f" (and of {len(groups) - 1} more)" if len(groups) > 1 else ""
    raise NonFiniteLoss(
        f"training stopped at step {step}, phase `{phase}`: "
        + (f"{where}{others} is not finite" if groups else f"the loss is not finite, but {where}")
        + (f"; {', '.join(terms)}" if terms else "; the loss was finite")
        + "; lower the learning rate or clip_norm, or look at the data of this step"
    )
