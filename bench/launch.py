"""`launch.py FIGURES ARGV...`: run a command from a small process, and write what it used as JSON.

A process that was started from a large one counts the large one's memory as its own peak (the kernel carries the
highest of before the exec over), so the benchmarks start the tool from here. Needs no site-packages.
"""

import json
import os
import resource
import sys
import time


def main(figures: str, *argv: str) -> int:
    """Write {"code", "wall", "cpu", "rss"}: exit code, seconds, seconds of the processors, peak bytes."""
    begun = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, os.environ)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wall, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"code": code, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss * 1024}
    with open(figures, "w", encoding="utf-8") as file:
        json.dump(found, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
