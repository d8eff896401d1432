#!/bin/sh
# docker-compose 2.26.1 of Debian 13: `config` keeps a service's extension fields (x-...) in YAML and leaves them out with
# `--format json`, while those at the top of the file are in both. Who reads the resolved file as JSON loses what tools keep
# beside a service. No engine is needed. Seen: YAML has x-note and x-top, JSON x-top alone.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
package=docker-compose_2.26.1-4_$(dpkg --print-architecture).deb
curl -fsS -o "$work/$package" "http://deb.debian.org/debian/pool/main/d/docker-compose/$package"
dpkg-deb -x "$work/$package" "$work/root"
compose=$work/root/usr/libexec/docker/cli-plugins/docker-compose
cat >"$work/compose.yaml" <<'YAML'
name: shop
services:
  web:
    image: shop:1
    x-note: {owner: team}
x-top: {a: 1}
YAML
"$compose" version
for format in yaml json; do
    "$compose" -f "$work/compose.yaml" config --format $format >"$work/$format"
    echo "$format: $(grep -o 'x-[a-z]*' "$work/$format" | sort | tr '\n' ' ')"
done
grep -q x-note "$work/yaml" && grep -q x-top "$work/json" && ! grep -q x-note "$work/json"
