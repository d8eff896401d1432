"""JavaScript and TypeScript on Node, their packages, and what npm, yarn, pnpm and bundlers leave behind."""

from __future__ import annotations

from debloat.rules.language import Language, Leftovers, Runtime, in_library

LANGUAGE = Language(
    "Node",
    suffixes=(".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx"),
    interpreters="node",
    runtimes=(
        Runtime(
            "Node",
            "bin",
            ("node",),
            (("include/node/*", "lib/node_modules/npm/*"),),
            (
                *("bin/node", "bin/nodejs", "bin/npm", "bin/npx", "bin/corepack", "bin/yarn*", "bin/pnpm*"),
                *("lib/node_modules/**", "include/node/**", "share/systemtap/**", "share/doc/node/**"),
                *("share/man/man1/node*", "CHANGELOG.md", "LICENSE", "README.md"),
            ),
        ),
    ),
    package_directories=("node_modules",),
    vendored=("bower_components",),
    stores=(in_library("nodejs|npm"),),
    package_managers=("npm", "npx", "yarn", "pnpm", "corepack"),
    build_programs=("babel", "esbuild", "grunt", "gulp", "rollup", "tsc", "webpack"),
    registry="npm",
    requested="requested",
    builders=frozenset(
        {
            *("npm", "npm-check-updates", "npx", "corepack", "yarn", "pnpm", "bun", "lerna", "nx", "turbo", "node-gyp"),
            *("node-pre-gyp", "@mapbox/node-pre-gyp", "prebuildify", "node-gyp-build", "typescript", "webpack"),
            *("webpack-cli", "rollup", "vite", "parcel", "parcel-bundler", "esbuild", "gulp", "gulp-cli", "grunt"),
            *("grunt-cli", "bower", "@angular/cli", "@vue/cli", "@nestjs/cli", "browserify", "@babel/cli", "n", "nvm"),
        }
    ),
    leftovers=Leftovers(
        caches=(
            *(".npm", ".yarn-cache", ".pnpm-store", ".node-gyp", ".parcel-cache", ".turbo", ".eslintcache"),
            ".node_repl_history",
        ),
        credentials=(".npmrc",),
        build_marks=("binding.gyp",),
    ),
    library=("/usr/share/nodejs/**", "/usr/share/node_modules/**"),
    rules=("rules",),
)
