"""Shells by name: one set for whoever asks, a script's reader and the gate alike (shells(5), Debian's packages)."""

from __future__ import annotations

POSIX_SHELLS = frozenset(
    {
        *("sh", "ash", "bash", "bash-static", "dash", "ksh", "ksh93", "lksh", "mksh", "mksh-static", "posh", "rbash"),
        *("yash", "zsh"),
    }
)
"""Shells that read the grammar of sh(1), more or less of it."""

SHELLS = POSIX_SHELLS | {"busybox", "csh", "elvish", "fish", "nu", "pwsh", "sash", "tcsh", "xonsh"}
"""Programs that give whoever starts them a command line."""
