"""Bluesky posts with certain words, from the network's search, asked through the server of an account of yours.

API: the lexicon app.bsky.feed.searchPosts (an account; closed to others since January 2025). It gives the newest first and
promises no end of its pages: so each page is asked for by time, below the oldest post of the page before, and by cursor
within one instant, and where a server does not know `until`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, NamedTuple

from pydantic import Field, SecretStr, StringConstraints, field_validator

from connectors import auth, reading
from connectors.answers import Answer
from connectors.base import Facts
from connectors.bluesky import posts
from connectors.bluesky_search import session
from connectors.newest import DescentSettings, NewestFirst, Row, Sheet
from connectors.rereading import DAY, Reread, Rereading
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError

LIMIT: Final = 100  # posts of one answer at the most
BATCH: Final = 25  # addresses that app.bsky.feed.getPosts takes
WITHHELD: Final = 10  # pages without a post in a row: then the rest is left

Query = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]


class BlueskySearchSettings(DescentSettings):
    """Whose account, and which words."""

    queries: tuple[Query, ...] = Field(min_length=1, max_length=20)
    """What to search for, as in Bluesky's own search field: words, `"phrases"`, `#tag`, `from:handle`, `domain:acme.example`."""
    handle: Annotated[str, StringConstraints(min_length=3, max_length=300, strip_whitespace=True)]
    """Handle of the account, such as acme.bsky.social."""
    password: SecretStr
    """An app password of the account, never its own password."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] | None = None
    """Language to hear, such as en; none is all."""
    server: str = "https://bsky.social"
    """The server where the account is (its PDS); accounts of Bluesky's own are reached through bsky.social."""
    lookback: Duration = 86_400
    """How far back the very first poll goes."""
    overlap: Duration = 900
    """How far each poll reaches back again: for posts that come late into the index."""

    @field_validator("server")
    @classmethod
    def _address(cls, value: str) -> str:
        return (value if "://" in value else f"https://{value}").rstrip("/")

    @field_validator("handle")
    @classmethod
    def _bare(cls, value: str) -> str:
        return value.removeprefix("@")


class _Found(NamedTuple):
    """Posts with their times, the cursor of what follows, and whether that was left after pages without posts."""

    rows: Sequence[Row]
    times: Sequence[float]
    cursor: str | None
    is_left: bool = False


class BlueskySearch(NewestFirst[BlueskySearchSettings]):
    """The cursor is, for each query, the time of the newest post, and where a walk is: an instant, a cursor within it."""

    name = "bluesky-search"
    sources = (posts.SOURCE,)
    settings_type = BlueskySearchSettings
    facts = Facts(
        auth="handle and app password of an account",
        cursor="newest time of every query, and the place of a walk",
        changes="no edits; deletions when read again",
        tested="sessions of a real PDS, recorded answers",
    )
    seen_limit: ClassVar[int] = 5_000
    rereads = Rereading(ages=(DAY, 7 * DAY), batch=BATCH)
    to_mention = staticmethod(posts.from_view)

    def auth(self) -> auth.Auth:
        return session.AppPassword(self.settings.server, self.settings.handle, self.settings.password)

    def judge(self, answer: Answer) -> EarshotError | None:
        return session.judge(answer)

    def parts(self) -> Sequence[str]:
        return self.settings.queries

    async def sheet(self, part: str, at: str | None) -> Sheet:
        """Return a page of a query's posts, the newest first.

        `at` is a time in milliseconds below which it begins, a cursor within one instant, and the cursor of the page
        before: a server that does not know `until` is walked through by those.
        """
        until, within, spare = json.loads(at) if at else (None, None, None)
        found = await self._filled(part, until, within)
        is_ignored = until is not None and within is None and bool(found.times) and found.times[0] * 1000 >= until
        if is_ignored and spare:
            until, within = None, spare
            found = await self._filled(part, until, within)
        times, cursor = found.times, found.cursor
        low = int(times[-1] * 1000) + 1 if times else 0  # not inclusive: the instant itself once more
        following: tuple[int | None, str | None, str | None] | None = None
        if times and until is None and within is not None:
            following = (None, cursor, None) if cursor else None
        elif times and (until is None or low < until) and not is_ignored:
            following = (low, None, cursor)
        elif times and cursor and not is_ignored:  # a page of one instant
            following = (until, cursor, None)
        is_cut = found.is_left or (following is None and len(times) == LIMIT)  # cursors may end before the posts do
        named = list(zip(times, found.rows, strict=True))
        return Sheet(named, json.dumps(following) if following else None, is_cut=is_cut)

    async def _filled(self, query: str, until: int | None, within: str | None) -> _Found:
        """Return the first page with posts in it: of some all are withheld, as those of accounts that were taken down."""
        for _ in range(WITHHELD):
            body = await self._asked(query, until, within)
            rows, cursor = body["posts"], body.get("cursor") if body.get("cursor") != within else None
            if rows or not cursor:
                return _Found(rows, _times(rows), cursor)
            within = cursor
        return _Found([], [], None, is_left=True)

    async def _asked(self, query: str, until: int | None, within: str | None) -> dict[str, Any]:
        params = {"q": query, "sort": "latest", "limit": str(LIMIT)}
        params |= {"lang": self.settings.language} if self.settings.language else {}
        params |= {"until": _written(until)} if until is not None else {}
        params |= {"cursor": within} if within else {}
        return await self._get("searchPosts", params)

    async def _get(self, method: str, params: Any) -> dict[str, Any]:
        body = (await self.http.get_json(f"{self.settings.server}/xrpc/app.bsky.feed.{method}", params)).json
        return {**reading.mapping(body), "posts": self.listed(body, "posts")}

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Read posts again by their addresses; those that are gone are not in the answer."""
        rows = (await self._get("getPosts", {"uris": list(ids)}))["posts"]
        there = {str(row.get("uri")) for row in rows}
        return Reread(self.page(rows, None).mentions, [one for one in ids if one not in there])

    async def check(self) -> str:
        return await self.first()


def _times(rows: Sequence[Row]) -> list[float]:
    """Return the times by which posts are sorted, in epoch seconds, falling.

    The network sorts by what the author's program says, but not later than it was seen. One that says a time long past,
    and stands among later ones all the same, must not end a walk: each counts as no earlier than those below it.
    """
    found: list[float] = []
    for row in reversed(rows):
        said = reading.timestamp(reading.mapping(row.get("record")).get("createdAt"))
        seen = reading.timestamp(row.get("indexedAt"))
        at = min((time.timestamp() for time in (said, seen) if time is not None), default=0.0)
        found.append(max(at, found[-1]) if found else at)
    return found[::-1]


def _written(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
