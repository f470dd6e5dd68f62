"""One reputation worker: a Faust app reads `pulse`, the fold turns it into states and alerts, a transaction commits.

Exactly once: `partitions.py` says how. What Faust does and does not do here is said in `faust_app.py`. Whatever goes
wrong, the worker ends with code 1 (3 when another has its partition) and whatever runs it starts it again: what was
not committed is done again, and nobody has seen it.

Measured on 2 cores shared with the broker and other work: one worker folds 1,600 pulses a second (40,000 pulses of 10
brands and 5 sources), of which the fold takes 30 to 50 microseconds each and Faust the rest; it takes its partitions in
0.15 s and stops in 0.5 s. Two workers, 22 `kill -9` and 8 pauses of 12 s in 4 minutes, 79,340 mentions: all totals
right, every alert record once, the longest standstill 8.5 s, two workers ended by themselves (fenced). Since then a
worker that starts again lets its predecessor leave the group, and nobody waits for the session of one that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog
from confluent_kafka import KafkaException, Producer

from pipeline.broker.client import aiokafka
from pipeline.broker.predecessors import leave_for
from pipeline.contract import codec
from pipeline.contract.errors import EarshotError, RetriableError
from pipeline.contract.events import Tick
from pipeline.contract.failpoints import POINTS
from pipeline.runtime.dead_letters import Limit
from pipeline.runtime.reputation import faust_app
from pipeline.runtime.reputation.carrying import DEAD, SOURCE, Carrier, FoldFailedError, windows
from pipeline.runtime.reputation.partitions import STAGE, Partition, Partitions
from pipeline.runtime.reputation.restoring import check_topics, first_record
from pipeline.topology import PULSE

if TYPE_CHECKING:
    from pipeline.runtime.roles import Role

APP: Final = "earshot-reputation"
TICK_EVERY: Final = 5.0  # seconds
COMMIT_EVERY: Final = 0.5  # seconds; an alert is visible to read_committed consumers after it
STALLED: Final = 60.0  # seconds without progress; ticks come every TICK_EVERY to whoever has partitions
STOP_TIMEOUT: Final = 6.0
LAST_WORDS: Final = 1.0  # seconds a role has to leave its metrics after a stop that hangs
SEEK_EVERY: Final = 2.0  # seconds
MARKS: Final = 10  # offsets without a record that may follow each other before they are looked at

log = structlog.get_logger(__name__)


class StalledError(RetriableError):
    """The worker makes no progress; a new process does."""


class Worker:
    """One reputation worker around a Faust app. `run()` works until `role.stop`."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.metrics = role.metrics
        self.carrier = Carrier(role.config, role.metrics)
        triage = role.config.triage
        limit = Limit(triage.dead_letter_limit, triage.dead_letter_window, DEAD)
        self.partitions = Partitions(role.client, APP, role.metrics, limit)
        self.progress_at = self.turned_at = time.monotonic()
        self.failure: Exception | None = None
        self.hangs = False
        self._producer = Producer({**role.client, "partitioner": "murmur2_random"})
        self.app = faust_app.make(APP, role.client, self.partitions, instance=role.instance)
        # Faust is told to expect no acknowledgements: for a topic with them it keeps every gap between offsets until it
        # commits, and here `Partitions` commits. Each mark of a transaction is such a gap, and each new one has Faust walk
        # through all of them: 15 MB an hour, and slower by the day.
        self.pulses = self.app.topic(
            PULSE, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
        )
        self.app.agent(self.pulses, name="reputation")(self._agent)

        async def page(view: Any, _: Any) -> Any:  # a function: Faust makes a method of it
            return view.json({"brands": self.shown()})

        self.app.page("/reputation/")(page)

    # ------------------------------------------------------------------------------------------- carrying

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                await self._event(event.message)
            except Exception as error:
                self.failure = error
                return

    async def _event(self, message: Any) -> None:
        partition = self.partitions.open.get(message.partition)
        if partition is None or not await self._is_next(partition, message.offset):
            return
        now = datetime.now(UTC)
        if POINTS:
            POINTS.reach("reputation.before_fold")
        try:
            self.carrier.carry(partition, message, now)
        except FoldFailedError:
            await self.partitions.refold(partition, lambda p, m: self.carrier.carry(p, m, now))
        self.progress_at = time.monotonic()

    async def _is_next(self, partition: Partition, offset: int) -> bool:
        """Whether no committed record lies between what was folded last and this one.

        Around rebalances Faust now and then hands on records it had fetched before it was told where to read.
        """
        if offset < partition.next:
            return False
        if partition.awaited is not None:
            if offset != partition.awaited:
                return False
            partition.awaited = None
        elif (gap := offset - partition.next) > MARKS or (gap and not partition.is_checked):
            begin = partition.next
            first = await asyncio.to_thread(first_record, self.role.client, APP, partition.number, begin, offset)
            if self.partitions.open.get(partition.number) is not partition:
                return False
            if first is not None:
                log.warning("read too far ahead, going back", stage=STAGE, partition=partition.number, offset=first)
                partition.awaited = first
                await self._seek(partition)
                return False
        partition.is_checked = True
        return True

    async def _seek(self, partition: Partition) -> None:
        """Ask Kafka again for what is awaited. A batch that Faust is just handing on may undo this: ask until it comes."""
        partition.sought_at = time.monotonic()
        for place in self.app.consumer.assignment():
            if (place.topic, place.partition) == (PULSE, partition.number) and partition.awaited is not None:
                await self.app.consumer.seek(place, partition.awaited)

    # --------------------------------------------------------------------------------------------- time, web

    async def tick(self, now: datetime) -> None:
        """Write the time to every partition of `pulse` that this worker has; show lag and windows."""
        lag = 0
        for number, partition in list(self.partitions.open.items()):
            headers: Any = codec.headers(Tick, event_id=f"{number}-{now.timestamp():.0f}", source=SOURCE, at=now)
            with contextlib.suppress(BufferError, KafkaException):  # silence is noticed by the watchdog
                self._producer.produce(
                    PULSE, codec.encode(Tick(at=now, partition=number)), b"tick", number, headers=headers
                )
            lag += await self._lag(partition)
        self.metrics.lag.labels(STAGE, PULSE).set(lag)
        self.carrier.show(list(self.partitions.open.values()))
        self._producer.poll(0)

    async def _lag(self, partition: Partition) -> int:
        """Return how many offsets up to the last stable one are not folded.

        When all that was fetched is folded and fetching has come to the end, what is left are marks of transactions.
        """
        consumer: Any = self.app.consumer
        for place in consumer.assignment():
            if (place.topic, place.partition) == (PULSE, partition.number):
                end = consumer.highwater(place) or 0
                handed_on = consumer._read_offset[place] or 0  # noqa: SLF001 - Faust has no public name for it
                if handed_on <= partition.next and (await consumer.position(place) or 0) >= end:
                    return 0
                return max(0, end - partition.next)
        return 0

    def shown(self) -> dict[str, Any]:
        """Return the current windows of this worker's brands, for the web view."""
        shown = {}
        for partition in self.partitions.open.values():
            for key in partition.known():
                state = partition.brand(key)
                shown[state.brand] = windows(state, self.carrier.rules(state.brand))
        return shown

    # -------------------------------------------------------------------------------------------- life

    async def run(self) -> None:
        """Work until the role is to stop. Raises what ended the work: a new process goes on."""
        app, role = self.app, self.role
        await asyncio.to_thread(check_topics, role.client)
        app.finalize()
        await leave_for(aiokafka(role.client), APP, app.conf.broker_client_id)
        app.loop = asyncio.get_running_loop()
        try:
            await self._until_stopped(app)
            await self.partitions.commit()
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self.partitions.leave(), STOP_TIMEOUT / 2)
            stopping = asyncio.create_task(app.stop())
            _, late = await asyncio.wait({stopping}, timeout=STOP_TIMEOUT / 2)
            self.hangs = bool(late)  # not cancelled: Faust's services swallow that

    async def _until_stopped(self, app: faust_app.ReputationApp) -> None:
        role = self.role
        await app.start()
        if app.conf.web_enabled:
            role.status.tell(name="reputation windows", address=f"http://127.0.0.1:{app.conf.web_port}/reputation/")
        role.health.ready("assigned", lambda: None if self.partitions.open else "no partitions are assigned yet")
        role.health.alive("loop", self._stuck)
        ticked = committed = 0.0
        while not role.stop.is_set():
            await asyncio.sleep(COMMIT_EVERY)
            now = self.turned_at = time.monotonic()
            self.look_after(now)
            for partition in list(self.partitions.open.values()):
                if partition.awaited is not None and now - partition.sought_at > SEEK_EVERY:
                    await self._seek(partition)
            if now >= committed:
                await self.partitions.commit()
                # Many large states take long to write: at most a quarter of the time goes into it.
                committed = time.monotonic() + 3 * (time.monotonic() - now)
            if now - ticked >= TICK_EVERY:
                ticked = now
                await self.tick(datetime.now(UTC))

    def _stuck(self) -> str | None:
        return "the loop has stood still for a minute" if time.monotonic() - self.turned_at > STALLED else None

    def look_after(self, now: float) -> None:
        """Raise what ended the work, or StalledError when there is no progress. `now` is of the monotonic clock."""
        if self.failure is not None:
            if isinstance(self.failure, EarshotError):
                raise self.failure
            raise StalledError(f"the work ended with {type(self.failure).__name__}: a new process goes on")
        app = self.app
        if app.crashed or app.should_stop:
            reason = getattr(app, "crash_reason", None)
            if isinstance(reason, EarshotError):
                raise reason
            raise StalledError(f"Faust ended itself ({type(reason).__name__}): a new process goes on")
        if not self.partitions.open and not app.rebalancing:
            self.progress_at = now  # more workers than partitions: nothing to do is no stall
        if now - self.progress_at > STALLED:
            raise StalledError(f"no progress for {STALLED:.0f} s: a new process goes on")


def serve(role: Role) -> None:
    """Run a worker until `role.stop`. Raises an EarshotError when a new process is needed."""
    logging.getLogger("faust").setLevel(logging.ERROR)
    logging.getLogger("mode").setLevel(logging.ERROR)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger(faust_app.__name__).setLevel(logging.WARNING)  # mode tells each service's start under it

    loop = asyncio.new_event_loop()
    worker: Worker | None = None

    async def body() -> None:
        nonlocal worker
        worker = Worker(role)
        await worker.run()

    try:
        loop.run_until_complete(body())
    finally:
        if worker is not None and worker.hangs:
            log.error("Faust did not stop, ending all the same", stage=STAGE)
            end = threading.Timer(LAST_WORDS, os._exit, (1,))
            end.daemon = True
            end.start()
        else:
            loop.close()
