"""`python -m debloat.sensor.prebuild`: both binaries and the hash of what made them, into `bin`."""

from __future__ import annotations

import sys

from debloat.sensor import MACHINES, PREBUILT, SensorUnavailable, build, source_hash


def main() -> int:
    """Build for all machines; 0, or the exit code of SensorUnavailable."""
    PREBUILT.mkdir(exist_ok=True)
    for name in sorted(set(MACHINES.values())):
        path = PREBUILT / f"sensor-{name}"
        try:
            build(name, path)
        except SensorUnavailable as error:
            print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
            return error.exit_code
        path.with_suffix(".hash").write_text(source_hash() + "\n")
        print(f"{path} ({path.stat().st_size} bytes)", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
