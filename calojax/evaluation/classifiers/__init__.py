"""Classifiers that tell generated showers from the reference: low-level, normed, high-level and convolutional.

`classify` is the test on showers, `classifier_test` the same on any features. The judge makes a `request`, of which
`work` and `seconds` say what it will take before `run` does it.
"""

from calojax import lazy

_HOME = {
    "Classified": "two_sample",
    "Request": "two_sample",
    "Work": "two_sample",
    "classifier_test": "two_sample",
    "classify": "two_sample",
    "possible": "inputs",
    "request": "two_sample",
    "run": "two_sample",
    "seconds": "speed",
    "work": "two_sample",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.names(__name__, _HOME)
