"""One source: load the checkpoint, fetch, publish the page with its checkpoint in one transaction, wait, again.

Nothing is lost and nothing is published twice: the position moves only together with the mentions, and what an
overlap brings again is recognised by the ids the checkpoint keeps. A source that fails stops nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from connectors import pacing
from connectors.base import (
    Clock,
    Connector,
    Gap,
    Page,
    PollingConnector,
    PollingSettings,
    PushConnector,
    Rejected,
    StreamingConnector,
    stamped,
    utc_now,
    within_limits,
)
from connectors.intake import Intake
from connectors.position import Position, mark_of_delivery
from connectors.publisher import Publisher
from connectors.states import OnState, SourceState, StateOf
from pipeline.contract.errors import (
    BrokerUnavailableError,
    ConfigError,
    FencedError,
    RateLimitedError,
    RetriableError,
    SourceRefusedError,
    SourceUnavailableError,
)
from pipeline.contract.events import Checkpoint, Coverage, Mention, Reason
from pipeline.contract.metrics import Metrics

COVERAGE_EVERY: Final = 60.0  # seconds between two coverage records of a source that has something new
CHECKPOINT_EVERY: Final = 10.0  # seconds between two checkpoints of a stream in which nothing matches
REFUSED_WAIT: Final = 900.0  # a refused source is asked again this seldom: credentials may have been renewed
DEFAULT_RATE_WAIT: Final = 60.0
MAX_PAGE: Final = 2_000  # mentions in one transaction; a larger page is committed in several
STEADY: Final = 60.0  # seconds a stream must last before its losses are no longer counted together
CONFIG_WAIT: Final = 60.0  # a source that calls us and cannot listen tries again: whoever has its port may let go

Wait = Callable[[float], Any]


class Runner:
    """Runs one connector instance. Clock, chance and waiting can be handed in by tests."""

    def __init__(
        self,
        connector: Connector[Any],
        publisher: Publisher,
        metrics: Metrics,
        *,
        on_state: OnState | None = None,
        clock: Clock = utc_now,
        chance: Callable[[], float] = random.random,
        wait: Wait = asyncio.sleep,
        backfill: bool = False,
        log: Any = None,
    ) -> None:
        self.connector = connector
        self.name = connector.instance
        self.publisher = publisher
        self.metrics = metrics
        self.position = Position(self.name, connector.seen_limit, None)
        self._clock = clock
        self._chance = chance
        self._wait = wait
        self._backfill = backfill
        self._log = (log or structlog.get_logger(__name__)).bind(connector=self.name)
        self.state = StateOf(self.name, metrics, on_state, log=log, clock=clock)
        self._failures = 0
        self._empty = 0
        self._seen_since = 0
        self._covered_at: datetime | None = None
        self._saved_at: datetime | None = None
        for counter in (metrics.mentions_received, metrics.mentions_published, metrics.mentions_repeated):
            counter.labels(self.name)
        metrics.source_gap_seconds.labels(self.name)

    async def run(self) -> None:
        """Run until cancelled, or until another process takes over. Raises nothing but CancelledError."""
        self.state.to(SourceState.STARTING)
        try:
            while True:
                try:
                    self.position = Position(self.name, self.connector.seen_limit, await self.publisher.start())
                    await self._listen()
                except FencedError:
                    self.state.to(SourceState.STOPPED, "another process runs it")
                    return
                except BrokerUnavailableError as error:
                    self._failures += 1
                    self.state.to(SourceState.WAITING, str(error))
                    await self._wait(pacing.backoff(self._failures, self._chance(), longest=30.0))
                except Exception as error:
                    self._failed(error)
                    await self._wait(pacing.backoff(self._failures, self._chance()))
        except asyncio.CancelledError:
            self.state.to(SourceState.STOPPED)
            raise
        finally:
            with contextlib.suppress(Exception):
                await self.publisher.close()

    async def _listen(self) -> None:
        """Go on from the position, whatever form the connector has; an error of the source is waited out here."""
        turn = self._turn()
        while True:
            try:
                await self._wait(await turn())
            except (FencedError, BrokerUnavailableError):
                raise
            except RateLimitedError as error:
                self._failures += 1
                known = pacing.allowed_in(self.connector.http.quota, self._clock())
                asked = error.retry_after if error.retry_after is not None else (known or DEFAULT_RATE_WAIT)
                seconds = asked + pacing.backoff(self._failures, self._chance(), longest=60.0)
                self.state.to(SourceState.WAITING, f"{error}; asked again in {_span(seconds)}")
                await self._wait(seconds)
            except RetriableError as error:
                self._failures += 1
                seconds = pacing.backoff(self._failures, self._chance())
                seconds = max(seconds, getattr(error, "retry_after", None) or 0.0)
                self.state.to(SourceState.UNREACHABLE, str(error))
                await self._wait(seconds)
            except (SourceRefusedError, ConfigError) as error:
                self._failures += 1
                self.state.to(SourceState.REFUSED, str(error))
                seconds = CONFIG_WAIT if isinstance(self.connector, PushConnector) else REFUSED_WAIT
                await self._wait(seconds * (0.9 + 0.2 * self._chance()))

    def _turn(self) -> Callable[[], Any]:
        if isinstance(self.connector, PollingConnector):
            return self._poll
        if isinstance(self.connector, StreamingConnector):
            return self._stream
        if isinstance(self.connector, PushConnector):
            return self._serve
        raise ConfigError(f"{type(self.connector).__name__} is neither a polling, a streaming nor a push connector")

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self.state.to(SourceState.FAILED, f"an error in the connector {self.connector.name} ({type(error).__name__})")
        self._log.error("connector failed", error=type(error).__name__, exc_info=self._failures == 1)

    async def _poll(self) -> float:
        """Fetch and publish one page; return the seconds to wait before the next."""
        connector = self.connector
        assert isinstance(connector, PollingConnector)
        must_wait = pacing.allowed_in(connector.http.quota, self._clock())
        if must_wait:
            self.state.to(SourceState.WAITING, f"the rate limit is used up for {_span(must_wait)}")
            await self._wait(must_wait)
        page = await connector.fetch(self.position.cursor)
        moved = page.cursor != self.position.cursor
        fresh = await self.publish(page)
        self._heard()
        self._empty = 0 if fresh else self._empty + 1
        if page.is_full and (fresh or moved):
            return pacing.within(0.0, connector.http.quota, self._clock())
        settings = connector.settings
        interval, slowest = (
            (settings.poll_interval, settings.slowest_poll) if isinstance(settings, PollingSettings) else (60.0, 600.0)
        )
        wait = pacing.idle(self._empty, interval, slowest, self._chance())
        return pacing.within(wait, connector.http.quota, self._clock())

    async def _stream(self) -> float:
        """Listen until the connection is lost, which is an error that is waited out.

        Losses are counted together until a stream has lasted: a source that lets us in, sends one frame and closes is
        asked again ever more seldom.
        """
        connector = self.connector
        assert isinstance(connector, StreamingConnector)
        began = self._clock()
        pages: AsyncIterator[Page] = connector.listen(self.position.cursor)
        try:
            async for page in pages:
                await self.publish(page)
                self._heard(is_steady=(self._clock() - began).total_seconds() >= STEADY)
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                await close()
        raise SourceUnavailableError(f"the source {connector.name} has ended the connection")

    async def _serve(self) -> float:
        """Let the source call us; return only by an error.

        In order at the end: nobody is let in any more, what was let in is committed and answered, then it is over.
        """
        connector = self.connector
        assert isinstance(connector, PushConnector)
        address: str | None = None

        def listening(at: str) -> None:
            nonlocal address
            address, self._failures = at, 0
            self.state.to(SourceState.LISTENING, at)

        async def recover(error: BrokerUnavailableError) -> None:
            await self._until_kafka_is_back(error)
            self.state.to(SourceState.LISTENING, address)

        intake = Intake(self._commit_together, recover)
        committing = asyncio.create_task(intake.carry())
        serving = asyncio.create_task(connector.serve(intake.deliver, listening))
        try:
            done, _ = await asyncio.wait((committing, serving), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            try:
                await _end(serving)
            finally:
                intake.close("earshot is stopping this source")
                await _end(committing)
        raise SourceUnavailableError(f"the source {connector.name} listens no more")

    async def _until_kafka_is_back(self, error: BrokerUnavailableError) -> None:
        """Start the publisher anew, again and again, and go on from the checkpoint it returns."""
        while True:
            self._failures += 1
            self.state.to(SourceState.WAITING, str(error))
            await self._wait(pacing.backoff(self._failures, self._chance(), longest=30.0))
            try:
                self.position = Position(self.name, self.connector.seen_limit, await self.publisher.start())
            except BrokerUnavailableError as again:
                error = again
            else:
                self._failures = 0
                return

    async def _commit_together(self, pages: Sequence[Page]) -> None:
        """Commit pages that were brought to us in one transaction, without deliveries that are known already."""
        taken, deliveries = [], dict[str, None]()
        for page in pages:
            name = page.delivery
            if name is not None and (name in deliveries or mark_of_delivery(name) in self.position.seen):
                self.metrics.mentions_received.labels(self.name).inc(len(page.mentions))
                self.metrics.mentions_repeated.labels(self.name).inc(len(page.mentions))
                continue
            taken.append(page)
            if name is not None:
                deliveries[name] = None
        cursors = [page.cursor for page in taken if page.cursor is not None]
        gaps = [page.gap for page in taken if page.gap is not None]
        together = Page(
            [mention for page in taken for mention in page.mentions],
            cursors[-1] if cursors else self.position.cursor,
            gap=Gap(min(g.since for g in gaps), max(g.until for g in gaps), gaps[0].reason) if gaps else None,
            rejected=[part for page in taken for part in page.rejected],
        )
        await self.publish(together, list(deliveries))
        self._heard()

    async def publish(self, page: Page, deliveries: Sequence[str] = ()) -> int:
        """Commit a page and its checkpoint; return how many mentions were new."""
        now = self._clock()
        page = within_limits(page)
        fresh = [
            stamped(mention, connector=self.name, backfill=self._backfill)
            for mention in self.position.fresh(page.mentions)
        ]
        ends = range(MAX_PAGE, len(fresh), MAX_PAGE)
        for end in ends:  # the cursor moves with the last part only; until then all parts are remembered
            await self._commit(fresh[end - MAX_PAGE : end], self.position.after(fresh[:end], self.position.cursor, now))
        last = fresh[ends[-1] if ends else 0 :]
        coverage = self._coverage(page, len(fresh), now)
        if last or page.rejected or coverage or self._is_due(page, now):
            position = self.position.after(page.mentions, page.cursor, now, deliveries)
            await self._commit(last, position, coverage, page.rejected)
        self._count(page, fresh, now)
        return len(fresh)

    async def _commit(
        self,
        mentions: list[Mention],
        position: tuple[Checkpoint, dict[str, None]],
        coverage: Sequence[Coverage] = (),
        rejected: Sequence[Rejected] = (),
    ) -> None:
        checkpoint, seen = position
        await self.publisher.publish(mentions, checkpoint, coverage, rejected)
        self.position.cursor, self.position.seen = checkpoint.cursor, seen
        self._saved_at = checkpoint.saved_at

    def _is_due(self, page: Page, now: datetime) -> bool:
        """Whether a page without news moves the position far enough to be saved."""
        if page.cursor == self.position.cursor:
            return False
        is_stream = isinstance(self.connector, StreamingConnector)
        return not is_stream or self._saved_at is None or (now - self._saved_at).total_seconds() >= CHECKPOINT_EVERY

    def _coverage(self, page: Page, new: int, now: datetime) -> list[Coverage]:
        """Return what is to be told now: every gap at once, counts now and then."""
        self._seen_since += new
        age = None if self._covered_at is None else (now - self._covered_at).total_seconds()
        is_time = self._seen_since > 0 and (age is None or age >= COVERAGE_EVERY)
        if page.gap is None and not is_time:
            return []
        told = Coverage(
            connector=self.name,
            source=self.connector.name,
            at=now,
            seen=self._seen_since,
            expected=page.expected,
            gap_from=page.gap.since if page.gap else None,
            gap_until=page.gap.until if page.gap else None,
            reason=page.gap.reason if page.gap else None,
        )
        self._seen_since, self._covered_at = 0, now
        return [told]

    def _count(self, page: Page, fresh: Sequence[Mention], now: datetime) -> None:
        """Move the metrics, after the commit: received = published + repeated + dead-lettered."""
        metrics, name = self.metrics, self.name
        metrics.mentions_received.labels(name).inc(len(page.mentions) + len(page.rejected))
        metrics.mentions_published.labels(name).inc(len(fresh))
        metrics.mentions_repeated.labels(name).inc(len(page.mentions) - len(fresh))
        if page.rejected:
            metrics.dead_letters.labels("connectors", Reason.INVALID.value).inc(len(page.rejected))
            self._log.warning(
                "parts of an answer could not be read", count=len(page.rejected), why=page.rejected[0].error
            )
        if page.gap is not None:
            seconds = max(0.0, (page.gap.until - page.gap.since).total_seconds())
            metrics.source_gap_seconds.labels(name).inc(seconds)
            self._log.warning("gap", reason=page.gap.reason, seconds=round(seconds, 1))
        if fresh:
            newest = max(mention.created_at for mention in fresh)
            metrics.source_last_mention.labels(name).set(newest.timestamp())
            if not self._backfill:
                for mention in fresh:
                    delay = (mention.collected_at - mention.created_at).total_seconds()
                    metrics.source_delay.labels(name).observe(max(0.0, delay))
        known = self.connector.http.quota
        if known is not None and known.share is not None and known.reset_at > now:
            metrics.source_quota.labels(name).set(known.share)

    def _heard(self, *, is_steady: bool = True) -> None:
        """Note that the source answers."""
        if is_steady:
            self._failures = 0
        self.metrics.source_last_success.labels(self.name).set(self._clock().timestamp())
        if not isinstance(self.connector, PushConnector):
            self.state.to(SourceState.LISTENING)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended, however it does."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # was told already, or comes of the cancelling


def _span(seconds: float) -> str:
    """Return a duration for people."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
