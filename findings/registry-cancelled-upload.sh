#!/bin/sh
# docker-registry (distribution) 2.8.2 of Debian 12: an upload that is given up by DELETE, which is answered 204, leaves
# _uploads/ID/hashstates/sha256/0, and takes `startedat` away. By that file the purge of old uploads knows their age; where it
# is missing they count as begun in the future (registry/storage/purgeuploads.go). So each upload that is given up properly
# leaves a file, and one that is just left alone would be purged.
# Seen: after POST three files, after DELETE one of them, the hash state.
set -eu
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
package=docker-registry_2.8.2+ds1-1_$(dpkg --print-architecture).deb
curl -fsS -o "$work/deb" "http://deb.debian.org/debian/pool/main/d/docker-registry/$package"
dpkg-deb -x "$work/deb" "$work/root"
cat >"$work/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:${PORT:-5977}"}
YAML
"$work/root/usr/bin/docker-registry" --version
"$work/root/usr/bin/docker-registry" serve "$work/registry.yml" >"$work/log" 2>&1 &
server=$!
base=http://127.0.0.1:${PORT:-5977}/v2
curl -fs --retry 20 --retry-connrefused --retry-delay 1 -o "$work/answer" "$base/"
files() { (cd "$work/data" && find . -type f | sed 's|.*_uploads/[^/]*/||' | sort | tr '\n' ' '); }
location=$(curl -fsS -X POST -D - -o "$work/answer" "$base/shop/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
begun=$(files)
status=$(curl -sS -X DELETE -o "$work/answer" -w '%{http_code}' "$location")
left=$(files)
echo "begun: $begun"
echo "DELETE $status: $left"
[ "$begun" = "data hashstates/sha256/0 startedat " ] && [ "$status" = 204 ] && [ "$left" = "hashstates/sha256/0 " ]
