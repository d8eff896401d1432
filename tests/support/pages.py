"""Pages as browsers read them, and what holds of every page of ours."""

from __future__ import annotations

import base64
import hashlib
import html.parser

VOID = {"meta", "br", "input"}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "hidden", "type", "placeholder", "scope"),
    *("aria-label", "aria-hidden", "role", "value", "data-v", "data-state"),
    *("viewbox", "preserveaspectratio", "x", "width", "height"),
}
"""All that the page uses: nothing that loads, links, styles or listens."""


class Reader(html.parser.HTMLParser):
    """A page as a browser takes it apart: tags with their attributes, texts by the element they are in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.comments: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]

    def text(self) -> str:
        return "".join(data for tag, data in self.texts if tag not in ("script", "style"))


def must_be_whole(page: str) -> None:
    """Every element is closed, and nothing loads, links or submits."""
    page.encode("utf-8")
    reader = Reader(page)
    assert reader.open == []
    assert reader.comments == []
    assert {key for _, attributes in reader.tags for key in attributes} <= ATTRIBUTES
    assert (
        not {"a", "base", "embed", "form", "frame", "iframe", "img", "link", "object", "use"} & dict(reader.tags).keys()
    )
    assert "url(" not in page
    assert "@import" not in page
    assert page.count("<script>") == page.count("</script>") == page.count("<style>") == 1


def must_admit_its_own_only(page: str) -> None:
    """Its policy lets its own style and script in, by their digests, and nothing else."""
    reader = Reader(page)
    metas = [m for m in reader.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    (policy,) = [str(m["content"]) for m in metas]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = [data for where, data in reader.texts if where == tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
