"""RSS and Atom feeds, pushed by the hubs they name, and asked for where no hub does.

Rules: https://www.w3.org/TR/websub/. What an entry becomes is the business of the source rss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from connectors import places
from connectors.base import Facts, Listening, Page, PollingConnector, Publish
from connectors.inbound import IgnoredError, Inbound, NotAcceptedError, delivery_of
from connectors.rss import asking, entries
from connectors.rss.connector import Rss
from connectors.websub import subscriptions
from connectors.websub.book import Book
from connectors.websub.discovery import announced
from connectors.websub.feeds import Heard
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
EARLY: Final = 1.0  # seconds by which timers may be early
HUB_WAIT: Final = 3600.0  # seconds until a hub is asked again that wants to be asked less often and does not say when
ERRORS: Final = (SourceUnavailableError, RateLimitedError, SourceRefusedError)


class WebSub(Inbound[WebSubSettings], PollingConnector[WebSubSettings]):
    """The cursor is what each feed's server needs to say that nothing has changed, and what hubs have promised."""

    name = "websub"
    sources = (Rss.name,)
    settings_type = WebSubSettings
    facts = Facts(
        auth="none; a secret of your own",
        cursor="`ETag`, `Last-Modified`, leases, ids seen",
        changes="edits where a feed says `updated`; no deletions",
        tested="a hub of our own over loopback",
    )
    seen_limit: ClassVar[int] = 10_000
    is_named = True
    parse = Rss.parse
    to_mention = Rss.to_mention

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.http.max_body = self.settings.max_body
        self._feeds = {feed.url: Heard(feed.url) for feed in self.settings.feeds}
        self._book = Book(self.settings)
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
        return _oldest_first(page)

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
            for heard in self._feeds.values():
                heard.asked_at = None
        marks = places.read(cursor).get("feeds", {})
        now, turns = self._now(), asyncio.Semaphore(AT_ONCE)
        due = [feed for feed in self.settings.feeds if self._is_due(feed.url, now)]
        pages = await asyncio.gather(*(self._ask(feed, marks, turns) for feed in due))
        await self._ask_hubs()
        self._count_feeds()
        failed = [heard.error for heard in self._feeds.values()]
        if failed[0] is not None and None not in failed:
            raise failed[0]
        kept = {feed.url: marks[feed.url] for feed in self.settings.feeds if feed.url in marks}
        self._cursor = places.written({"feeds": kept, **self._book.written()})
        return _oldest_first(
            Page(
                [one for page in pages for one in page.mentions],
                self._cursor,
                rejected=[one for page in pages for one in page.rejected],
            )
        )

    def _is_due(self, url: str, now: float) -> bool:
        """Whether a feed is asked for now: also before its lease is renewed, since it may name another hub by then."""
        if all(heard.error is not None for heard in self._feeds.values()):
            return True  # whoever runs us has waited
        wants = [one for one in self._book.awaiting(now) if one.feed == url and one.is_live(now) and not one.is_leaving]
        times = [self._due_at(url, now), *(one.due_at(now) for one in wants)]
        return min(times) <= now + EARLY

    def _due_at(self, url: str, now: float) -> float:
        return self._feeds[url].due_at(self.settings, is_live=self._book.is_live(url, now))

    def due_in(self, now: datetime) -> float | None:
        at = now.timestamp()
        times = [self._due_at(url, at) for url in self._feeds]
        if self._is_listening:
            times += [one.due_at(at) for one in self._book.awaiting(at)]
        return max(SOON, min(WAKE, min(times) - at))

    async def _ask(self, feed: FeedSettings, marks: dict[str, Any], turns: asyncio.Semaphore) -> Page:
        """Return what a feed lists, and go on from there; nothing where it does not answer."""
        heard, known = self._feeds[feed.url], marks.get(feed.url)
        try:
            async with turns:
                asked = await asking.ask(self.http, feed.url, known if isinstance(known, dict) else {})
        except ERRORS as error:
            heard.failed(error, self._now())
            return Page()
        now, is_live = self._now(), self._book.is_live(feed.url, self._now())
        marks[feed.url] = dict(asked.marks)
        if asked.feed is None:
            heard.answered((), now, is_live=is_live)
            return Page()
        page = self.page(asked.feed.rows, None)
        heard.answered(page.mentions, now, is_live=is_live)
        self._book.named(feed, announced(asked.answer.headers, asked.feed.head, asked.answer.url), now)
        return page

    async def _ask_hubs(self) -> None:
        """Subscribe, renew and unsubscribe what is due: as long as hubs find us."""
        now = self._now()
        due = [one for one in self._book.awaiting(now) if one.due_at(now) <= now + EARLY] if self._is_listening else []
        await asyncio.gather(*map(self._ask_hub, due))

    async def _ask_hub(self, one: Subscription) -> None:
        """Ask a hub; that it is taken means nothing until the hub has made sure of us, which may be at once."""
        now = self._now()
        self._book.put(subscriptions.asked(one, now))
        wait = 0.0
        try:
            await self.http.request("POST", one.hub, data=self._book.form(one), anonymous=True, resends=True)
        except SourceRefusedError:
            wait = subscriptions.REFUSED
        except RateLimitedError as error:
            wait = HUB_WAIT if error.retry_after is None else error.retry_after
        except SourceUnavailableError as error:
            wait = getattr(error, "retry_after", None) or 0.0
        known = self._book.now(one)
        if wait and not known.is_live(now):
            self._book.put(subscriptions.put_off(known, now, wait))

    def _count_feeds(self) -> None:
        if self.http.metrics is None:
            return
        now = self._now()
        count = dict.fromkeys(("pushed", "polled", "failing"), 0)
        for url, heard in self._feeds.items():
            is_pushed = heard.is_trusted and self._book.is_live(url, now)
            count["failing" if heard.error is not None else "pushed" if is_pushed else "polled"] += 1
        for state, number in count.items():
            self.http.metrics.source_feeds.labels(self.instance, state).set(number)

    async def check(self) -> str:
        port, answers = await super().check(), await PollingConnector.check(self)
        hubs = sum(any(one.feed == url for one in self._book) for url in self._feeds)
        silent = sum(heard.error is not None for heard in self._feeds.values())
        more = f"; {silent} do not answer" if silent else ""
        return f"{port}; {answers}; {hubs} of {len(self._feeds)} feeds name a hub{more}"


def _oldest_first(page: Page) -> Page:
    return Page(
        sorted(page.mentions, key=lambda found: found.created_at),
        page.cursor,
        rejected=page.rejected,
        delivery=page.delivery,
    )
