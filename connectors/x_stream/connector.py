"""Posts on X that match rules, as they are written, through the filtered stream of API version 2.

API: https://docs.x.com/x-api/posts/filtered-stream/introduction (a bearer token; every post that arrives costs money).
The stream has no memory: what was written while nobody listened is asked of the recent search, by the newest id known.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, StringConstraints

from connectors import held, reading
from connectors.answers import as_json, place
from connectors.base import Facts, Gap, Page, Rejected, StreamingConnector
from connectors.x import ids, lookup, posts
from connectors.x.connector import DEPTH, MARGIN, X
from connectors.x.lookup import FIELDS, USD
from connectors.x.paid import Paid, PaidSettings
from connectors.x_stream import rules
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError

MAX_LINE: Final = 1_000_000  # bytes of one post with all that stands beside it
MAX_BROKEN: Final = 50  # lines in a row that cannot be read: then it is no stream of X's
LONGEST_WAIT: Final = 21_600.0

Rule = Annotated[str, StringConstraints(min_length=1, max_length=2048, strip_whitespace=True)]
Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+$")]


class XStreamSettings(PaidSettings):
    """What to listen for."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=1_000)]
    """Rules in X's own language, such as `acme kettle lang:en -is:retweet`; a post that matches one is heard."""
    fill: bool = True
    """Whether what was missed between two connections is asked of the recent search; it costs as if it had come."""
    silence: Duration = Field(default=25.0, ge=0.05)
    """How long nothing may arrive before the connection is taken for dead: X sends a sign every 20 seconds."""
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1, max_length=1)] = ("https://api.x.com",)
    """The address of the API; another one for tests."""


class XStream(Paid[XStreamSettings], StreamingConnector[XStreamSettings]):
    """The cursor is the newest id that has come."""

    name = "x-stream"
    sources = (posts.SOURCE,)
    settings_type = XStreamSettings
    facts = Facts(
        auth="bearer token of an app; pay per post",
        cursor="newest id; what came since then is searched for",
        changes="both, when read again",
        tested="X's spec of rules (Prism), a stream of our own",
    )
    seen_limit: ClassVar[int] = 5_000
    parse = X.parse
    to_mention = X.to_mention

    @property
    def api(self) -> str:
        return self.settings.endpoints[0]

    async def listen(self, cursor: str | None) -> AsyncIterator[Page]:
        known = cursor if ids.is_id(cursor) else None
        ours = await self._synced()
        lines = self._lines()
        try:
            first = await anext(lines)  # the stream is open: from here on nothing is missed
            if known is not None:
                async for page in self._missed(known):
                    known = page.cursor or known
                    yield page
            broken = 0
            while True:
                page, lost = self._read(first, known, ours)
                known, broken = page.cursor, broken + len(page.rejected) if not page.mentions else 0
                yield page
                await self._paid(len(page.mentions))
                if broken >= MAX_BROKEN:
                    raise SourceUnavailableError(f"{self._where} sends what is no stream of X's")
                if lost is not None:
                    raise lost
                first = await anext(lines)
        except StopAsyncIteration:
            raise SourceUnavailableError(f"{self._where} has ended the connection") from None
        finally:
            await lines.aclose()

    @property
    def _where(self) -> str:
        return place(self._url("/stream"))

    def _url(self, path: str) -> str:
        return f"{self.api}/2/tweets/search{path}"

    async def _synced(self) -> set[str]:
        """See to it that X has the rules of the settings; return their ids."""
        url, tag = self._url("/stream/rules"), rules.tag_of(self.instance)
        there = await self._rules(url)
        add, delete = rules.changes(there, self.settings.rules, tag)
        if delete:
            await self.http.request("POST", url, json={"delete": {"ids": delete}}, bucket="rules")
        if add:
            given = {"add": [{"value": value, "tag": tag} for value in add]}
            why = rules.refused(as_json(await self.http.request("POST", url, json=given, bucket="rules")))
            if why is not None:
                raise SourceRefusedError(f"X does not take a rule: {why} — look at `rules` in this source's settings")
            there = await self._rules(url)
        return rules.ours(there, self.settings.rules)

    async def _rules(self, url: str) -> list[dict[str, Any]]:
        body = (await self.http.get_json(url, bucket="rules")).json
        found = body.get("data") if isinstance(body, dict) else None
        return [row for row in found or () if isinstance(row, dict) and "id" in row]

    async def _lines(self) -> AsyncGenerator[list[bytes]]:
        """Yield the lines that have arrived together, empty ones too: they are signs of life."""
        held_back = b""
        parts = held.parts(self, self._url("/stream"), silence=self.settings.silence, params=FIELDS)
        async with contextlib.aclosing(parts):
            async for part in parts:
                *lines, held_back = (held_back + part).split(b"\n")
                if len(held_back) > MAX_LINE:
                    raise SourceUnavailableError(f"{self._where} sends a line without an end")
                yield [line.strip(b"\r ") for line in lines]

    def _read(self, lines: list[bytes], known: str | None, ours: set[str]) -> tuple[Page, EarshotError | None]:
        """Return what lines say to us, and the end of the stream where one announces it."""
        rows: list[dict[str, Any]] = []
        rejected: list[Rejected] = []
        lost: EarshotError | None = None
        for line in filter(None, lines):
            try:
                value = reading.json_value(line)
                data = value.get("data")
            except (ValueError, AttributeError):
                rejected.append(Rejected(line[: reading.MAX_REJECTED_BYTES], "x: a line is not readable"))
                continue
            if isinstance(data, dict) and self._is_ours(value, ours):
                rows += posts.rows_of([value], only={id(data)})
            elif data is None and value.get("errors"):
                lost = SourceUnavailableError(f"{self._where} ends the connection by itself")
        found = [str(row["id"]) for row in rows if ids.is_id(row.get("id"))]
        newest = max([*found, *((known,) if known else ())], key=int, default=None)
        page = self.page(rows, newest)
        return Page(page.mentions, newest, rejected=[*page.rejected, *rejected]), lost

    def _is_ours(self, value: dict[str, Any], ours: set[str]) -> bool:
        matched = {str(rule.get("id")) for rule in value.get("matching_rules") or () if isinstance(rule, dict)}
        return bool(matched & ours)

    async def _missed(self, known: str) -> AsyncIterator[Page]:
        """Yield what came since the newest id known, rule by rule; or that it was missed."""
        now = self.clock()
        since, floor = ids.time_of(known) or now, now - DEPTH + MARGIN
        if not self.settings.fill:
            if now - since > timedelta(seconds=self.settings.silence):
                yield Page(cursor=known, gap=Gap(since, now, "the stream was not open, and `fill` is off"))
            return
        if since < floor:
            yield Page(cursor=known, gap=Gap(since, floor, "the search of X goes back seven days"))
        oldest = max(int(known), int(ids.id_at(floor)))
        for rule in self.settings.rules:
            token: str | None = ""
            while token is not None:
                params = {"query": rule, "since_id": str(oldest), "max_results": str(lookup.MOST)}
                more = {"next_token": token} if token else {}
                body = await lookup.read(
                    self.http, self._url("/recent"), {**params, **more}, lookup.MOST, self.settings.price
                )
                data = reading.objects(body.get("data"))
                rows = list(posts.rows_of([body], only=set(map(id, data))))
                token = reading.mapping(body.get("meta")).get("next_token")
                yield self.page(sorted(rows, key=posts.order), known)

    async def _paid(self, count: int) -> None:
        """Count what has come; raise RateLimitedError when that was the last of the budget."""
        seconds, _ = (
            await self.http.account.ledger.take({USD: count * self.settings.price}, "") if count else (0.0, None)
        )
        if seconds:
            raise RateLimitedError("the budget of this source is used up", min(seconds, LONGEST_WAIT))

    def time_of(self, cursor: str | None) -> datetime | None:
        return ids.time_of(cursor)
