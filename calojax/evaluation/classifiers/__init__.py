"""Classifiers that tell generated showers from the reference: low-level, normed, high-level and convolutional.

`classify` is the test on showers, `classifier_test` the same on any features, `work` and `seconds` what it will take.
"""

from calojax import lazy

_HOME = {
    "Classified": "two_sample",
    "Work": "two_sample",
    "classifier_test": "two_sample",
    "classify": "two_sample",
    "possible": "inputs",
    "seconds": "speed",
    "work": "two_sample",
}
__all__ = sorted(_HOME)
__getattr__ = lazy.names(__name__, _HOME)
