"""Entries of RSS and Atom feeds, read with feedparser, whatever their dialect calls things. Pure."""

from __future__ import annotations

import hashlib
import io
import re
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import feedparser

from connectors.reading import Rich, from_html, timestamp
from connectors.rss import tombstones
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Author

FIRST_FEED: Final = datetime(1990, 1, 1, tzinfo=UTC)  # an earlier time was misread: no feed is that old
URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_REFERENCE: Final = re.compile(rb"#([xX]?)([0-9a-fA-F]{4,8});")


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that was read: what it says of itself, its entries as it lists them, and those it says are gone."""

    head: Any
    rows: list[dict[str, Any]]


def read(body: bytes, headers: Mapping[str, str] | None = None) -> Feed:
    """Return a feed. Raises InvalidMessageError when it is none.

    The bytes go in as a file: a body that begins with an address must not be fetched. Entities are not expanded by
    feedparser's reader, HTML is made safe by it. A feed of some megabytes takes seconds.
    """
    body = _REFERENCE.sub(_whole, body)
    sent = {"content-type": headers["content-type"]} if headers and "content-type" in headers else None
    gone = tombstones.gone(body)
    try:
        parsed = feedparser.parse(io.BytesIO(tombstones.without(body) if gone else body), response_headers=sent)
    except Exception as error:
        raise InvalidMessageError(f"the feed cannot be read ({type(error).__name__})") from None
    if not parsed.get("version") and not parsed.entries:
        raise InvalidMessageError("what the address sends is no RSS or Atom feed")
    rows = [*parsed.entries, *gone]
    for row in rows:
        row["earshot_feed"] = parsed.feed
    return Feed(parsed.feed, rows)


def _whole(reference: re.Match[bytes]) -> bytes:
    """Return a character reference; half a surrogate pair, which feedparser cannot carry, as U+FFFD."""
    try:
        number = int(reference[2], 16 if reference[1] else 10)
    except ValueError:  # hexadecimal digits without an x
        return reference[0]
    return b"#xFFFD;" if 0xD800 <= number <= 0xDFFF else reference[0]


def title_of(row: Any) -> str:
    """Return the title as plain text, empty where there is none."""
    return _plain(row.get("title_detail"), row.get("title")).text


def body_of(row: Any) -> Rich:
    """Return the text: the longest of what a feed calls content, summary or description."""
    found = [_plain(part, part.get("value")) for part in row.get("content", ())]
    found.append(_plain(row.get("summary_detail"), row.get("summary")))
    return max(found, key=lambda rich: len(rich.text))


def _plain(detail: Any, value: Any) -> Rich:
    if not isinstance(value, str):
        return Rich("")
    kind = detail.get("type", "text/html") if isinstance(detail, dict) else "text/html"
    return Rich(value.strip()) if kind == "text/plain" and "<" not in value else from_html(value)


def global_id(native: Any, feed: Any) -> str | None:
    """Return an entry's id so that it is no other feed's: one that is no URI gets the name of its site in front."""
    if not isinstance(native, str) or not native or URI.match(native):
        return native or None
    site = urlsplit(str(feed.get("link") or feed.get("id") or "")).netloc
    return f"{site}/{native}" if site else native


def time_of(row: Any, field: str) -> datetime | None:
    """Return a time of an entry; None where it is missing, cannot be read, or is older than feeds are."""
    parsed, written = dict.get(row, f"{field}_parsed"), str(dict.get(row, field) or "").strip()
    try:
        if parsed and not written.isdecimal():
            at = datetime.fromtimestamp(timegm(parsed), UTC)
        else:  # numbers, and names of weekdays in other languages than English
            at = timestamp(written) or parsedate_to_datetime(written)
            at = (at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None
    return at if at >= FIRST_FEED else None


def author_of(row: Any, feed: Any) -> Author | None:
    """Return who wrote it; where an entry does not say, the feed's author, then the site itself."""
    detail = row.get("author_detail") or {}
    name = detail.get("name") or row.get("author") or detail.get("email") or feed.get("author")
    if name:
        return Author(name=codec.clean(str(name))[:200], url=detail.get("href"))
    site = from_html(feed.get("title")).text
    return Author(name=codec.clean(site)[:200], url=feed.get("link")) if site else None


def language_of(row: Any, feed: Any) -> str | None:
    """Return the language that the entry or its feed declares, as two or three letters."""
    found = (row.get("title_detail") or {}).get("language") or row.get("language") or feed.get("language")
    return str(found).replace("_", "-").split("-")[0].lower()[:3] or None if found else None


def is_reply(row: Any) -> bool:
    """Whether the entry answers another one (RFC 4685)."""
    reply = row.get("thr_in-reply-to")
    return isinstance(reply, dict) and bool(reply.get("ref"))


def digest(*parts: str) -> str:
    """Return what an entry is known by that has neither id nor link: a hash of its words."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:24]
