"""What is said on Instagram under a business account's media, where it is tagged, and under hash tags.

API: https://developers.facebook.com/docs/instagram-platform (a token of the account, or of the Page it is tied to).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar, Final

from pydantic import Field, field_validator

from connectors import graph
from connectors.base import Facts, Gap, Page
from connectors.graph import Listing, Row, instant, time_of
from connectors.instagram import media
from pipeline.contract.errors import SourceUnavailableError

LIMIT: Final = 50  # objects of one answer: https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-hashtag/recent-media
MOST_TAGS: Final = 30  # different hash tags an account may ask for in seven days
REACH: Final = 86_400  # seconds that recent media of a hash tag go back


class InstagramSettings(graph.GraphSettings):
    """Which account, and which hash tags."""

    account: str = Field(pattern=r"^\d{1,20}$")
    """Number of the business account: `instagram_business_account` of the Page, `user_id` with Instagram login."""
    hashtags: tuple[str, ...] = Field(default=(), max_length=MOST_TAGS)
    """Hash tags to hear, with or without #; an account may ask for 30 different ones in seven days."""
    tagged: bool = True
    """Whether media of others that tag the account are heard."""

    @field_validator("hashtags")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tag.strip().lstrip("#").lower() for tag in value if tag.strip("# ")))


class Instagram(graph.GraphConnector[InstagramSettings]):
    """The cursor holds each own medium's count and newest time of comments, each tag's number and when it was asked."""

    name = "instagram"
    settings_type = InstagramSettings
    facts = Facts(
        auth="a business account's token",
        cursor="counts of comments, time of the last question",
        changes="no edits; no deletions",
        tested="a Graph of our own, recorded answers",
    )
    seen_limit: ClassVar[int] = 5_000
    rows = staticmethod(media.rows)
    to_mention = staticmethod(media.to_mention)

    async def fetch(self, cursor: str | None) -> Page:
        now, marks = int(self.clock().timestamp()), graph.places(cursor)
        known, ids, asked = (_part(marks, name) for name in ("media", "ids", "asked"))
        gaps: list[Gap] = []
        found, counts = await self._comments(known, now, gaps)
        if self.settings.tagged:
            since = now - int(self.settings.watch)
            down = await self._listing(f"{self.settings.account}/tags", media.MEDIA_FIELDS, since)
            found += (row for row in down.rows if (time_of(row) or now) >= since)
        for tag in self.settings.hashtags:
            ids[tag] = ids.get(tag) or await self._number(tag)
            last = graph.whole(asked.get(tag))
            if last is not None and now - last > REACH:
                gaps.append(Gap(instant(last), instant(now - REACH), f"#{tag}: a hash tag is shown one day back"))
            since = max(now - REACH, 0 if last is None else last - int(self.settings.overlap))
            path, account = f"{ids[tag]}/recent_media", self.settings.account
            down = await self._listing(path, media.TAGGED_FIELDS, 0, user_id=account)  # in no order: all of it is read
            if down.is_cut:
                gaps.append(Gap(instant(since), instant(now), f"#{tag}: more media than are read at once"))
            found += (row for row in down.rows if (time_of(row) or now) >= since)
            asked[tag] = now
        marks = {"media": counts, "ids": ids, "asked": asked}
        rows = (row for row in graph.in_order(found, now) if not self._is_own(row))
        return self.page(rows, json.dumps(marks) if any(marks.values()) else cursor, gap=graph.together(gaps))

    def _is_own(self, row: Row) -> bool:
        """The account's own media and answers are not what is said about it."""
        names = (row.get("from"), row.get("owner"), row.get("user"))
        return self.settings.account in [str(who.get("id")) for who in names if isinstance(who, dict)]

    async def _comments(self, known: Row, now: int, gaps: list[Gap]) -> tuple[list[Row], Row]:
        """Return the comments under media whose count has changed, and the counts to go on from.

        A count that falls and rises by as much is not seen; the next change brings what was missed, since the time of
        a medium's newest comment moves with its own comments only.
        """
        since = now - int(self.settings.watch)
        own = await self._listing(f"{self.settings.account}/media", media.OWN_FIELDS, since, since=str(since))
        found: list[Row] = []
        counts: Row = {}
        for one in own.rows:
            native, count = str(one.get("id")), graph.whole(one.get("comments_count"))
            before = known.get(native)
            last, newest = before if isinstance(before, list) and len(before) == 2 else (0, None)
            if (time_of(one) or now) < since:
                continue
            if count != last:
                start = since if newest is None else newest - int(self.settings.overlap)
                said = await self._listing(f"{native}/comments", media.COMMENT_FIELDS, start, time=media.last_said)
                gaps += graph.gap(start, said, "comments")
                above = media.Above(media=one)
                rows = [row for row in media.rows(said.rows, above) if (time_of(row) or 0) >= start]
                found += rows
                newest = graph.newest(rows, newest, now)
            counts[native] = [count, newest]
        return found, counts

    async def _number(self, tag: str) -> str:
        params = {"user_id": self.settings.account, "q": tag, **graph.proof(self.settings)}
        rows = graph.rows_of(await self.http.get_json(self._url("ig_hashtag_search"), params))
        if not rows or not rows[0].get("id"):
            raise SourceUnavailableError(f"{self.instance}: there is no number for a hash tag")
        return str(rows[0]["id"])

    def _url(self, path: str) -> str:
        return f"{self.settings.base_url}/{self.settings.version}/{path}"

    async def _listing(
        self, path: str, fields: str, until: int, time: Callable[[Row], int | None] = time_of, **more: str
    ) -> Listing:
        params = {"fields": fields, "limit": str(LIMIT), **more, **graph.proof(self.settings)}
        return await graph.listing(self.http.get_json, self._url(path), params, until, time)

    async def check(self) -> str:
        now = int(self.clock().timestamp())  # nothing is newer, so that one part of the listing is enough
        path = f"{self.settings.account}/{'tags' if self.settings.tagged else 'media'}"
        down = await self._listing(path, media.MEDIA_FIELDS, now)
        return graph.words(self.page(down.rows, None))


def _part(marks: Row, name: str) -> Row:
    found = marks.get(name)
    return found if isinstance(found, dict) else {}
