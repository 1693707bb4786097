"""Scripts that are called by hand, `python -m benchmarks.NAME`, end as `calojax` does: one sentence for a bad input."""

import sys
from collections.abc import Callable

from calojax.errors import InputError


def call(main: Callable[[], None]) -> None:
    try:
        main()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
