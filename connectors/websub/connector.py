"""RSS and Atom feeds, pushed by the hubs they name, and asked for where no hub does.

Rules: https://www.w3.org/TR/websub/. What an entry becomes is the business of the source rss.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from connectors import places
from connectors.base import Facts, Listening, Page, PollingConnector, Publish
from connectors.inbound import IgnoredError, Inbound, NotAcceptedError, delivery_of
from connectors.newest import in_order
from connectors.rss import asking, entries
from connectors.rss.connector import Rss
from connectors.websub import hubs
from connectors.websub.book import Book
from connectors.websub.discovery import announced
from connectors.websub.feeds import EARLY, Feeds
from connectors.websub.settings import FeedSettings, WebSubSettings
from connectors.websub.signature import is_signed
from connectors.websub.subscriptions import Subscription
from pipeline.contract.errors import (
    InvalidMessageError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)

AT_ONCE: Final = 8  # feeds that are asked for at the same time: each may fill a body in memory
SOON: Final = 0.05
WAKE: Final = 60.0  # seconds after which is looked at the latest whether something is due: a hub may have refused us
ERRORS: Final = (SourceUnavailableError, RateLimitedError, SourceRefusedError)


class WebSub(Inbound[WebSubSettings], PollingConnector[WebSubSettings]):
    """The cursor is what each feed's server needs to say that nothing has changed, and what hubs have promised."""

    name = "websub"
    sources = (Rss.name,)
    settings_type = WebSubSettings
    facts = Facts(
        auth="none; a secret of your own",
        cursor="`ETag`, `Last-Modified`, leases, ids seen",
        changes="edits and deletions where a feed says so",
        tested="a hub of our own over loopback",
    )
    seen_limit: ClassVar[int] = 10_000
    is_named = True
    parse = Rss.parse
    to_mention = Rss.to_mention

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.http.max_body = self.settings.max_body
        self._book = Book(self.settings)
        self._feeds = Feeds(self.settings, self._book)
        self._cursor: str | None = None
        self._is_listening = False

    def _now(self) -> float:
        return self.clock().timestamp()

    # What hubs do.

    async def serve(self, publish: Publish, listening: Listening) -> None:
        def told(address: str) -> None:
            self._is_listening = True
            listening(address)

        try:
            await super().serve(publish, told)
        finally:
            self._is_listening = False

    def challenge_at(self, name: str, query: Mapping[str, str]) -> str:
        text = self._book.challenge(name, query, self._now())
        if text is None:
            raise NotAcceptedError("nobody has asked for this here", 404)
        return text

    async def taken_at(self, name: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:  # noqa: ARG002 - hubs sign no time
        one = self._book.get(name)
        if one is None:
            raise NotAcceptedError("this is no address of a subscription", 404 if name else 403)
        if one.is_leaving:
            raise NotAcceptedError("this subscription is over", 410)
        if not is_signed(headers.get("x-hub-signature", ""), body, self._book.secret(one)):
            raise IgnoredError
        page = self.page(await self._rows(one, headers, body), None, delivery=delivery_of(body))
        self._feeds[one.feed].pushed(page.mentions)
        return in_order(page)

    async def _rows(self, one: Subscription, headers: Mapping[str, str], body: bytes) -> Sequence[Any]:
        """Return the entries that were brought; where there is no feed but a sign of news, those of the feed."""
        try:
            kind = {"content-type": headers["content-type"]} if "content-type" in headers else None
            return (await asyncio.to_thread(entries.read, body, kind)).rows
        except InvalidMessageError:
            pass
        try:
            asked = await asking.ask(self.http, one.feed, {})
        except SourceRefusedError as error:  # the hub is to come again
            raise SourceUnavailableError(str(error)) from None
        return asked.feed.rows if asked.feed is not None else ()

    def receipt(self, page: Page) -> dict[str, Any]:  # noqa: ARG002 - it would tell whether the signature was right
        return {}

    # What we do.

    def resume(self, cursor: str | None) -> None:
        self._book.resume(places.read(cursor), self._now())

    async def fetch(self, cursor: str | None) -> Page:
        if cursor != self._cursor:  # what was given last was not kept, or another process was here
            self.resume(cursor)
            self._feeds.forget()
        marks, turns = places.read(cursor).get("feeds", {}), asyncio.Semaphore(AT_ONCE)
        pages = await asyncio.gather(*(self._ask(feed, marks, turns) for feed in self._feeds.due(self._now())))
        await self._ask_hubs()
        if self.http.metrics is not None:
            for state, count in self._feeds.counted(self._now()).items():
                self.http.metrics.source_feeds.labels(self.instance, state).set(count)
        if self._feeds.error is not None:
            raise self._feeds.error
        kept = {feed.url: marks[feed.url] for feed in self.settings.feeds if feed.url in marks}
        self._cursor = places.written({"feeds": kept, **self._book.written()})
        mentions = [one for page in pages for one in page.mentions]
        rejected = [one for page in pages for one in page.rejected]
        return in_order(Page(mentions, self._cursor, rejected=rejected))

    def due_in(self, now: datetime) -> float | None:
        at = now.timestamp()
        asked = [one.due_at(at) for one in self._book.awaiting(at)] if self._is_listening else []
        return max(SOON, min(WAKE, min(self._feeds.next_at(at), *asked, math.inf) - at))

    async def _ask(self, feed: FeedSettings, marks: dict[str, Any], turns: asyncio.Semaphore) -> Page:
        """Return what a feed lists, and go on from there; nothing where it does not answer."""
        heard, known = self._feeds[feed.url], marks.get(feed.url)
        try:
            async with turns:
                asked = await asking.ask(self.http, feed.url, known if isinstance(known, dict) else {})
        except ERRORS as error:
            heard.failed(error, self._now())
            return Page()
        now = self._now()
        page = self.page(asked.feed.rows if asked.feed is not None else (), None)
        heard.answered(page.mentions, now, is_live=self._book.is_live(feed.url, now))
        marks[feed.url] = dict(asked.marks)
        if asked.feed is not None:
            self._book.named(feed, announced(asked.answer.headers, asked.feed.head, asked.answer.url), now)
        return page

    async def _ask_hubs(self) -> None:
        """Subscribe, renew and unsubscribe what is due: as long as hubs find us."""
        now = self._now()
        due = [one for one in self._book.awaiting(now) if one.due_at(now) <= now + EARLY] if self._is_listening else []
        await asyncio.gather(*(hubs.ask(self.http, self._book, one, now) for one in due))

    async def check(self) -> str:
        port, answers = await super().check(), await PollingConnector.check(self)
        named = len({one.feed for one in self._book})
        silent = self._feeds.counted(self._now())["failing"]
        more = f"; {silent} do not answer" if silent else ""
        return f"{port}; {answers}; {named} of {len(self.settings.feeds)} feeds name a hub{more}"
