"""The command, and `python -m debloat`."""

import gc
import sys

from debloat.cli.main import main as run


def main() -> int:
    """Run the command and give its exit code, for a process that ends then.

    At its end the interpreter would look for cycles among all that a run has made, a tenth of a second and more, to
    free what the end of the process frees. LIEF wants that, and lists on standard error what was not freed.
    """
    code = run()
    if "lief" not in sys.modules:
        gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
