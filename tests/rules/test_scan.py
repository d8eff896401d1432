"""Looking for literals one by one finds what the one expression of all of them finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.application import libraries, mentions
from debloat.rules.scan import Texts

SOURCES = st.lists(
    st.sampled_from(
        [
            *(b"exec", b"execFile", b"system", b"systemx", b"(", b" ", b"_", b"x", b".", b"Process", b"ProcessBuilder"),
            *(
                b"qx",
                b"import sh",
                b"from 'zx",
                b"open3",
                b"lib",
                b"libz",
                b".so",
                b".1",
                b"-",
                b"/",
                b"=>",
                b"\n",
                b";",
            ),
            *(b"dlopen", b"ffi.load", b"koffi.load", b"Native.load", b"Library", b"'sodium'", b'"z"', b"find_lib"),
        ]
    ),
    max_size=12,
).map(b"".join)

STARTS = re.compile(
    rb"subprocess|popen|spawn|execv|execl|exec(?:File|Sync|a)?\s*\(|system\s*\(|child_process|shell_exec|proc_open"
    rb"|passthru|Open3|open3|\bsystemx?\b|\bqx\b|IPC::|\bexec\b|ProcessBuilder|Process\b|plumbum|\bimport sh\b"
    rb"|os\.execute|from ['\"]zx"
)
SONAME = re.compile(rb"(?<![\w/.+-])(lib[\w+-][\w.+-]{0,60}?\.so(?:\.\d{1,4}){0,3})(?![\w.])")


@given(SOURCES)
def test_a_source_starts_programs_where_any_word_says_so(source: bytes) -> None:
    assert mentions.STARTS.stand_in(source) == (STARTS.search(source) is not None)


@given(SOURCES)
def test_sonames_are_those_that_are_no_part_of_another_name(source: bytes) -> None:
    assert set(libraries._sonames(source)) == {name.decode() for name in SONAME.findall(source)}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (b"ffi_lib 'sodium'", ("sodium",)),
        (b"xffi_lib 'sodium'", ()),
        (b"x = ffi.load('a1'); ffi.load('b2')", ("a1", "b2")),
        (b"koffi.load('libk.so.1')", ("libk.so.1",)),
        (b"FFI::CheckLib lib => 'zip'", ("zip",)),
        (b"glib => 'zip'", ()),
        (b"Native.loadLibrary('sodium', X.class)", ("sodium",)),
    ],
)
def test_calls_that_load_a_library_name_it(source: bytes, names: tuple[str, ...]) -> None:
    assert libraries._in_source(source) == names


def test_words_are_whole_and_fragments_need_not_be() -> None:
    texts = Texts(words=(b"one", (b"two", rb"\s+(\w+)")), fragments=(b"three",))
    assert all(texts.stand_in(source) for source in (b"one", b"a three b", b"xthreex"))
    assert not any(texts.stand_in(source) for source in (b"ones", b"a_one"))
    assert list(texts.groups(b"two a, two b, xtwo c")) == [b"a", b"b"]
