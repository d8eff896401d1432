"""`python -m debloat`."""

import gc
import sys

from debloat.cli.main import main

code = main()
# At its end the interpreter looks for cycles among all that a run has made, to free what the end of the process frees.
gc.freeze()
sys.exit(code)
