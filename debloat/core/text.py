"""Small words for people: sizes, counts, names that are safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text without anything a terminal acts on: control characters and lone surrogates are written as escapes."""

    def safe(char: str) -> str:
        if char == "\n" or char.isprintable():
            return char
        code = ord(char)
        return f"\\x{code & 0xFF:02x}" if code < 0x100 or 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

    return "".join(map(safe, text))


def name(path: str) -> str:
    """A path as one printable word of a line: line ends escaped too."""
    return printable(path).replace("\n", "\\n")


def size(count: int) -> str:
    """Bytes for people, decimal as docker prints them: `82.3 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def percent(part: int, whole: int) -> str:
    """A part of a whole for people: `12 %`; `-` of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


def saving(part: int, whole: int) -> str:
    """What is saved of a whole, signed as a change: `-87 %`; `+2 %` where it grew."""
    if not whole:
        return "-"
    change = round(100 * (part - whole) / whole)
    if change == -100 and part:
        return "-99.9 %"
    return f"{change:+d} %" if change else "0 %"


def count(number: int, word: str) -> str:
    """`1 file`, `2 files`, `1,234 files`."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")
