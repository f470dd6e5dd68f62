"""What an Atom feed says is gone: `at:deleted-entry` of RFC 6721. Pure.

feedparser keeps the last one only, and takes what stands in it for the feed's own, so they are read apart. A document
that declares entities is not read: nothing that a feed declares is expanded.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final
from xml.parsers import expat

ELEMENT: Final = "http://purl.org/atompub/tombstones/1.0 deleted-entry"
MOST: Final = 2_000  # of one feed
_BEGIN: Final = re.compile(rb"<((?:[\w.-]+:)?deleted-entry)\b[^<>]*>")


class _Declared(Exception):  # noqa: N818 - caught below
    """A feed has a document type: none that is read needs one."""


def gone(body: bytes) -> list[dict[str, Any]]:
    """Return rows of the entries that a feed says are gone: `id`, and `updated`, when that was; until it breaks off."""
    if b"deleted-entry" not in body:  # nearly all
        return []
    found: list[dict[str, Any]] = []

    def begun(name: str, given: dict[str, str]) -> None:
        ref, when = given.get("ref", "").strip(), given.get("when", "").strip()
        if name == ELEMENT and ref and when and len(found) < MOST:
            found.append({"id": ref, "updated": when, "earshot_gone": True})

    def declared(*_: Any) -> None:
        raise _Declared

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = begun
    parser.StartDoctypeDeclHandler = declared
    with contextlib.suppress(expat.ExpatError, _Declared, ValueError):
        parser.Parse(body, True)
    return found


def without(body: bytes) -> bytes:
    """Return the feed without what `gone` reads; what is not closed stays."""
    kept, at = [], 0
    for begin in _BEGIN.finditer(body):
        if begin.start() < at:
            continue
        end = begin.end()
        if not begin[0].endswith(b"/>"):
            close = body.find(b"</" + begin[1], end)
            if close < 0:
                break
            end = body.find(b">", close) + 1 or len(body)
        kept.append(body[at : begin.start()])
        at = end
    return b"".join([*kept, body[at:]])
