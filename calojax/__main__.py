"""`python -m calojax`."""

import sys

from calojax.cli import main

sys.exit(main())
