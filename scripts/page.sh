#!/bin/sh
# Make the library that the page carries again, from npm, and compare: debloat/report/vendor/README.md.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund d3-hierarchy@3.1.3 esbuild@0.28.2
echo 'export { hierarchy, treemap, treemapSquarify } from "d3-hierarchy";' >entry.js
npx esbuild entry.js --bundle --minify --format=iife --global-name=d3 --target=es2020 --outfile=made.js
if cmp made.js "$here/debloat/report/vendor/d3-hierarchy.min.js"; then
    echo "the same"
else
    cp made.js "$here/debloat/report/vendor/d3-hierarchy.min.js"
    cp node_modules/d3-hierarchy/LICENSE "$here/debloat/report/vendor/d3-hierarchy.LICENSE"
    echo "another: git diff shows it"
fi
