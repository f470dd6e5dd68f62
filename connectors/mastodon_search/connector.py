"""Posts with certain words on Mastodon, from the search of a server where an account of yours is.

API: https://docs.joinmastodon.org/methods/search/ (a token with read:search; a server with a search index). It gives the
newest first, and `min_id` does not walk forwards there as it does in timelines: Mastodon 4.2 and later read `min_id` and
`max_id` as times, in whole seconds. So each poll walks down from the newest to what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, SecretStr, StringConstraints, field_validator

from connectors import auth, reading
from connectors.base import Facts
from connectors.mastodon import statuses, texts
from connectors.mastodon.connector import LIMIT
from connectors.mastodon.statuses import Row, order
from connectors.newest import DescentSettings, NewestFirst, Sheet
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError

FULL: Final = 10  # from here on more may be waiting: what the account mutes is taken out of a page
ONE_SECOND: Final = 400  # texts of one second that are paged through: more is a server that does not know `offset`

Query = Annotated[str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True)]


class MastodonSearchSettings(DescentSettings):
    """Which server, and which words."""

    queries: tuple[Query, ...] = Field(min_length=1, max_length=20)
    """What to search for: all words of a query must be there; `"phrases"`, `-word` and `language:en` are understood."""
    token: SecretStr
    """Access token of an account on this server, with the scope read:search."""
    server: str = "https://mastodon.social"
    """The server to ask: it finds what its people write and what reaches it from others."""
    lookback: Duration = 86_400
    """How far back the very first poll goes."""
    overlap: Duration = 900
    """How far each poll reaches back again: for texts that come late into the index, and for early edits."""

    @field_validator("server")
    @classmethod
    def _address(cls, value: str) -> str:
        return statuses.address(value)


class MastodonSearch(NewestFirst[MastodonSearchSettings]):
    """The cursor is, for each query, the time of the newest text, and where a walk is: an id, and texts to leave out."""

    name = "mastodon-search"
    sources = (texts.SOURCE,)
    settings_type = MastodonSearchSettings
    facts = Facts(
        auth="token of an account",
        cursor="newest time of every query, and the place of a walk",
        changes="edits within `overlap`; no deletions",
        tested="GoToSocial's spec (Prism), a server of our own",
    )
    seen_limit: ClassVar[int] = 5_000
    rows_of = staticmethod(texts.rows_of)
    to_mention = staticmethod(texts.read)

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.token)

    def parts(self) -> Sequence[str]:
        return self.settings.queries

    @staticmethod
    def rows_found(values: Iterable[Any]) -> Iterable[Any]:
        """Return what was written for all, each text once: the account's search also finds what only it may read."""
        found = {
            str(row.get("uri") or id(row)): row for row in map(statuses.original, values) if statuses.is_public(row)
        }
        return statuses.with_threads(found.values())

    async def sheet(self, part: str, at: str | None) -> Sheet:
        """Return a page of a query's texts, the newest first.

        A server whose index is away answers with nothing, too: in the middle of a walk the end is believed only when it
        is told twice, and the beginning is found in between.
        """
        max_id, _, skipped = (at or "").partition(" ")
        offset = int(skipped or 0)
        rows = await self._found(part, max_id, offset)
        is_end = bool(at) and not rows
        if is_end and not await self._found(part, "", 0):
            raise SourceUnavailableError(
                f"{self.instance}: the server's search finds nothing any more; is its index away?"
            )
        if is_end:
            rows = await self._found(part, max_id, offset)
        low = min((str(row.get("id") or "") for row in rows), key=order, default="")
        is_ignored = bool(max_id) and any(_is_ignored(row, max_id) for row in rows)
        below = _above(low) if low else ""
        following: str | None = None
        if below and (not max_id or order(below) < order(max_id)):
            following = f"{below} 0"
        elif len(rows) >= FULL:  # all of one second, or above it
            following = f"{max_id} {offset + LIMIT}"
        is_over = is_ignored or offset >= ONE_SECOND
        is_cut = is_over and len(rows) >= FULL
        return Sheet([(_time(row), row) for row in rows], None if is_over else following, is_cut=is_cut)

    async def _found(self, query: str, max_id: str, offset: int) -> list[Row]:
        params = {"q": query, "type": "statuses", "limit": str(LIMIT)}
        params |= {"max_id": max_id} if max_id else {}
        params |= {"offset": str(offset)} if offset else {}
        try:
            body = (await self.http.get_json(f"{self.settings.server}/api/v2/search", params)).json
        except SourceRefusedError as error:
            raise SourceRefusedError(f"{error}; the search wants a `token` with the scope read:search") from None
        return self.listed(body, "statuses", "texts that were found")

    async def check(self) -> str:
        said = await self.first()
        is_empty = "nothing that matches" in said
        return f"{said}; a server without a search index finds nothing, whatever is asked" if is_empty else said


def _is_ignored(row: Row, max_id: str) -> bool:
    """Whether a text would not have been found with `max_id`.

    Mastodon sorts by ids, which hold when a text came to the server, and filters by when it was written: one of another
    server that came late stands above `max_id` rightly.
    """
    if order(str(row.get("id") or "")) < order(max_id):
        return False
    time, written = statuses.time_of(max_id), reading.timestamp(row.get("created_at"))
    return time is None or written is None or written.timestamp() * 1000 >= time


def _above(found: str) -> str:
    """Return the first id of the second after this one's: below it lies all of that second. Others as they are."""
    time = statuses.time_of(found)
    return found if time is None else statuses.id_at((time // 1000 + 1) * 1000, found)


def _time(row: Row) -> float | None:
    """Return the time by which texts are found, in epoch seconds: that of the id, else that of the writing."""
    time = statuses.time_of(str(row.get("id") or ""))
    if time is not None:
        return time / 1000
    written = reading.timestamp(row.get("created_at"))
    return None if written is None else written.timestamp()
