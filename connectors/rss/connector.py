"""Any RSS or Atom feed: blogs, news, forums.

Formats: https://www.rssboard.org/rss-specification, RFC 4287 (Atom). Asked with ETag and Last-Modified, so that an
unchanged feed costs next to nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
from calendar import timegm
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import feedparser
from pydantic import Field

from connectors.base import Page, PollingConnector, PollingSettings, mention
from connectors.reading import Rich, from_html
from pipeline.config.model import Duration
from pipeline.contract.errors import InvalidMessageError, SourceUnavailableError
from pipeline.contract.events import Author, Kind, Mention


class RssSettings(PollingSettings):
    """Which feed."""

    url: str
    """Address of the feed."""
    poll_interval: Duration = Field(default=300.0, ge=0.05)
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    max_bytes: int = Field(default=5_000_000, ge=1000)
    """Largest feed that is read, decompressed."""


class Rss(PollingConnector[RssSettings]):
    """The cursor is what the server needs to say that nothing has changed: ETag, Last-Modified, a moved address.

    Which entries are new is known by their ids and revisions: a feed has no position.
    """

    name = "rss"
    settings_type = RssSettings
    seen_limit: ClassVar[int] = 2_000

    async def fetch(self, cursor: str | None) -> Page:
        known = _cursor(cursor)
        self.http.max_body = self.settings.max_bytes
        address = known.get("moved_to") or self.settings.url
        answer = await self.http.get_bytes(address, etag=known.get("etag"), last_modified=known.get("last_modified"))
        if answer.is_unchanged:
            return Page(cursor=cursor)
        try:
            entries = list(_entries(answer.body, answer.headers))
        except InvalidMessageError as error:
            raise SourceUnavailableError(f"{self.instance}: {error}") from None
        moved_to = answer.moved_to and answer.url
        kept = {
            "etag": answer.headers.get("etag"),
            "last_modified": answer.headers.get("last-modified"),
            "moved_to": moved_to or known.get("moved_to"),
        }
        page = self.page(entries, json.dumps({key: value for key, value in kept.items() if value}))
        oldest_first = sorted(page.mentions, key=lambda found: found.created_at)
        return Page(oldest_first, page.cursor if page.mentions or cursor else cursor, rejected=page.rejected)

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        return cls.unique(cls.attempt(entry, now) for entry in _entries(body))

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        title, body = _title(row), _body(row)
        link = row.get("link") or None
        if not title and not body.text:
            return None
        native = row.get("id") or link or _digest(title, body.text)
        published, updated = _time(row, "published"), _time(row, "updated")
        is_edit = published is not None and updated is not None and updated > published
        feed = row.get("earshot_feed") or {}
        return mention(
            cls.name,
            native,
            created_at=published or updated,
            now=now,
            text=body.text,
            title=title or None,
            kind=Kind.ARTICLE,
            revision=int(updated.timestamp() * 1000) if is_edit and updated else 0,
            url=link,
            author=_author(row, feed),
            language=_language(row, feed),
            conversation=f"{cls.name}:{row['thr_in-reply-to']['ref']}" if _is_reply(row) else None,
            in_reply_to=f"{cls.name}:{row['thr_in-reply-to']['ref']}" if _is_reply(row) else None,
            subject=feed.get("title") or None,
            tags=[str(tag.get("term") or tag.get("label") or "").lower().lstrip("#") for tag in row.get("tags", ())],
            links=(*((link,) if link else ()), *body.links),
        )


def _cursor(cursor: str | None) -> dict[str, str]:
    try:
        found = json.loads(cursor) if cursor else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _entries(body: bytes, headers: Any = None) -> Iterator[dict[str, Any]]:
    """Yield a feed's entries as it lists them. Raises InvalidMessageError when it is no feed.

    The bytes go in as a file: a body that begins with an address must not be fetched. Entities are not expanded by
    feedparser's reader, HTML is made safe by it.
    """
    sent = {"content-type": headers["content-type"]} if headers and "content-type" in headers else None
    try:
        parsed = feedparser.parse(io.BytesIO(body), response_headers=sent)
    except Exception as error:
        raise InvalidMessageError(f"the feed cannot be read ({type(error).__name__})") from None
    if not parsed.get("version") and not parsed.entries:
        raise InvalidMessageError("what the address sends is no RSS or Atom feed")
    for entry in parsed.entries:
        entry["earshot_feed"] = parsed.feed
        yield entry


def _title(row: Any) -> str:
    return _plain(row.get("title_detail"), row.get("title")).text


def _body(row: Any) -> Rich:
    """Return the text: the longest of what a feed calls content, summary or description."""
    found = [_plain(part, part.get("value")) for part in row.get("content", ())]
    found.append(_plain(row.get("summary_detail"), row.get("summary")))
    return max(found, key=lambda rich: len(rich.text))


def _plain(detail: Any, value: Any) -> Rich:
    if not isinstance(value, str):
        return Rich("")
    kind = detail.get("type", "text/html") if isinstance(detail, dict) else "text/html"
    return Rich(value.strip()) if kind == "text/plain" and "<" not in value else from_html(value)


def _time(row: Any, field: str) -> datetime | None:
    parsed = dict.get(row, f"{field}_parsed")
    try:
        return datetime.fromtimestamp(timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, TypeError, OSError):
        return None


def _author(row: Any, feed: Any) -> Author | None:
    detail = row.get("author_detail") or {}
    name = detail.get("name") or row.get("author") or feed.get("author") or None
    return Author(name=str(name)[:200], url=detail.get("href")) if name else None


def _language(row: Any, feed: Any) -> str | None:
    found = (row.get("title_detail") or {}).get("language") or row.get("language") or feed.get("language")
    return str(found).replace("_", "-").split("-")[0].lower()[:3] or None if found else None


def _is_reply(row: Any) -> bool:
    reply = row.get("thr_in-reply-to")
    return isinstance(reply, dict) and bool(reply.get("ref"))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:24]
