"""The other side of `asking`: holds one library and answers.

    PYTHON -m benchmarks.peers.worker MODULE:CLASS

A line of JSON in, a line of JSON out, until the input ends. The first line out says the versions of what is loaded:
`{"versions": {...}}`. Each line in names a method of the class and its arguments, `{"do": "sampling", "n": 139}`; the
line out is what it returns, or `{"error": "..."}`. The class is made without arguments and has an attribute `packages`,
the distributions whose versions matter.
"""

import json
import os
import sys
from importlib import import_module, metadata
from typing import Any, TextIO


def main(name: str) -> None:
    answers = own_output()
    try:
        module, _, kind = name.partition(":")
        held = getattr(import_module(module), kind)()
        first = {"versions": {package: metadata.version(package) for package in held.packages}}
    except Exception as error:  # whatever a library does when it is loaded: the asker leaves it out by name
        say(answers, {"error": sentence(error)})
        return
    say(answers, first)
    for line in sys.stdin:
        say(answers, answer(held, json.loads(line)))


def own_output() -> TextIO:
    """Where answers go; all that libraries print goes to the standard error instead."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def answer(held: object, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return getattr(held, request.pop("do"))(**request)
    except Exception as error:  # the worker stays up for the next request
        return {"error": sentence(error)}


def say(answers: TextIO, line: dict[str, Any]) -> None:
    print(json.dumps(line), file=answers, flush=True)


def sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


if __name__ == "__main__":
    main(sys.argv[1])
