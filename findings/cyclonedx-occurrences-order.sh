#!/bin/sh
# cyclonedx-python-lib 11.12.0: a component's evidence occurrences without a bom_ref are written in an order that changes
# from run to run, though the library sorts what it writes: they are kept in a set that is sorted by the reference first, and
# a reference without a value compares by identity. With a bom_ref each, the order is the same. Everything else of the bill
# (serial number, time) is fixed here. Seen: 12 runs without give more than one order, 12 runs with give one.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cyclonedx-python-lib==11.12.0
cat >"$work/bill.py" <<'PY'
import json, sys, uuid
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion

named = sys.argv[1] == "with"
places = [Occurrence(location=f"/usr/lib/{n}", bom_ref=n if named else None) for n in "abcdefgh"]
evidence = ComponentEvidence(occurrences=places)
component = Component(name="x", version="1", type=ComponentType.LIBRARY, bom_ref="x", evidence=evidence)
bill = Bom(components=[component], serial_number=uuid.UUID(int=1))
text = make_outputter(bill, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
print("".join(o["location"][-1] for o in json.loads(text)["components"][0]["evidence"]["occurrences"]))
PY
for kind in without with; do
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do "$work/venv/bin/python" "$work/bill.py" $kind; done | sort -u >"$work/$kind"
    echo "$kind a bom_ref: $(wc -l <"$work/$kind") orders in 12 runs, such as $(head -1 "$work/$kind")"
done
[ "$(wc -l <"$work/without")" -gt 1 ] && [ "$(wc -l <"$work/with")" -eq 1 ]
