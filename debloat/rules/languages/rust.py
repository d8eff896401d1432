"""Rust."""

from __future__ import annotations

from debloat.rules.language import Language, Leftovers, Runtime

LANGUAGE = Language(
    "Rust",
    suffixes=(".rs",),
    compiled=True,
    runtimes=(Runtime("Rust", "lib/rustlib", ("components",), (("bin/rustc", "bin/cargo"),), ("**",)),),
    package_managers=("cargo",),
    leftovers=Leftovers(
        places={"/root/.cargo/registry": "Cargo's registry", "/usr/local/cargo/registry": "Cargo's registry"}
    ),
)
