"""`python -m debloat`."""

import sys

from debloat.cli import main

sys.exit(main())
