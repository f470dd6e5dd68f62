"""Hacker News stories and comments, through the search API of Algolia.

API: https://hn.algolia.com/api (no key). An answer holds the newest 1000 hits at the most, whatever the page, so a
span of time with more is halved until it fits: nothing is left out that the index has.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from pydantic import Field

from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings, mention
from connectors.reading import from_html, timestamp, whole
from pipeline.config.model import Duration
from pipeline.contract.events import Author, Engagement, Kind, Mention

DEPTH: Final = 1000  # hits of one query at the most: https://github.com/algolia/hn-search/issues/230
KINDS: Final = ("story", "comment", "poll", "pollopt", "job")
SITE: Final = "https://news.ycombinator.com"


class HackerNewsSettings(PollingSettings):
    """What to search for."""

    query: str = ""
    """Words to search for, "phrases" in quotes; empty is everything that is written."""
    comments: bool = True
    """Whether comments are heard besides stories."""
    lookback: Duration = 86_400
    """How far back the very first search goes."""
    overlap: Duration = Field(default=300.0, le=3600)
    """How far each search reaches back again: the index learns of some texts late. At most an hour."""
    poll_interval: Duration = Field(default=30.0, ge=0.05)
    base_url: str = "https://hn.algolia.com/api/v1"


class HackerNews(PollingConnector[HackerNewsSettings]):
    """The cursor is the time, in epoch seconds, of the newest hit: texts of the same second come again, none is lost."""

    name = "hackernews"
    settings_type = HackerNewsSettings
    facts = Facts(
        auth="none",
        cursor="time of the newest text",
        changes="no edits; no deletions",
        tested="a search of our own, recorded answers",
    )
    seen_limit: ClassVar[int] = DEPTH

    async def fetch(self, cursor: str | None) -> Page:
        now = int(self.clock().timestamp())
        newest = int(cursor) if cursor else None
        since = now - int(self.settings.lookback) if newest is None else newest - int(self.settings.overlap)
        since, until, end = max(0, since), now + 60, now + 60
        while True:
            hits, count = await self._search(since, until)
            if count <= len(hits) or until - since <= 1:
                break
            if newest is not None and since < newest:  # the overlap waits until all that is new has been read
                since = newest
            else:
                until = max(since + 1, (since + until) // 2)
        gap = None
        if count > len(hits):
            span = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
            gap = Gap(*span, f"{count} texts in one second, of which the search shows {len(hits)}")
        is_full = until < end
        latest = max((time for hit in hits if (time := whole(hit.get("created_at_i"))) is not None), default=newest)
        if is_full:
            latest = max(latest or 0, until)
        rows = sorted(hits, key=lambda hit: (whole(hit.get("created_at_i")) or 0, str(hit.get("objectID"))))
        return self.page(rows, cursor if latest is None else str(latest), is_full=is_full, gap=gap)

    async def _search(self, since: int, until: int) -> tuple[list[dict[str, Any]], int]:
        """Return the hits from `since` until before `until`, newest first, and how many there are in all."""
        params = {
            "query": self.settings.query,
            "tags": "(story,comment)" if self.settings.comments else "story",
            "numericFilters": f"created_at_i>={since},created_at_i<{until}",
            "hitsPerPage": str(DEPTH),
            "typoTolerance": "false",
            "attributesToHighlight": "",
            "attributesToSnippet": "",
        }
        body = (await self.http.get_json(f"{self.settings.base_url}/search_by_date", params)).json
        hits = self.listed(body, "hits", "search result")
        return hits, whole(body.get("nbHits")) or len(hits)

    async def cursor_at(self, since: datetime) -> str | None:
        return str(int(since.timestamp()))

    def time_of(self, cursor: str | None) -> datetime | None:
        return datetime.fromtimestamp(int(cursor), UTC) if cursor else None

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        """Read a hit of the search, or an item of the Firebase API that Hacker News has besides."""
        is_hit = "objectID" in row
        if not is_hit and (row.get("type") not in KINDS or "id" not in row or row.get("deleted") or row.get("dead")):
            return None
        native = row["objectID"] if is_hit else row["id"]
        body = row.get("comment_text") or row.get("story_text") or row.get("text")
        rich = from_html(body)
        title = from_html(row.get("title")).text or None
        if not rich.text and not title:
            return None
        who = row.get("author") or row.get("by")  # the search's own items have no `objectID`
        is_comment = bool(row.get("comment_text")) or row.get("type") == "comment"
        story, parent = row.get("story_id"), row.get("parent_id") or row.get("parent")
        link = row.get("url") or None
        return mention(
            cls.name,
            native,
            created_at=timestamp(row.get("created_at_i") or row.get("time") or row.get("created_at")),
            now=now,
            text=rich.text,
            title=title,
            kind=Kind.COMMENT if is_comment else Kind.POST,
            url=f"{SITE}/item?id={native}",
            author=Author(id=str(who), handle=str(who), url=f"{SITE}/user?id={who}") if who else None,
            conversation=f"{cls.name}:{story or native}" if story or not is_comment else None,
            in_reply_to=f"{cls.name}:{parent}" if parent else None,
            engagement=_engagement(row),
            subject=from_html(row.get("story_title")).text or None,
            links=(*((link,) if link else ()), *rich.links),
        )


def _engagement(row: dict[str, Any]) -> Engagement | None:
    points = whole(row.get("points", row.get("score")))
    replies = whole(row.get("num_comments", row.get("descendants")))
    return None if points is None and replies is None else Engagement(likes=points, replies=replies)
