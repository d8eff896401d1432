"""`python -m debloat`."""

import sys

from debloat.cli.main import main

sys.exit(main())
