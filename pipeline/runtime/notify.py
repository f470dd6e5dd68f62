"""The shell of notify: alerts from their topic to every receiver, at least once, and the end of a heartbeat's way.

What is told when is decided in `pipeline.core.notifying.plan`, one plan a partition. This shell reads committed
records, calls receivers, each notification in a task of its own, and commits an offset when all receivers have what
came before it or it went to `alerts-dlq`. With the offset it commits the log of who was told what, in its metadata.

May repeat: what was delivered and not yet committed when the process dies; the repetition has the same key.
Order: one incident's notifications reach a receiver in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import TopicPartition as Place
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from pipeline.broker.client import aiokafka
from pipeline.broker.predecessors import leave_for
from pipeline.contract import codec
from pipeline.contract.errors import (
    BrokerUnavailableError,
    InvalidMessageError,
    ReceiverRefusedError,
    ReceiverUnavailableError,
)
from pipeline.contract.events import Alert, Heartbeat, Reason
from pipeline.contract.failpoints import POINTS
from pipeline.core.notifying import log as logs
from pipeline.core.notifying.pacing import Waits
from pipeline.core.notifying.plan import Plan
from pipeline.core.notifying.values import Became, Occasion, Record
from pipeline.core.notifying.work import Finished, Work
from pipeline.notifiers.registry import Configured, make_all
from pipeline.runtime import dead_letters, notified
from pipeline.runtime import notify_counts as counts
from pipeline.runtime.logs import Repeats
from pipeline.runtime.notify_counts import DEAD, STAGE
from pipeline.topology import ALERTS, HEARTBEATS

if TYPE_CHECKING:
    from pipeline.runtime.roles import Role

GROUP: Final = "earshot-notify"
TURN: Final = 0.2  # seconds one turn waits for records
AT_ONCE: Final = 4  # notifications on their way to one receiver
COMMIT_TIMEOUT: Final = 10.0
DRAIN: Final = 3.0  # seconds to wait for what is on its way, before partitions go or the process ends
STALLED: Final = 60.0
OLD_BEAT: Final = timedelta(seconds=30)

log = structlog.get_logger(__name__)


class NotifyWorker(ConsumerRebalanceListener):  # type: ignore[misc]
    """One worker of the stage notify. `clock` and `chance` are for tests."""

    def __init__(
        self,
        role: Role,
        receivers: Sequence[Configured],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.role = role
        self.metrics = role.metrics
        self.clock = clock
        self.chance = chance
        self.began = clock()
        self.turned_at = time.monotonic()
        self.receivers = {one.receiver.name: one for one in receivers}
        self._waits = Waits()
        self._plans: dict[Place, Plan] = {}
        self._raw: dict[Place, dict[int, Any]] = defaultdict(dict)
        self._uncounted: dict[Place, list[Finished]] = defaultdict(list)
        self._next: dict[Place, int] = {}  # of heartbeats
        self._committed: dict[Place, tuple[int, str]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._limits = {name: asyncio.Semaphore(AT_ONCE) for name in self.receivers}
        self._repeats = Repeats(60.0)
        triage = role.config.triage
        self._limit = dead_letters.Limit(triage.dead_letter_limit, triage.dead_letter_window, DEAD)
        self._is_moving = False
        self._settling = asyncio.Lock()
        client, self._name = aiokafka(role.client), f"earshot-notify-{role.instance}"
        self._consumer = AIOKafkaConsumer(
            **client,
            group_id=GROUP,
            client_id=self._name,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_500,
            metadata_max_age_ms=30_000,
        )
        self._producer = AIOKafkaProducer(**client, enable_idempotence=True, max_request_size=2_500_000)
        counts.declare(self.metrics, self.receivers)

    # ---------------------------------------------------------------------------------------------------- life

    async def run(self) -> None:
        """Work until the role is to stop. Raises BrokerUnavailableError or DeadLetterLimitError."""
        health = self.role.health
        health.alive("loop", self._why_stuck)
        health.ready("assigned", self._why_not_ready)
        try:
            await self._start()
            while not self.role.stop.is_set():
                await self._turn()
            await self._drain()
            await self._settle()
        except KafkaError as error:
            raise BrokerUnavailableError(
                f"Kafka does not answer: {type(error).__name__}; a new process goes on"
            ) from None
        finally:
            await self._end()

    async def _start(self) -> None:
        try:
            await self._producer.start()
            await leave_for(aiokafka(self.role.client), GROUP, self._name)
            self._consumer.subscribe([ALERTS, HEARTBEATS], listener=self)
            await self._consumer.start()
        except KafkaError as error:
            raise BrokerUnavailableError(
                f"Kafka does not answer at {self.role.client.get('bootstrap.servers')}: {type(error).__name__}. "
                "Is it running, and is --broker right?"
            ) from None

    async def _end(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for close in (
            self._consumer.stop,
            self._producer.stop,
            *(one.notifier.close for one in self.receivers.values()),
        ):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(close(), DRAIN)

    def _why_stuck(self) -> str | None:
        return "the loop has stood still for a minute" if time.monotonic() - self.turned_at > STALLED else None

    def _why_not_ready(self) -> str | None:
        places = self._consumer.assignment()
        if not places:
            return "no partitions are assigned yet"
        missing = any(place.topic == ALERTS and place not in self._plans for place in places)
        return "what was told before is still being read" if missing else None

    # ------------------------------------------------------------------------------------------------ partitions

    async def on_partitions_revoked(self, _: Iterable[Place]) -> None:
        """Finish what is on its way, so that whoever comes next repeats as little as possible."""
        self._is_moving = True
        if self._plans:
            await self._drain()
            with contextlib.suppress(KafkaError):
                await self._settle()
        for kept in (self._plans, self._raw, self._uncounted, self._next, self._committed):
            kept.clear()

    async def on_partitions_assigned(self, _: Iterable[Place]) -> None:
        """Let the loop take them over: a callback must not take long."""
        self._is_moving = False

    async def _take_over(self) -> None:
        """Make the plans of partitions that came, from what stands on them and what was committed."""
        for place in sorted(self._consumer.assignment()):
            if place.topic != ALERTS or place in self._plans or self._is_moving:
                continue
            found = await notified.look(self.role.client, GROUP, ALERTS, place.partition)
            self.turned_at = time.monotonic()
            if self._is_moving or place not in self._consumer.assignment():
                return
            self._consumer.seek(place, found.position)
            self._plans[place] = Plan.restored(
                [one.receiver for one in self.receivers.values()],
                self._waits,
                position=found.position,
                past=found.past,
                ahead=found.ahead,
                log=logs.decode(found.log),
                now=self.clock(),
            )

    # ---------------------------------------------------------------------------------------------------- a turn

    async def _turn(self) -> None:
        self.turned_at = time.monotonic()
        await self._take_over()
        batches = await self._consumer.getmany(timeout_ms=int(TURN * 1000))
        if self._is_moving:
            return  # what was read belongs to somebody else by now, or comes again
        now = self.clock()
        read = [
            (place, message, notified.alert_in(message))
            for place, messages in batches.items()
            for message in messages
            if place in self._plans and message.offset >= self._plans[place].position_read
        ]
        self._limit.count(len(read), sum(isinstance(alert, InvalidMessageError) for _, _, alert in read))
        for place, message, alert in read:
            await self._read(place, message, alert, now)
        for place, messages in batches.items():
            for message in messages if place.topic == HEARTBEATS else ():
                self._beat(place, message, now)
        self._send(now)
        await self._settle()
        await self._measure()

    async def _read(self, place: Place, message: Any, alert: Alert | InvalidMessageError | None, now: datetime) -> None:
        plan = self._plans[place]
        if alert is None:  # a tombstone: the incident was erased
            plan.pass_over(message.offset)
            plan.forget(notified.fingerprint_in(message.key))
            self._uncounted[place].append(Finished(message.offset, Became.DISCARDED, Reason.EMPTY))
            return
        if isinstance(alert, InvalidMessageError):
            await self._dead_letter(message, alert.reason, str(alert))
            plan.pass_over(message.offset)
            self._uncounted[place].append(Finished(message.offset, Became.DEAD_LETTER, alert.reason))
            return
        self._raw[place][message.offset] = message
        plan.take(Record(message.offset, datetime.fromtimestamp(max(message.timestamp, 0) / 1000, UTC), alert), now)

    def _beat(self, place: Place, message: Any, now: datetime) -> None:
        self._next[place] = message.offset + 1
        try:
            beat = codec.decode(Heartbeat, message.value)
        except InvalidMessageError as error:
            self._uncounted[place].append(Finished(message.offset, Became.DISCARDED, error.reason))
            self._repeats.say(log.warning, "unreadable heartbeat", key="heartbeat", reason=error.reason.value)
            return
        self._uncounted[place].append(Finished(message.offset, Became.DISCARDED, Reason.HEARTBEAT))
        if passes(beat, self.began):
            self.metrics.heartbeat.labels(STAGE).set(now.timestamp())
            self.metrics.heartbeat_seconds.labels(STAGE).set((now - beat.sent_at).total_seconds())

    # --------------------------------------------------------------------------------------------------- sending

    def _send(self, now: datetime) -> None:
        for place, plan in self._plans.items():
            for work in plan.due(now):
                task = asyncio.create_task(self._tell(place, plan, work))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _tell(self, place: Place, plan: Plan, work: Work) -> None:
        told = work.notification
        name = told.receiver
        facts = {
            "notifier": name,
            "brand": told.alert.brand,
            "alert": told.alert.name,
            "status": told.occasion.value,
            "fingerprint": told.alert.fingerprint,
        }
        try:
            async with self._limits[name]:
                if POINTS:
                    POINTS.reach("notify.before_tell")
                await self.receivers[name].notifier.notify(told)
                if POINTS:
                    POINTS.reach("notify.after_tell")
        except ReceiverUnavailableError as error:
            self.metrics.notifications_failed.labels(name, "unavailable").inc()
            self._repeats.say(
                log.warning, "receiver unavailable", key=f"unavailable {name}", reason=str(error), **facts
            )
            if self._plans.get(place) is plan:
                why, wait = str(error), error.retry_after
                plan.failed(work, why, self.clock(), chance=self.chance(), retry_after=wait)
        except ReceiverRefusedError as error:
            self.metrics.notifications_failed.labels(name, "refused").inc()
            self._repeats.say(log.error, "receiver refuses", key=f"refused {name}", reason=str(error), **facts)
            if self._plans.get(place) is plan:
                plan.refused(work, str(error), self.clock())
        except Exception as error:  # an error of ours: this one is given up, the others go on
            self.metrics.notifications_failed.labels(name, "failed").inc()
            log.exception("notifier failed", **facts)
            if self._plans.get(place) is plan:
                plan.refused(work, f"an error of earshot's own ({type(error).__name__})", self.clock())
        else:
            self.metrics.notifications.labels(name, told.occasion.value).inc()
            (log.debug if told.occasion is Occasion.REPEATED else log.info)("told", **facts)
            if self._plans.get(place) is plan:
                plan.delivered(work, self.clock())

    async def _drain(self) -> None:
        """Wait a little for what is on its way."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=DRAIN)

    # -------------------------------------------------------------------------------------------------- settling

    async def _settle(self) -> None:
        """Write dead letters, then commit, then count: in this order, so that nothing is lost or counted twice."""
        async with self._settling:  # a rebalance settles, too
            await self._settle_all()

    async def _settle_all(self) -> None:
        offsets: dict[Place, tuple[int, str]] = {}
        for place, plan in list(self._plans.items()):
            for one in plan.finished():
                message = self._raw[place].pop(one.offset, None)
                if one.became is Became.DEAD_LETTER and message is not None:
                    await self._dead_letter(message, one.reason or Reason.FAILED, one.error)
                self._uncounted[place].append(one)
            offsets[place] = plan.position()
        offsets.update({place: (offset, "") for place, offset in self._next.items()})
        changed = {place: to for place, to in offsets.items() if self._committed.get(place) != to}
        if changed and await self._commit(changed):
            self._committed.update(changed)
            for place in offsets:
                counts.count(self.metrics, self._uncounted.pop(place, ()))

    async def _commit(self, offsets: dict[Place, tuple[int, str]]) -> bool:
        if POINTS:
            POINTS.reach("notify.before_commit")
        try:
            await asyncio.wait_for(self._consumer.commit(offsets), COMMIT_TIMEOUT)
        except (CommitFailedError, IllegalStateError):
            log.info("partitions went to another worker", stage=STAGE)
            return False
        except (KafkaError, TimeoutError) as error:  # receivers are told all the same; the commit is tried again
            self._repeats.say(log.warning, "commit failed", key="commit", stage=STAGE, error=type(error).__name__)
            return False
        if POINTS:
            POINTS.reach("notify.after_commit")
        return True

    async def _dead_letter(self, message: Any, reason: Reason, error: str) -> None:
        headers = dead_letters.mark(
            message.headers,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            reason=reason.value,
            error=error,
            stage=STAGE,
            now=self.clock(),
        )
        await self._producer.send_and_wait(DEAD, message.value, message.key, headers=headers)
        log.error("dead letter", stage=STAGE, reason=reason.value, offset=message.offset, error=error)

    async def _measure(self) -> None:
        behind = {ALERTS: 0, HEARTBEATS: 0}
        for place in self._consumer.assignment():
            end = self._consumer.highwater(place)
            if end is not None:
                with contextlib.suppress(KafkaError, TimeoutError):
                    behind[place.topic] += max(0, end - await asyncio.wait_for(self._consumer.position(place), 1.0))
        for topic, messages in behind.items():
            self.metrics.lag.labels(STAGE, topic).set(messages)


def passes(beat: Heartbeat, began: datetime) -> bool:
    """Return whether a heartbeat says that the way is open now: not one left from before this worker began."""
    return beat.sent_at >= began - OLD_BEAT


def serve(role: Role) -> None:
    """Run a worker until `role.stop`. Raises ConfigError for wrong settings, BrokerUnavailableError."""
    receivers = make_all(role.config)

    async def body() -> None:
        await NotifyWorker(role, receivers).run()

    asyncio.run(body())
