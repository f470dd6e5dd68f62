"""Any RSS or Atom feed: blogs, news, forums.

Formats: https://www.rssboard.org/rss-specification, RFC 4287 (Atom). Asked with ETag and Last-Modified, so that an
unchanged feed costs next to nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field, field_validator

from connectors.base import Facts, Page, PollingConnector, PollingSettings, mention
from connectors.rss import asking
from connectors.rss.entries import (
    author_of,
    body_of,
    digest,
    global_id,
    is_reply,
    language_of,
    read,
    time_of,
    title_of,
)
from pipeline.config.model import Duration
from pipeline.contract.events import Kind, Mention, State


class RssSettings(PollingSettings):
    """Which feed."""

    url: str
    """Address of the feed."""
    poll_interval: Duration = Field(default=300.0, ge=0.05)
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    max_bytes: int = Field(default=5_000_000, ge=1000)
    """Largest feed that is read, decompressed."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not re.match(r"https?://[^/\s]", url):
            raise ValueError("is no address — write https://host/path of the feed")
        return url


class Rss(PollingConnector[RssSettings]):
    """The cursor is what the server needs to say that nothing has changed: ETag, Last-Modified, a moved address.

    It holds for the `url` it came from only. Which entries are new is known by their ids and revisions: a feed has no
    position.
    """

    name = "rss"
    settings_type = RssSettings
    facts = Facts(
        auth="none",
        cursor="`ETag`, `Last-Modified`, ids seen",
        changes="edits and deletions where a feed says so",
        tested="feeds written here, recorded feeds",
    )
    seen_limit: ClassVar[int] = 2_000

    async def fetch(self, cursor: str | None) -> Page:
        known = _cursor(cursor)
        self.http.max_body = self.settings.max_bytes
        asked = await asking.ask(self.http, self.settings.url, known if known.get("url") == self.settings.url else {})
        if asked.feed is None:
            return Page(cursor=cursor)
        page = self.page(asked.feed.rows, json.dumps({"url": self.settings.url, **asked.marks}))
        oldest_first = sorted(page.mentions, key=lambda found: found.created_at)
        return Page(oldest_first, page.cursor if page.mentions or cursor else cursor, rejected=page.rejected)

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        return cls.unique(cls.attempt(entry, now) for entry in read(body).rows)

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        if row.get("earshot_gone"):
            return cls._withdrawn(row, now)
        title, body = title_of(row), body_of(row)
        if not title and not body.text:
            return None
        feed = row.get("earshot_feed") or {}
        link = row["link"] if str(row.get("link")).startswith(("http://", "https://")) else None
        native = global_id(row.get("id"), feed) or link or digest(title, body.text)
        published, updated = time_of(row, "published"), time_of(row, "updated")
        is_edit = published is not None and updated is not None and updated > published
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
            author=author_of(row, feed),
            language=language_of(row, feed),
            conversation=f"{cls.name}:{row['thr_in-reply-to']['ref']}" if is_reply(row) else None,
            in_reply_to=f"{cls.name}:{row['thr_in-reply-to']['ref']}" if is_reply(row) else None,
            subject=feed.get("title") or None,
            tags=[str(tag.get("term") or tag.get("label") or "").lower().lstrip("#") for tag in row.get("tags", ())],
            links=(*((link,) if link else ()), *body.links),
        )

    @classmethod
    def _withdrawn(cls, row: Any, now: datetime) -> Mention | None:
        """Return the mention that takes an entry back; None where nobody can tell when that was."""
        at, native = time_of(row, "updated"), global_id(row.get("id"), row.get("earshot_feed") or {})
        if at is None or native is None:
            return None
        revision = int(at.timestamp() * 1000)
        return mention(cls.name, native, created_at=at, now=now, state=State.DELETED, revision=revision)


def _cursor(cursor: str | None) -> dict[str, str]:
    try:
        found = json.loads(cursor) if cursor else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}
