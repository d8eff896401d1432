"""Shells by name: one set for whoever asks, a script's reader and the gate alike (shells(5), Debian's packages)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

POSIX_SHELLS = frozenset(
    {
        *("sh", "ash", "bash", "bash-static", "dash", "ksh", "ksh93", "lksh", "mksh", "mksh-static", "posh", "rbash"),
        *("yash", "zsh"),
    }
)
"""Shells that read the grammar of sh(1), more or less of it."""

SHELLS = POSIX_SHELLS | {"busybox", "csh", "elvish", "fish", "nu", "pwsh", "sash", "tcsh", "xonsh"}
"""Programs that give whoever starts them a command line."""

INITS = frozenset({"tini", "dumb-init", "catatonit", "docker-init"})
"""Programs that run their arguments and forward signals: behind one a shell is still a bare shell."""

_INTERACTIVE = frozenset({"-l", "--login", "-i", "-li", "-il"})


def behind_inits(command: Sequence[str]) -> list[str]:
    """A container's command without the inits in front of it."""
    words = list(command)
    while words and posixpath.basename(words[0]) in INITS:
        words = [word for word in words[1:] if word != "--"]
    return words


def is_bare_shell(command: Sequence[str]) -> bool:
    """Whether a container's command, ENTRYPOINT and CMD together, is a shell that is given nothing to run."""
    words = behind_inits(command)
    return bool(words) and posixpath.basename(words[0]) in SHELLS and _INTERACTIVE.issuperset(words[1:])
