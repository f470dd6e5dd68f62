"""A source's past: from an instant on to another, or to the present. Ends by itself; may be broken off and gone on with.

Exactly once, as the live connector: every page and its checkpoint are one transaction. The checkpoint is the backfill's
own, under a name made of the source, the span and the settings (`checkpoint_name`): the live connector's position is
not touched, both may run at once, and the same backfill done again goes on where it was. What the live connector had
published already comes a second time to the topic `mentions`; triage knows it by id and revision.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from connectors import pacing
from connectors.base import Clock, Connector, Page, PollingConnector, StreamingConnector, utc_now
from connectors.position import Position
from connectors.publisher import Publisher
from connectors.runner import DEFAULT_RATE_WAIT, Runner, Wait
from pipeline.contract.errors import (
    BrokerUnavailableError,
    ConfigError,
    RateLimitedError,
    RetriableError,
    SourceUnavailableError,
)
from pipeline.contract.events import Checkpoint
from pipeline.contract.metrics import Metrics

PATIENCE: Final = 8  # failures in a row, about five minutes, until the backfill ends with the last of them
QUIET: Final = 30.0  # seconds without a frame after which a stream has told all of its past
_HOW_OFTEN: Final = ("poll_interval", "slowest_poll")  # settings that do not change what is heard


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill is. `reached` is a time at the source, `note` why it waits; None when it does not."""

    mentions: int = 0
    reached: datetime | None = None
    note: str | None = None
    resumed: bool = False


Tell = Callable[[Progress], None]


def checkpoint_name(connector: Connector[Any], since: datetime, until: datetime | None) -> str:
    """Return the name under which a backfill keeps its position.

    It changes with the span and with every setting that changes what is heard: other words to search for are another
    backfill. Secrets are no part of it.
    """
    settings = connector.settings.model_dump(mode="json", exclude=set(_HOW_OFTEN))
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
    span = f"{_written(since)}..{_written(until) if until else 'now'}"
    return f"backfill/{connector.instance}/{span}/{digest}"


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Backfill:
    """One backfill of one connector. `publisher` must be made with its `checkpoint_name`."""

    def __init__(
        self,
        connector: Connector[Any],
        publisher: Publisher,
        metrics: Metrics,
        *,
        since: datetime,
        until: datetime | None = None,
        tell: Tell = lambda _: None,
        clock: Clock = utc_now,
        chance: Callable[[], float] = random.random,
        wait: Wait = asyncio.sleep,
        patience: int = PATIENCE,
        quiet: float = QUIET,
        log: Any = None,
    ) -> None:
        self._connector = connector
        self._publisher = publisher
        self._since = since
        self._until = until
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self._wait = wait
        self._patience = patience
        self._quiet = quiet
        self._name = checkpoint_name(connector, since, until)
        self._runner = Runner(connector, publisher, metrics, clock=clock, backfill=True, log=log)
        self._end = until or clock()
        self._failures = 0
        self.progress = Progress()

    async def run(self) -> Progress:
        """Publish all of it; return what was done.

        Raises ConfigError when the source cannot be asked for its past, SourceRefusedError, FencedError when the same
        backfill is running elsewhere, and a RetriableError after `patience` failures in a row. Whatever ends it: done
        again, it goes on where it was.
        """
        if not isinstance(self._connector, PollingConnector | StreamingConnector):
            raise ConfigError(f"{self._connector.instance}: this source calls us and cannot be asked for its past")
        if self._since >= self._end:
            raise ConfigError(f"there is no time between {_written(self._since)} and {_written(self._end)}")
        first = await self._connector.cursor_at(self._since)
        is_started = is_over = False
        try:
            while not is_over:
                try:
                    if not is_started:
                        await self._start(first)
                        is_started = True
                    is_over = await self._turn()
                    self._failures = 0
                except RateLimitedError as error:
                    known = pacing.allowed_in(self._connector.http.quota, self._clock())
                    asked = error.retry_after if error.retry_after is not None else (known or DEFAULT_RATE_WAIT)
                    await self._pause(asked + pacing.backoff(1, self._chance()), str(error))
                except RetriableError as error:
                    is_started = is_started and not isinstance(error, BrokerUnavailableError)
                    self._failures += 1
                    if self._failures >= self._patience:
                        raise
                    seconds = pacing.backoff(self._failures, self._chance(), longest=120.0)
                    await self._pause(max(seconds, getattr(error, "retry_after", None) or 0.0), str(error))
        finally:
            await self._publisher.close()
        return self.progress

    async def _start(self, first: str | None) -> None:
        found = await self._publisher.start()
        begin = found or Checkpoint(connector=self._name, cursor=first, saved_at=self._clock())
        self._runner.position = Position(self._name, self._connector.seen_limit, begin)
        self._told(resumed=self.progress.resumed or (found is not None and not self.progress.mentions))

    async def _turn(self) -> bool:
        """Publish a page, or a stream until it is lost; return whether that was all."""
        if isinstance(self._connector, StreamingConnector):
            return await self._stream(self._connector)
        assert isinstance(self._connector, PollingConnector)
        must_wait = pacing.allowed_in(self._connector.http.quota, self._clock())
        if must_wait:
            await self._pause(must_wait, "the rate limit is used up")
        before = self._runner.position.cursor
        page = await self._connector.fetch(before)
        new = await self._publish(page)
        if not page.is_full or self._is_past(page) or (page.cursor == before and not new):
            return True
        slowly = pacing.within(0.0, self._connector.http.quota, self._clock())
        if slowly:
            await self._pause(slowly, "little of the rate limit is left")
        return False

    async def _stream(self, connector: StreamingConnector[Any]) -> bool:
        pages: AsyncIterator[Page] = connector.listen(self._runner.position.cursor)
        try:
            while True:
                try:
                    page = await asyncio.wait_for(anext(pages), self._quiet)
                except StopAsyncIteration:
                    raise SourceUnavailableError(f"{connector.instance}: the source has ended the connection") from None
                except TimeoutError:
                    at = connector.time_of(self._runner.position.cursor)
                    if at is None or at >= self._end:
                        return True
                    raise SourceUnavailableError(f"{connector.instance}: the stream has fallen silent") from None
                await self._publish(page)
                self._failures = 0
                if self._is_past(page):
                    return True
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                with contextlib.suppress(RuntimeError):
                    await close()

    async def _publish(self, page: Page) -> int:
        """Commit what of a page is in the span; return how many of its mentions were new."""
        inside = [
            found
            for found in page.mentions
            if found.created_at >= self._since and (self._until is None or found.created_at < self._until)
        ]
        new = await self._runner.publish(replace(page, mentions=inside))
        self._told(new, self._reached(page))
        return new

    def _reached(self, page: Page) -> datetime | None:
        known = self._connector.time_of(page.cursor)
        return known or max((found.created_at for found in page.mentions), default=None)

    def _is_past(self, page: Page) -> bool:
        reached = self._reached(page)
        return reached is not None and reached >= self._end

    def _told(self, new: int = 0, reached: datetime | None = None, *, resumed: bool | None = None) -> None:
        was = self.progress
        at = max((one for one in (was.reached, reached) if one is not None), default=None)
        self.progress = Progress(was.mentions + new, at, None, was.resumed if resumed is None else resumed)
        self._tell(self.progress)

    async def _pause(self, seconds: float, why: str) -> None:
        self._tell(replace(self.progress, note=why))
        await self._wait(seconds)
