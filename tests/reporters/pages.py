"""Pages taken apart without a browser: what a reader without JavaScript gets, what is packed for others."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """The tags, visible text, scripts and payloads of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.payloads: dict[str, str] = {}
        self._inside: tuple[str, dict[str, str]] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag in ("script", "style"):
            self._inside = (tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.words.append(data)
        elif self._inside[0] == "script" and "data-op" in self._inside[1]:
            self.payloads[self._inside[1]["data-op"]] = data
        elif self._inside[0] == "script":
            self.scripts.append(data)

    @property
    def text(self) -> str:
        """The visible text, runs of space made one."""
        return re.sub(r"\s+", " ", " ".join(self.words))

    def details(self, op: str) -> dict[str, Any]:
        """What is packed for one op."""
        data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(self.payloads[op])))
        return data

    def attributes(self, name: str) -> list[str]:
        """The values of an attribute wherever it occurs."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]
