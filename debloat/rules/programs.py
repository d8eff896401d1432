"""Where programs lie, and which of them build an image and do not serve in it: words that many rules share."""

from __future__ import annotations

from debloat.rules import languages

DIRECTORIES = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")
"""Directories of programs, with and without merged /usr (Debian policy 9.1.1, hier(7))."""

BUILD_TIME = frozenset(
    (
        *("apt", "apt-get", "apt-cache", "apt-key", "apt-mark", "aptitude", "add-apt-repository", "tasksel"),
        *("dpkg-buildpackage", "dpkg-reconfigure", "debconf-set-selections", "ucf", "update-rc.d"),
        *("locale-gen", "update-locale", "validlocale", "localedef"),
        *(program for language in languages.known() for program in language.build_programs),
    )
)
"""Package management and the tool chain: scripts left behind by a build name them, services do not.

They follow only from a script that ran while recording, or from the image's ENTRYPOINT, CMD and HEALTHCHECK.
"""
