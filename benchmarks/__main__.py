"""`python -m benchmarks` is `calojax bench`."""

import sys

from calojax import cli

if __name__ == "__main__":
    sys.exit(cli.main(["bench", *sys.argv[1:]]))
