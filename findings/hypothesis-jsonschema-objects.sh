#!/bin/sh
# hypothesis-jsonschema 0.23.1 with Hypothesis 6.170.17: from_schema of an object with properties raises an AttributeError,
# for it uses a part of Hypothesis's inside that is no longer as it was; a list of integers is generated as before. pip installs
# the two together without a word: the package asks for hypothesis>=6.84.3. Seen: "made 5 values" of a list, and of an object
# "'many' object has no attribute 'more'".
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hypothesis==6.170.17 hypothesis-jsonschema==0.23.1
cat >"$work/generate.py" <<'PY'
import sys
from hypothesis import Phase, given, settings
from hypothesis_jsonschema import from_schema

SCHEMAS = {
    "list": {"type": "array", "items": {"type": "integer"}},
    "object": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}

@settings(max_examples=5, database=None, phases=[Phase.generate])
@given(from_schema(SCHEMAS[sys.argv[1]]))
def test(value):
    made.append(value)

made = []
try:
    test()
    print("made", len(made), "values")
except AttributeError as error:
    print("AttributeError:", error)
PY
cd "$work"
for kind in list object; do
    "$work/venv/bin/python" generate.py $kind >"$kind" 2>/dev/null
    echo "$kind: $(cat "$kind")"
done
grep -q '^made' list && grep -q "AttributeError: 'many' object has no attribute 'more'" object
