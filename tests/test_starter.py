"""The debloat.toml to begin with: what is sure, that it is read back as it is meant, and that its comments are keys."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core import config
from debloat.core.model import Image, ImageConfig
from debloat.core.recipe import Settings
from debloat.starter import starter, suggested


def image(raw: dict[str, Any], history: tuple[str, ...] = ()) -> Image:
    return Image("shop:1", "sha256:0", "linux", "amd64", "", "", ImageConfig(raw), history=history, size=40_000_000)


def checked(*words: str, **more: Any) -> dict[str, Any]:
    return {"Healthcheck": {"Test": list(words), **more}}


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        ({}, {}),
        ({"ExposedPorts": {"8080/tcp": {}}}, {"http": [":8080/"]}),
        ({"ExposedPorts": {"5432/tcp": {}}}, {}),
        ({"ExposedPorts": {"80/tcp": {}, "443/tcp": {}}}, {}),
        ({"ExposedPorts": {"53/udp": {}}}, {}),
        (
            {
                "ExposedPorts": {"9000/tcp": {}},
                **checked("CMD-SHELL", "curl -f http://localhost:9000/up?x=1 || exit 1"),
            },
            {"http": [":9000/up?x=1"], "exec": ["/bin/sh -c 'curl -f http://localhost:9000/up?x=1 || exit 1'"]},
        ),
        (
            {"ExposedPorts": {"443/tcp": {}}, **checked("CMD", "curl", "-fk", "https://127.0.0.1/")},
            {"http": ["https://:443/"], "exec": ["curl -fk https://127.0.0.1/"]},
        ),
        # What the default asks and a named probe would not: nothing is named.
        ({"ExposedPorts": {"80/tcp": {}, "9/tcp": {}}, **checked("CMD", "curl", "http://localhost/")}, {}),
        (checked("CMD", "pg_isready"), {}),
        (checked("CMD", "x", StartPeriod=90_500_000_000), {"ready": {"seconds": 151}}),
        (checked("CMD", "x", StartPeriod=5_000_000_000), {}),
        (checked("NONE", StartPeriod=90_000_000_000), {}),
    ],
)
def test_what_is_sure(raw: dict[str, Any], keys: dict[str, Any]) -> None:
    assert suggested(image(raw)) == keys
    assert config.settings(tomllib.loads(starter(image(raw)))) == config.settings(keys)


def uncommented(text: str) -> str:
    """The text with all that is a key in a comment as a key."""
    return re.sub(r"(?m)^#(?=[a-z\"\[])", "", text)


FULL = {
    "Entrypoint": ["entry\u2028point", "\x7f"],
    "Cmd": ["shop", "a 'b\"\n"],
    "ExposedPorts": {"5432/tcp": {}, "53/udp": {}},
    "Volumes": {"/var/lib/shop": {}, "/": {}},
    "User": 'www"data\\',
    "WorkingDir": "/srv",
    "StopSignal": "SIGINT",
    **checked("CMD-SHELL", "pg_isready \\ \x00"),
}
HISTORY = (
    "RUN /bin/sh -c apt-get update && apt-get install -y curl=1 libfoo* 'gnupg' # buildkit",
    "RUN /bin/sh -c pip install Flask==2 && npm install -g @angular/cli && apt-get purge -y gnupg # buildkit",
)


@pytest.mark.parametrize("about", [None, image({}), image(FULL, HISTORY)], ids=["none", "bare", "full"])
def test_each_comment_that_looks_like_a_key_is_one(about: Image | None) -> None:
    text = uncommented(starter(about))
    got = config.settings(tomllib.loads(text), "debloat.toml", text)
    unset = [name for name in Settings.__dataclass_fields__ if getattr(got, name) == getattr(Settings(), name)]
    assert unset == ["levels", "request", "websocket", *([] if about and about.history else ["packages"])]


def test_what_the_image_says_of_itself_stands_above() -> None:
    text = starter(image(FULL, HISTORY))
    assert "#   EXPOSE       53/udp 5432/tcp\n" in text
    assert "#   VOLUME       / /var/lib/shop\n" in text
    assert '#volumes = ["data:/", "shop:/var/lib/shop"]\n' in text
    packages = re.findall(r'(?m)^#(\S+) = "run"$', text)
    assert packages == ["curl", '"pip:flask"', '"npm:@angular/cli"']


WORDS = st.text(st.characters(exclude_categories=()), max_size=9)
"""Lone surrogates too, which stand for bytes that are not UTF-8."""


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Cmd": st.lists(WORDS, max_size=3),
            "User": WORDS,
            "Volumes": st.dictionaries(WORDS, st.none(), max_size=2),
            "ExposedPorts": st.dictionaries(st.sampled_from(["80/tcp", "8080/tcp", "9/tcp"]), st.none(), max_size=2),
            "Healthcheck": st.fixed_dictionaries(
                {
                    "Test": st.lists(
                        WORDS
                        | st.sampled_from(
                            ["http://localhost/", "https://[::1]:8443/\ud800", "http://127.0.0.1:99999/"]
                        ),
                        max_size=3,
                    )
                }
            ),
        },
    )
)
def test_no_configuration_makes_a_file_that_cannot_be_read(raw: dict[str, Any]) -> None:
    text = starter(image(raw))
    text.encode()
    config.settings(tomllib.loads(uncommented(text)))
