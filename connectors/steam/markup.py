"""Steam's markup, as plain text. Pure.

Markup: https://steamcommunity.com/comment/Recommendation/formattinghelp. Only its own tags are taken out: other words in
brackets are the author's.
"""

from __future__ import annotations

import re
from typing import Final

from connectors.reading import Rich, addresses

_BLOCKS: Final = ("h1", "h2", "h3", "list", "olist", "quote", "code", "table", "tr", "hr", "p")
_INLINE: Final = ("b", "i", "u", "strike", "spoiler", "noparse", "url", "th", "td", "img", "previewyoutube", "emoticon")
_TAG: Final = re.compile(
    rf"\[(?P<end>/?)(?P<name>{'|'.join((*_BLOCKS, *_INLINE))}|\*)(?:=(?P<value>[^\]\n]{{0,2000}}))?[^\]\n=]{{0,200}}\]",
    re.IGNORECASE,
)


def plain(text: str | None) -> Rich:
    """Return a review as a reader would see it, with line breaks, and where its links lead."""
    whole = (text or "").replace("\r\n", "\n")
    links: list[str] = []

    def shown(found: re.Match[str]) -> str:
        name, value = found["name"].lower(), (found["value"] or "").strip(" \"'")
        if value.startswith(("http://", "https://")):
            links.append(value)
        if name == "*":
            return "\n- "
        if name in ("td", "th"):
            return " "
        return "\n" if name in _BLOCKS else ""

    bare = _TAG.sub(shown, whole)
    links += addresses(bare)
    bare = re.sub(r"[ \t]+", " ", bare)
    bare = re.sub(r"\n\s*- ", "\n- ", re.sub(r" ?\n ?", "\n", bare))
    return Rich(re.sub(r"\n{3,}", "\n\n", bare).strip(), tuple(dict.fromkeys(links)))
