"""The toy calorimeter of the judge's tests, judged once."""

from tests.showers_to_judge import draw, judged, toy

__all__ = ["draw", "judged", "toy"]
