#!/bin/sh
# pytest-xdist 3.8.0 with pytest 9.2.0: tests marked with the same xdist_group are no longer run by one worker with
# --dist=loadgroup. The plug-in writes the group into an attribute of the test that pytest 9.2 does not read any more. Nothing is
# said, and pip installs the two together. With pytest 8.4.2 the four tests run in one worker. Seen: 9.2.0 two workers, 8.4.2 one.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/test_grouped.py" <<'PY'
import os, time, pytest

pytestmark = pytest.mark.xdist_group("alone")

@pytest.mark.parametrize("number", range(4))
def test_grouped(number):
    time.sleep(0.5)
    with open("workers", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
PY
for version in 9.2.0 8.4.2; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check pytest==$version pytest-xdist==3.8.0
    rm -f "$work/workers"
    (cd "$work" && "$work/$version/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist=loadgroup test_grouped.py >/dev/null)
    sort -u "$work/workers" >"$work/workers-$version"
    echo "pytest $version: $(tr '\n' ' ' <"$work/workers-$version")"
done
[ "$(wc -l <"$work/workers-9.2.0")" -eq 2 ] && [ "$(wc -l <"$work/workers-8.4.2")" -eq 1 ]
