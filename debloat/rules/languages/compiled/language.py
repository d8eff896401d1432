"""C, C++ and what else compiles to machine code and has no packages of its own; compilers, linkers, build systems."""

from __future__ import annotations

from debloat.rules.language import Language, Leftovers, Runtime

LANGUAGE = Language(
    "C",
    suffixes=(
        *(".c", ".cc", ".cpp", ".cxx", ".c++", ".h", ".hh", ".hpp", ".hxx", ".h++", ".ipp", ".inl", ".tcc"),
        # Assembler, D, Fortran, Pascal, Ada, Haskell, OCaml, Nim, Zig, Vala.
        *(".s", ".S", ".d", ".f", ".f90", ".pas", ".adb", ".ads", ".hs", ".ml", ".nim", ".zig", ".vala"),
    ),
    compiled=True,
    runtimes=(
        # A compiler: nothing needs it at run time.
        Runtime(
            "GCC",
            r"(?:libexec|lib)/gcc/[^/]+/[\d.]+",
            ("cc1",),
            (("bin/*gcc*",),),
            (
                *("bin/*gcc*", "bin/*g++*", "bin/*c++*", "bin/cpp", "bin/*gcov*", "bin/*gfortran*", "bin/gdc"),
                *("bin/gccgo", "lib/gcc/**", "libexec/gcc/**", "include/c++/**", "share/gcc*/**"),
            ),
        ),
    ),
    build_programs=(
        *("ar", "as", "autoconf", "autoheader", "automake", "autoreconf", "aclocal", "bison", "c++", "c89", "c99"),
        *("cc", "clang", "clang++", "cmake", "cpp", "flex", "g++", "gcc", "gfortran", "gmake", "ld", "ld.bfd"),
        *("ld.gold", "libtool", "libtoolize", "m4", "make", "meson", "ninja", "nm", "objcopy", "objdump"),
        *("pkg-config", "pkgconf", "ranlib", "strip", "yacc"),
    ),
    leftovers=Leftovers(
        caches=(".ccache",),
        build_files=("CMakeCache.txt", "CMakeFiles", "config.status", ".libs", ".deps", "autom4te.cache"),
        build_marks=(
            *("Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "CMakeCache.txt", "configure", "build.ninja"),
            *("meson.build", "SConstruct", "configure.ac", "config.status"),
        ),
        build_suffixes=(".o", ".lo", ".a", ".la", ".obj", ".gcda", ".gcno"),
    ),
    rules=("rules",),
)
