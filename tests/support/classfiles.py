"""Class files as compilers write them, as far as rules read them, and archives of them."""

from __future__ import annotations

import io
import zipfile

from debloat.rules.languages.java import source

PROCESS = "java/lang/ProcessBuilder"


def _utf8(text: str) -> bytes:
    data = text.encode()
    return b"\x01" + len(data).to_bytes(2, "big") + data


def class_file(*strings: str, uses: str = PROCESS, method: str = "start") -> bytes:
    """The head of a class file (JVMS 4) whose code uses a class, a method, a long number and some strings."""
    pool = _utf8(uses) + b"\x07\x00\x01" + _utf8(method) + b"\x05" + bytes(8)
    number = 6
    for text in strings:
        pool += _utf8(text) + b"\x08" + number.to_bytes(2, "big")
        number += 2
    return source.MAGIC + b"\0\0\0\x3d" + number.to_bytes(2, "big") + pool + b"\0\x21" + bytes(20)


def jar(**files: bytes) -> bytes:
    """An archive of files, by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()
