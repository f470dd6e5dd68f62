"""One source: load the checkpoint, fetch, publish the page with its checkpoint in one transaction, wait, again.

Nothing is lost and nothing is published twice: the position moves only together with the mentions, and what an
overlap brings again is recognised by the ids the checkpoint keeps. A source that fails stops nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog

from connectors import counting, intake, pacing
from connectors.base import (
    Clock,
    Connector,
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
from connectors.coverage import Hearing
from connectors.position import Position
from connectors.publisher import NOTHING, Beside, Publisher
from connectors.raw import raw_of
from connectors.rereader import Rereader
from connectors.rereading import Memory, Outcome
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
from pipeline.contract.events import Checkpoint, Coverage, Mention
from pipeline.contract.metrics import Metrics

CHECKPOINT_EVERY: Final = 10.0  # seconds between two checkpoints of a stream in which nothing matches
REFUSED_WAIT: Final = 900.0  # a refused source is asked again this seldom: credentials may have been renewed
DEFAULT_RATE_WAIT: Final = 60.0
LONG_WAIT: Final = 30.0  # seconds: a wait of this length that a source asks for is kept over a restart
MAX_PAGE: Final = 2_000  # mentions in one transaction; a larger page is committed in several
STEADY: Final = 60.0  # seconds a stream must last before its losses are no longer counted together
CONFIG_WAIT: Final = 60.0  # a source that calls us and cannot listen tries again: whoever has its port may let go

Wait = Callable[[float], Any]
Turn = Callable[[], Coroutine[Any, Any, float]]


class Runner:
    """Runs one connector instance. Clock, chance and waiting can be handed in by tests; `rest` is that of rereading."""

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
        rest: Wait = asyncio.sleep,
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
        self._rest = rest
        self._backfill = backfill
        self._log = (log or structlog.get_logger(__name__)).bind(connector=self.name)
        self.state = StateOf(self.name, metrics, on_state, log=log, clock=clock)
        self._failures = 0
        self._empty = 0
        self._saved_at: datetime | None = None
        self._one_at_a_time = asyncio.Lock()
        self._address: str | None = None  # where a source that calls us finds us
        self._settled = asyncio.Event()  # whether that is known, one way or the other
        self._waits_until: datetime | None = None
        self.hearing = Hearing(self.name, connector.name, metrics)
        self.memory = Memory(self.name, connector.name, connector.rereads) if connector.rereads is not None else None
        connector.http.on_wait = self._waits_for_its_turn
        for counter in (metrics.mentions_received, metrics.mentions_published, metrics.mentions_repeated):
            counter.labels(self.name)

    async def run(self) -> None:
        """Run until cancelled, or until another process takes over. Raises nothing but CancelledError."""
        self.state.to(SourceState.STARTING)
        try:
            while True:
                try:
                    await self._start()
                    await self._listen_and_reread()
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

    async def _start(self) -> None:
        """Take over from a predecessor, and take up what its checkpoint says."""
        found = await self.publisher.start()
        self.position = Position(self.name, self.connector.seen_limit, found)
        self.hearing.resume(found)
        self._waits_until = found.waits_until if found and not self._failures else None
        if not isinstance(self.connector, PushConnector):  # who calls us does so meanwhile
            await self._waited()

    async def _waited(self) -> None:
        """Wait for as long as the source has asked before a restart."""
        until, self._waits_until = self._waits_until, None
        wait = (until - self._clock()).total_seconds() if until is not None else 0.0
        if wait > 0:
            self.state.to(SourceState.WAITING, f"the source has asked to wait; asked again in {pacing.span(wait)}")
            await self._limited(min(wait, pacing.MAX_WAIT))

    async def _listen_and_reread(self) -> None:
        """Listen in every form the connector has, and read again what was published, until one ends with an error."""
        works = [self._listen(turn) for turn in self._turns()]
        if self.memory is not None:
            rereader = Rereader(
                self.connector,
                self.memory,
                self.publisher.remembered,
                self._reread,
                clock=self._clock,
                chance=self._chance,
                wait=self._rest,
                log=self._log,
            )
            works.append(rereader.run())
        if len(works) == 1:
            await works[0]
            return
        await intake.side_by_side(works)

    def _waits_for_its_turn(self, seconds: float, why: str) -> None:
        self.hearing.limited(seconds)
        self.state.to(SourceState.WAITING, f"{why}; goes on in {pacing.span(seconds)}")

    async def _limited(self, seconds: float) -> None:
        self.hearing.limited(seconds)
        await self._wait(seconds)

    async def _listen(self, turn: Turn) -> None:
        """Go on from the position, turn by turn; an error of the source is waited out here."""
        if turn == self._poll and isinstance(self.connector, PushConnector):
            await self._settled.wait()  # what is asked for may be brought at once
            await self._waited()
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
                self.state.to(SourceState.WAITING, f"{error}; asked again in {pacing.span(seconds)}")
                if seconds >= LONG_WAIT:
                    await self._remember_to_wait(seconds)
                await self._limited(seconds)
            except RetriableError as error:
                self._failures += 1
                seconds = pacing.backoff(self._failures, self._chance())
                seconds = max(seconds, getattr(error, "retry_after", None) or 0.0)
                self.state.to(SourceState.UNREACHABLE, str(error))
                await self._wait(seconds)
            except (SourceRefusedError, ConfigError) as error:
                self._failures += 1
                self.state.to(SourceState.REFUSED, str(error))
                self._settled.set()
                seconds = CONFIG_WAIT if turn == self._serve else REFUSED_WAIT
                await self._wait(seconds * (0.9 + 0.2 * self._chance()))

    def _turns(self) -> list[Turn]:
        forms = ((PushConnector, self._serve), (StreamingConnector, self._stream), (PollingConnector, self._poll))
        found: list[Turn] = [turn for form, turn in forms if isinstance(self.connector, form)]
        if not found:
            raise ConfigError(f"{type(self.connector).__name__} is neither a polling, a streaming nor a push connector")
        return found

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
            self.state.to(SourceState.WAITING, f"the rate limit is used up for {pacing.span(must_wait)}")
            await self._limited(must_wait)
        page = await connector.fetch(self.position.cursor)
        moved = page.cursor != self.position.cursor
        fresh = await self.publish(page)
        self._heard(fresh)
        self._empty = 0 if fresh else self._empty + 1
        if page.is_full and (fresh or moved):
            return pacing.within(0.0, connector.http.quota, self._clock())
        if (due_in := connector.due_in(self._clock())) is not None:
            return due_in
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
                self._heard(await self.publish(page), is_steady=(self._clock() - began).total_seconds() >= STEADY)
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                await close()
        raise SourceUnavailableError(f"the source {connector.name} has ended the connection")

    async def _serve(self) -> float:
        """Let the source call us; return only by an error."""
        connector = self.connector
        assert isinstance(connector, PushConnector)

        def listening(at: str) -> None:
            self._address, self._failures = at, 0
            self.state.to(SourceState.LISTENING, at)
            self._settled.set()

        async def recover(error: BrokerUnavailableError) -> None:
            at, self._address = self._address, None
            await self._until_kafka_is_back(error)
            self._address = at
            self.state.to(SourceState.LISTENING, at)

        connector.resume(self.position.cursor)
        try:
            await intake.serve(connector, intake.Intake(self._commit_together, recover), listening)
        finally:
            self._address = None
        raise SourceUnavailableError(f"the source {connector.name} listens no more")

    async def _until_kafka_is_back(self, error: BrokerUnavailableError) -> None:
        """Start the publisher anew, again and again, and go on from the checkpoint it returns."""
        while True:
            self._failures += 1
            self.state.to(SourceState.WAITING, str(error))
            await self._wait(pacing.backoff(self._failures, self._chance(), longest=30.0))
            try:
                async with self._one_at_a_time:
                    await self._start()
            except BrokerUnavailableError as again:
                error = again
            else:
                self._failures = 0
                return

    async def _commit_together(self, pages: Sequence[Page]) -> None:
        """Commit pages that were brought to us in one transaction, without deliveries that are known already."""
        whole, deliveries, repeated = intake.together(pages, self.position.seen)
        self.metrics.mentions_received.labels(self.name).inc(repeated)
        self.metrics.mentions_repeated.labels(self.name).inc(repeated)
        self._heard(await self.publish(whole, deliveries), is_steady=not isinstance(self.connector, PollingConnector))

    async def publish(self, page: Page, deliveries: Sequence[str] | None = None) -> int:
        """Commit a page and its checkpoint; return how many mentions were new.

        One that was brought, with the names of its `deliveries`, and without a cursor leaves the cursor where it is.
        """
        async with self._one_at_a_time:
            now = self._clock()
            if deliveries is not None and page.cursor is None:
                page = replace(page, cursor=self.position.cursor)
            page = within_limits(page)
            fresh = self._stamped(self.position.fresh(page.mentions))
            ends = range(MAX_PAGE, len(fresh), MAX_PAGE)
            for end in ends:  # the cursor moves with the last part only; until then all parts are remembered
                part, position = fresh[:end], self.position.cursor
                await self._commit(part[end - MAX_PAGE :], self.position.after(part, position, now, is_part=True))
            last = fresh[ends[-1] if ends else 0 :]
            coverage = self.hearing.told(page, fresh, now)
            if last or page.rejected or coverage or self._is_due(page, now):
                position_after = self.position.after(page.mentions, page.cursor, now, deliveries or ())
                await self._commit(last, position_after, coverage, page.rejected)
            for one in page.mentions:
                self.connector.raw.pop(one.id, None)
            counting.committed(self.metrics, self._log, self.name, page, fresh, is_past=self._backfill)
            return len(fresh)

    def _stamped(self, mentions: Sequence[Mention]) -> list[Mention]:
        return [stamped(one, connector=self.name, backfill=self._backfill) for one in mentions]

    async def _reread(self, outcome: Outcome) -> None:
        """Commit what followed from reading again."""
        async with self._one_at_a_time:
            now = self._clock()
            fresh = self._stamped(self.position.fresh(outcome.mentions))
            beside = Beside(outcome.records, outcome.gone, raw_of(self.connector, fresh, now))
            checkpoint, seen = self.position.after(outcome.mentions, self.position.cursor, now)
            await self.publisher.publish(fresh, self.hearing.onto(checkpoint), (), (), beside)
            self.position.seen = seen
            if self.memory is not None:
                self.memory.committed(outcome)
            self.metrics.mentions_received.labels(self.name).inc(len(outcome.mentions))
            self.metrics.mentions_published.labels(self.name).inc(len(fresh))
            self.metrics.mentions_repeated.labels(self.name).inc(len(outcome.mentions) - len(fresh))

    async def _remember_to_wait(self, seconds: float) -> None:
        """Write down until when the source is not asked, so that a restart does not."""
        async with self._one_at_a_time:
            now = self._clock()
            checkpoint, _ = self.position.after((), self.position.cursor, now)
            until = now + timedelta(seconds=seconds)
            await self.publisher.publish((), msgspec.structs.replace(self.hearing.onto(checkpoint), waits_until=until))

    async def _commit(
        self,
        mentions: list[Mention],
        position: tuple[Checkpoint, dict[str, None]],
        coverage: Sequence[Coverage] = (),
        rejected: Sequence[Rejected] = (),
    ) -> None:
        checkpoint, seen = position
        now = checkpoint.saved_at
        outcome = self.memory.remember(mentions, now) if self.memory is not None else Outcome()
        raw = raw_of(self.connector, mentions, now)
        beside = Beside(outcome.records, outcome.gone, raw) if outcome.records or outcome.gone or raw else NOTHING
        if not self._backfill:
            checkpoint = self.hearing.onto(checkpoint)
        await self.publisher.publish(mentions, checkpoint, coverage, rejected, beside)
        self.position.cursor, self.position.seen = checkpoint.cursor, seen
        self._saved_at = checkpoint.saved_at
        if self.memory is not None:
            self.memory.committed(outcome)

    def _is_due(self, page: Page, now: datetime) -> bool:
        """Whether a page without news moves the position far enough to be saved."""
        if page.cursor == self.position.cursor:
            return False
        is_stream = isinstance(self.connector, StreamingConnector)
        return not is_stream or self._saved_at is None or (now - self._saved_at).total_seconds() >= CHECKPOINT_EVERY

    def _heard(self, fresh: int, *, is_steady: bool = True) -> None:
        """Note that the source answers, and with how much that is new."""
        self.hearing.answered(self.connector.http, fresh > 0, self._clock())
        if is_steady:
            self._failures = 0
        self.metrics.source_last_success.labels(self.name).set(self._clock().timestamp())
        if not isinstance(self.connector, PushConnector):
            self.state.to(SourceState.LISTENING)
        elif is_steady and self._address is not None:  # where it is asked as well and did not answer
            self.state.to(SourceState.LISTENING, self._address)
