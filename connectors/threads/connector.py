"""What is said on Threads: posts found by keyword, posts that mention the account, replies under its own.

API: https://developers.facebook.com/docs/threads (a token of the account).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator

from connectors import graph
from connectors.base import Facts, Gap, Page
from connectors.graph import Listing, Row, newest, time_of
from connectors.limits import Limit
from connectors.threads import texts
from pipeline.config.model import Duration

LIMIT: Final = 100  # posts of one answer at the most: https://developers.facebook.com/docs/threads/keyword-search
SEARCHES: Final = 2_200  # of an account in any 24 hours, over all apps; those that find nothing do not count
SEARCH: Final = "search"  # what is counted as a search
OPENED: Final = 1_688_540_400  # the API refuses an earlier `since`


class ThreadsSettings(graph.GraphSettings):
    """What to search for, and what else to hear."""

    queries: tuple[str, ...] = Field(default=(), max_length=50)
    """Words to search for; one that begins with # is a topic tag."""
    mentions: bool = True
    """Whether posts that mention the account are heard."""
    replies: bool = True
    """Whether replies under the account's own posts are heard."""
    lookback: Duration = 86_400.0
    """How far back the very first poll goes."""
    watch: Duration = Field(default=259_200.0, ge=0, le=7_776_000)
    """How old a post of the account may be for replies to it to be read: each costs a request."""
    version: str = Field(default="v1.0", pattern=r"^v\d{1,3}\.\d$")
    """Version of the API."""
    base_url: str = "https://graph.threads.net"

    @field_validator("queries")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(query.strip() for query in value if query.strip("# ")))

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not (self.queries or self.mentions or self.replies):
            raise ValueError("nothing is heard: name `queries`, or leave `mentions` or `replies` on")
        slowest = len(self.queries) * 86_400 / SEARCHES
        if self.poll_interval < slowest:
            raise ValueError(
                f"Threads lets an account search {SEARCHES} times a day: with {len(self.queries)} queries set"
                f" `poll_interval` to {slowest:.0f}s or more"
            )
        return self


class Threads(graph.GraphConnector[ThreadsSettings]):
    """The cursor holds, for each query, the mentions and the replies, the time in epoch seconds of the newest text."""

    name = "threads"
    settings_type = ThreadsSettings
    facts = Facts(
        auth="an account's token",
        cursor="time of the newest text of every query",
        changes="deletions of the account's own with `meta-webhook`",
        tested="a Graph of our own, a recorded answer",
    )
    seen_limit: ClassVar[int] = 5_000
    rows = staticmethod(texts.rows)
    to_mention = staticmethod(texts.to_mention)

    def limits(self) -> Sequence[Limit]:
        return (Limit(SEARCHES, per=86_400.0, bucket=SEARCH),)

    async def fetch(self, cursor: str | None) -> Page:
        now, marks = int(self.clock().timestamp()), graph.places(cursor)
        found: list[Row] = []
        gaps: list[Gap] = []
        for query in self.settings.queries:
            name = f"query {query}"
            found += await self._since(marks, name, now, gaps, "keyword_search", texts.FIELDS, **_search(query))
        if self.settings.mentions:
            found += await self._since(marks, "mentions", now, gaps, "me/mentions", texts.REPLY_FIELDS)
        if self.settings.replies:
            found += await self._replies(marks, now, gaps)
        heard = (row for row in graph.in_order(found, now) if row.get("is_reply_owned_by_me") is not True)
        return self.page(heard, json.dumps(marks) if any(marks.values()) else cursor, gap=graph.together(gaps))

    async def _since(
        self, marks: Row, name: str, now: int, gaps: list[Gap], path: str, fields: str, **more: str
    ) -> list[Row]:
        """Return what a listing has since the newest that is known of it."""
        since = self._start(marks, name, now)
        down = await self._listing(path, fields, since, since=str(max(since, OPENED)), **more)
        gaps += graph.gap(since, down, f"texts in {path}")
        marks[name] = newest(down.rows, graph.whole(marks.get(name)), now)
        return [row for row in down.rows if (time_of(row) or now) >= since]

    async def _replies(self, marks: Row, now: int, gaps: list[Gap]) -> list[Row]:
        """Return the replies under own posts of the last days; which of them has new ones is not told."""
        since, until = self._start(marks, "replies", now), now - int(self.settings.watch)
        own = await self._listing("me/threads", texts.OWN_FIELDS, until, since=str(max(until, OPENED)))
        found: list[Row] = []
        for post in own.rows:
            if "id" not in post or post.get("has_replies") is not True or (time_of(post) or now) < until:
                continue
            said = await self._listing(f"{post['id']}/conversation", texts.REPLY_FIELDS, since, reverse="true")
            gaps += graph.gap(since, said, "replies")
            found += (row for row in said.rows if (time_of(row) or now) >= since)
        marks["replies"] = newest(found, graph.whole(marks.get("replies")), now)
        return found

    def _start(self, marks: Row, name: str, now: int) -> int:
        known = graph.whole(marks.get(name))
        return now - int(self.settings.lookback) if known is None else known - int(self.settings.overlap)

    async def _listing(self, path: str, fields: str, until: int, **more: str) -> Listing:
        params = {"fields": fields, "limit": str(LIMIT), **more, **graph.proof(self.settings)}
        url = f"{self.settings.base_url}/{self.settings.version}/{path}"
        ask = partial(self.http.get_json, bucket=SEARCH if path == "keyword_search" else "")
        return await graph.listing(ask, url, params, until)

    async def check(self) -> str:
        now = int(self.clock().timestamp())  # nothing is newer, so that one part of the listing is enough
        if not self.settings.queries:
            return graph.words(self.page((await self._listing("me/threads", texts.FIELDS, now)).rows, None))
        query = self.settings.queries[0]
        down = await self._listing("keyword_search", texts.FIELDS, now, **_search(query))
        return graph.words(self.page(down.rows, None))

    async def cursor_at(self, since: datetime) -> str | None:
        names = (*(f"query {query}" for query in self.settings.queries), "mentions", "replies")
        return json.dumps(dict.fromkeys(names, int(since.timestamp())))

    def time_of(self, cursor: str | None) -> datetime | None:
        known = [mark for value in graph.places(cursor).values() if (mark := graph.whole(value)) is not None]
        return graph.instant(min(known)) if known else None


def _search(query: str) -> dict[str, str]:
    """Return the parameters of a search, for words or for a topic."""
    mode = "TAG" if query.startswith("#") else "KEYWORD"
    return {"q": query.lstrip("#"), "search_type": "RECENT", "search_mode": mode}
