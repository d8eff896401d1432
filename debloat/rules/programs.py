"""Where programs lie, and which of them build an image and do not serve in it: words that many rules share."""

from __future__ import annotations

from debloat.rules.languages.shell.evaluate import names

DIRECTORIES = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")
"""Directories of programs, with and without merged /usr (Debian policy 9.1.1, hier(7))."""

BUILD_TIME = names(
    "apt apt-get apt-cache apt-key apt-mark aptitude add-apt-repository dpkg-buildpackage dpkg-reconfigure tasksel "
    "ar as autoconf autoheader automake autoreconf aclocal bison c++ c89 c99 cc clang clang++ cmake cpp flex g++ gcc "
    "gfortran gmake ld ld.bfd ld.gold libtool libtoolize m4 make meson ninja nm objcopy objdump pkg-config pkgconf "
    "ranlib strip yacc debconf-set-selections ucf update-rc.d locale-gen update-locale validlocale localedef"
)
"""Package management and the tool chain: scripts left behind by a build name them, services do not.

They follow only from a script that ran while recording, or from the image's ENTRYPOINT, CMD and HEALTHCHECK.
"""
