"""What is said on a Facebook Page: visitors' posts, comments, recommendations, and posts that tag the Page.

API: https://developers.facebook.com/docs/graph-api/reference/page (a Page's access token).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Final

from pydantic import Field

from connectors import graph, reading
from connectors.base import Facts, Gap, Page
from connectors.facebook import posts
from connectors.graph import Listing, Row, newest, time_of
from pipeline.config.model import Duration

LIMIT: Final = (
    100  # objects of one answer at the most: https://developers.facebook.com/docs/graph-api/reference/page/feed
)


class FacebookSettings(graph.GraphSettings):
    """Which Page."""

    page: str = Field(pattern=r"^\d{1,20}$")
    """Number of the Page: in its settings under About, Page transparency."""
    recommendations: bool = True
    """Whether recommendations are heard: a Page can have them switched off."""
    tagged: bool = True
    """Whether posts of others that tag the Page are heard."""
    lookback: Duration = 604_800.0
    """How far back the very first poll goes."""


class Facebook(graph.GraphConnector[FacebookSettings]):
    """The cursor holds, for each listing and for the comments, the time in epoch seconds of the newest text."""

    name = "facebook"
    settings_type = FacebookSettings
    facts = Facts(
        auth="a Page's token",
        cursor="time of the newest text of every listing",
        changes="with `meta-webhook`",
        tested="a Graph of our own, recorded answers",
    )
    seen_limit: ClassVar[int] = 5_000
    rows = staticmethod(posts.rows)
    to_mention = staticmethod(posts.to_mention)

    async def fetch(self, cursor: str | None) -> Page:
        now, marks = int(self.clock().timestamp()), graph.places(cursor)
        found: list[Row] = []
        gaps: list[Gap] = []
        for edge, fields in self._edges():
            since = self._since(marks, edge, now)
            until = min(since, now - int(self.settings.watch)) if edge == "feed" else since
            down = await self._listing(f"{self.settings.page}/{edge}", fields, until, since=str(until))
            gaps += graph.gap(since, down, f"texts in `{edge}`")
            found += (row for row in down.rows if (time_of(row) or now) >= since)
            if edge == "feed":
                said = await self._comments(down.rows, self._since(marks, "comments", now), now, gaps)
                found += said
                marks["comments"] = newest(said, graph.whole(marks.get("comments")), now)
            marks[edge] = newest(down.rows, graph.whole(marks.get(edge)), now)
        page = self.settings.page
        named = ({**row, "earshot_page": page} for row in graph.in_order(found, now) if _author_of(row) != page)
        return self.page(named, json.dumps(marks) if any(marks.values()) else cursor, gap=graph.together(gaps))

    def _edges(self) -> Iterator[tuple[str, str]]:
        """Yield the listings that are wanted, with the fields to ask for."""
        yield "feed", posts.POST_FIELDS
        if self.settings.tagged:
            yield "tagged", posts.POST_FIELDS
        if self.settings.recommendations:
            yield "ratings", posts.RATING_FIELDS

    def _since(self, marks: Row, name: str, now: int) -> int:
        known = graph.whole(marks.get(name))
        return max(0, now - int(self.settings.lookback) if known is None else known - int(self.settings.overlap))

    async def _comments(self, rows: Sequence[Row], since: int, now: int, gaps: list[Gap]) -> list[Row]:
        """Return the comments since then. A post's `updated_time` moves with every comment, so only few are asked."""
        found: list[Row] = []
        for post in rows:
            changed = reading.timestamp(post.get("updated_time"))
            if "id" not in post or (changed is not None and changed.timestamp() < since):
                continue
            said = await self._listing(
                f"{post['id']}/comments", posts.COMMENT_FIELDS, since, filter="stream", order="reverse_chronological"
            )
            gaps += graph.gap(since, said, "comments")
            found += ({**row, "earshot_post": post["id"]} for row in said.rows if (time_of(row) or now) >= since)
        return found

    async def _listing(self, path: str, fields: str, until: int, **more: str) -> Listing:
        """Return a listing, newest first, down to that time."""
        params = {"fields": fields, "limit": str(LIMIT), **more, **graph.proof(self.settings)}
        url = f"{self.settings.base_url}/{self.settings.version}/{path}"
        return await graph.listing(self.http.get_json, url, params, until)

    async def check(self) -> str:
        now = int(self.clock().timestamp())  # nothing is newer, so that one part of the listing is enough
        down = await self._listing(f"{self.settings.page}/feed", posts.POST_FIELDS, now)
        return graph.words(self.page(down.rows, None))

    async def cursor_at(self, since: datetime) -> str | None:
        return json.dumps(dict.fromkeys(("feed", "comments", "tagged", "ratings"), int(since.timestamp())))

    def time_of(self, cursor: str | None) -> datetime | None:
        marks = graph.places(cursor)
        known = [mark for name in ("feed", "comments") if (mark := graph.whole(marks.get(name))) is not None]
        return graph.instant(min(known)) if known else None


def _author_of(row: Row) -> str:
    """Return the number of who wrote it: the Page's own posts and answers are not what is said about it."""
    who = row.get("from")
    return str(who.get("id")) if isinstance(who, dict) else ""
