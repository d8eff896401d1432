"""What requirements say: the names of distributions in metadata, in requirement files, on pip's command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.languages.python.requirements import normalised, requested, requirements


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Flask_Cors", "flask-cors"),
        ("zope.interface>=5,<7 ; python_version < '3.12'", "zope-interface"),
        ("uvicorn[standard]==0.23", "uvicorn"),
        ("old (>=1.0.*)", "old"),
        ("old >= 1.0.x", "old"),
        ("pinned==1.0 \\", "pinned"),
        ("pinned==1.0 --hash=sha256:0123", "pinned"),
        ("x  # a comment", "x"),
        ("tool @ git+https://example.org/acme/tool@v1", "tool"),
        ("tool @ https://example.org/acme/tool-1.0.zip", "tool"),
        ("git+https://example.org/acme/tool", ""),
        ("git+ssh://git@example.org/acme/tool@v1#egg=acme_tool", "acme-tool"),
        ("git+https://example.org/x#subdirectory=a&egg=acme_tool", "acme-tool"),
        ("https://example.org/a/zip-1.2.zip?x=1", "zip"),
        ("/wheels/flask_cors-4.0.1-py3-none-any.whl", "flask-cors"),
        ("flask_cors-4.0.1-py3-none-any.whl", "flask-cors"),
        ("flask_cors.whl", ""),
        ("./acme-tool-1.0.tar.gz", "acme-tool"),
        ("./directory", ""),
        ("directory/", ""),
        (".", ""),
        ("-r other.txt", ""),
        ("--index-url https://example.org", ""),
        ("# a comment", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_requirement(line: str, name: str) -> None:
    assert requested(line) == name
    assert list(requirements([line])) == ([name] if name else [])


def test_what_an_extra_needs_is_not_required() -> None:
    lines = ["a; extra == 'x'", 'b; python_version < "3" and (extra == "y")', "c ; sys_platform == 'win32'", "extra"]
    assert list(requirements(lines)) == ["c", "extra"]


@given(st.text(max_size=200) | st.text("ab[]()<>=!~;,@#:/. '\"extra", max_size=60))
def test_any_line_is_read(line: str) -> None:
    name = requested(line)
    assert name == normalised(name)
    assert set(requirements([line])) <= {name}
