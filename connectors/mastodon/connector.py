"""Posts under hash tags on Mastodon, and on servers that speak its API (GoToSocial, Pleroma, Akkoma, Friendica).

API: https://docs.joinmastodon.org/methods/timelines/#tag (no key where the server shows its timelines to all). Read
forwards with `min_id`, which gives the oldest texts above a position, so a burst is walked through without a gap.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import ClassVar, Final

from pydantic import Field, SecretStr, field_validator

from connectors.base import Facts, Page, PollingConnector, PollingSettings, reveal
from connectors.mastodon import statuses, texts
from connectors.mastodon.statuses import Row, order
from pipeline.config.model import Duration
from pipeline.contract.errors import ConfigError, SourceRefusedError, SourceUnavailableError

LIMIT: Final = 40  # texts of one answer at the most: https://docs.joinmastodon.org/methods/timelines/#query-parameters
FULL: Final = 10  # from here on more may be waiting: some servers give few, and filters take some out of a page


class MastodonSettings(PollingSettings):
    """Which server, and which hash tags."""

    tags: tuple[str, ...] = Field(max_length=50)
    """Hash tags to hear, with or without #; none is everything public that the server sees."""
    server: str = "https://mastodon.social"
    """The server to ask: it knows what its people write and what reaches it from others."""
    token: SecretStr | None = None
    """Access token (scope read:statuses), for a server that shows its timelines to its people only."""
    indexable_only: bool = False
    """Whether to hear only authors who have agreed to be found in searches."""
    overlap: Duration = 300
    """How far each poll reaches back again: for texts that come late and for early edits."""

    @field_validator("server")
    @classmethod
    def _address(cls, value: str) -> str:
        return statuses.address(value)

    @field_validator("tags")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return statuses.bare_tags(value)


class Mastodon(PollingConnector[MastodonSettings]):
    """The cursor holds, for each tag, the newest id (`newest`), and where a walk through full pages is (`walk`).

    Ids are the server's own and only ever compared; a text is known by its `uri`, which is the same on all servers.
    """

    name = texts.SOURCE
    settings_type = MastodonSettings
    facts = Facts(
        auth="none; a token where a server wants one",
        cursor="newest id of every tag",
        changes="edits within `overlap`; no deletions",
        tested="GoToSocial's spec (Prism), recorded answers",
    )
    seen_limit: ClassVar[int] = 2_000
    rows_of = staticmethod(texts.rows_of)
    to_mention = staticmethod(texts.read)

    async def fetch(self, cursor: str | None) -> Page:
        newest, walk = statuses.places(cursor)
        found: dict[str, Row] = {}
        for tag in list(walk) or self.settings.tags or ("",):
            known = newest.get(tag, "")
            start = walk.pop(tag, None) or statuses.earlier(known, self.settings.overlap)
            rows = await self._timeline(tag, start)
            top = max((str(row.get("id") or "") for row in rows), key=order, default="")
            newest[tag] = max(known, top, key=order)
            is_more = len(rows) >= FULL or order(top) < order(known)
            if start and is_more and order(top) > order(start):
                walk[tag] = top
            found |= {
                str(row.get("uri") or id(row)): row
                for row in map(statuses.original, rows)
                if statuses.is_heard(row, indexable_only=self.settings.indexable_only)
            }
        page = self.page(statuses.with_threads(found.values()), cursor)
        return Page(
            sorted(page.mentions, key=lambda one: one.created_at),
            json.dumps({"newest": newest, "walk": walk}) if any(newest.values()) else cursor,
            is_full=bool(walk),
            rejected=page.rejected,
        )

    async def _timeline(self, tag: str, min_id: str | None) -> list[Row]:
        """Return the answer's texts: the oldest above `min_id`, the newest of all without one."""
        path, params = statuses.timeline(tag, min_id, LIMIT)
        token = reveal(self.settings.token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = await self.http.get_json(f"{self.settings.server}{path}", params, headers)
        except SourceRefusedError as error:
            hint = "" if token else "; a server that shows its timelines to its people only wants a `token`"
            raise SourceRefusedError(f"{error}{hint}") from None
        if not isinstance(answer.json, list):
            raise SourceUnavailableError(f"{self.instance}: the answer is no timeline")
        return [row for row in answer.json if isinstance(row, dict)]

    async def cursor_at(self, since: datetime) -> str | None:
        newest = {}
        for tag in self.settings.tags or ("",):
            for row in (await self._timeline(tag, None))[:1]:
                if statuses.time_of(str(row.get("id"))) is None:
                    raise ConfigError(f"{self.instance}: the ids of this server hold no time to go back to")
                newest[tag] = statuses.id_at(int(since.timestamp() * 1000), str(row["id"]))
        return json.dumps({"newest": newest, "walk": {}})

    def time_of(self, cursor: str | None) -> datetime | None:
        newest, walk = statuses.places(cursor)
        times = [time for one in (walk or newest).values() if (time := statuses.time_of(one)) is not None]
        return datetime.fromtimestamp(min(times) / 1000, UTC) if times else None
