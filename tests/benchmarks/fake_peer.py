"""A library that `tests/benchmarks/test_peers.py` asks; loaded by a worker."""

import os


class Fake:
    packages = ("numpy",)

    def doubled(self, n):
        print("a library that talks")
        return {"twice": 2 * n, "threads": os.environ["OMP_NUM_THREADS"]}

    def broken(self):
        raise ValueError("it cannot\nbe done")

    def gone(self):
        os.write(2, b"the last words\n")
        os._exit(3)


class Unloadable:
    def __init__(self):
        raise ImportError("no such library")
