"""The shell of triage: a batch of mentions in, decisions out, one transaction.

Exactly once from `mentions` to every topic triage writes (KIP-447): results and offsets are committed in one
transaction that carries the consumer group's metadata, so a worker that lost its partitions cannot commit. Measured
against kill -9 and pauses in `tests/integration`. What is decided is decided in `pipeline.core.triage`.

Order: mentions of one conversation keep their order, because they share a partition on the way in and out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.broker.client import aiokafka
from pipeline.broker.predecessors import leave_for
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
from pipeline.contract.events import Erasure, Feedback, Heartbeat, JudgedMention, Mention, Pulse, Reason, Voice
from pipeline.contract.metrics import Metrics
from pipeline.core.dedup import Memory
from pipeline.core.learning.saying import of_stars
from pipeline.core.triage import Triage
from pipeline.core.verdicts import Discard
from pipeline.runtime import dead_letters
from pipeline.runtime.batch import Batch
from pipeline.runtime.deep.asking import second_of
from pipeline.runtime.lag import behind
from pipeline.runtime.learning.following import Following
from pipeline.runtime.membership import Membership, joining
from pipeline.runtime.memories import restore
from pipeline.runtime.reading import Message
from pipeline.runtime.transactions import Transactions
from pipeline.topology import DEPARTMENT, ENRICHED, ERASURES, FEEDBACK, MENTIONS, PULSE

STAGE: Final = "triage"
GROUP: Final = "earshot-triage"
DEAD: Final = MENTIONS + "-dlq"
SOURCE: Final = "/earshot/triage"

log = structlog.get_logger(__name__)
Clock = Callable[[], datetime]


class TriageWorker:
    """One worker of the stage triage. `run()` blocks until `stop()` and leaves nothing half done.

    `client` are confluent-kafka settings (bootstrap, security). `instance` names this worker among those of one
    machine; together with the host it is the transactional id and the name in the consumer group, so that a restarted
    worker at once ends what its predecessor left open, and lets it leave the group.
    """

    def __init__(
        self,
        config: Config,
        client: Mapping[str, Any],
        metrics: Metrics,
        *,
        instance: str,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self.client = dict(client)
        self.metrics = metrics
        self.clock = clock or (lambda: datetime.now(UTC))
        self.second = second_of(config, metrics)
        self.triage = Triage(config, deep=self.second.version if self.second else None)
        self.following = Following(
            self.client, self.triage, metrics, STAGE, proof=config.learning.proof, clock=self.clock
        )
        self.limit = dead_letters.Limit(config.triage.dead_letter_limit, config.triage.dead_letter_window)
        self.memories: dict[int, Memory] = {}
        self.next: dict[int, int | None] = {}  # partitions we have, with the next offset we will accept
        self.alive_at = time.monotonic()
        self.is_ready = False
        self._stopping = False
        self.membership = Membership(metrics, STAGE)
        self._name = f"earshot-triage-{instance}"
        topics = [
            ENRICHED,
            PULSE,
            DEAD,
            ERASURES,
            FEEDBACK,
            *(DEPARTMENT + name for name in (*config.departments, "review")),
        ]
        metrics.declare(STAGE, reasons=[reason.value for reason in Reason], topics=topics)
        self.consumer = Consumer(
            joining(
                self.client,
                GROUP,
                self._name,
                heartbeat_interval_ms=500,  # a rebalance waits until every member has heard of it by its next one
                max_poll_interval_ms=45_000,
                queued_max_messages_kbytes=65_536,
            )
        )
        self.transactions = Transactions(self.client, metrics, stage=STAGE, name=self._name, reads=MENTIONS)

    def stop(self) -> None:
        """Ask `run()` to end after the current batch."""
        self._stopping = True

    def run(self) -> None:
        """Work until `stop()`. Raises FencedError, DeadLetterLimitError or BrokerUnavailableError."""
        try:
            self.transactions.begin()
            self.following.begin()
            asyncio.run(leave_for(aiokafka(self.client), GROUP, self._name))
            self.consumer.subscribe(
                [MENTIONS], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not self._stopping:
                messages = self._read()
                self.alive_at = time.monotonic()
                self.following.follow()
                if messages:
                    self._carry(messages)
                elif self.transactions.is_idle:
                    self._settle()
                self.metrics.lag.labels(STAGE, MENTIONS).set(behind(self.consumer, MENTIONS, self.next))
            self._settle()
        except KafkaException as error:  # what could not be undone either: a new process begins where this one did
            raise BrokerUnavailableError(
                f"Kafka at {self.client.get('bootstrap.servers')} does not answer: {error.args[0].str()}. What was not "
                "committed is done again by the next worker"
            ) from None
        finally:
            self.is_ready = False
            self.transactions.close()
            self.following.close()
            if self.second is not None:
                self.second.close()
            self.consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.membership.assigned(consumer)
        # Memories are rebuilt with the first message of a partition: a callback must not take long.
        self.next = dict.fromkeys((place.partition for place in partitions), None)
        self.memories.clear()
        consumer.assign(partitions)
        self.is_ready = True

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.membership.revoked()
        for place in partitions:
            self.next.pop(place.partition, None)
            self.memories.pop(place.partition, None)
        self._settle()  # while we may still commit what we have done: nobody has to do it again

    def _read(self) -> list[Message]:
        """Wait for a first message, then gather for `linger` or until the batch is full: few wait short, many share a commit."""
        settings = self.config.triage
        return self.membership.read(self.consumer, settings.batch, wait=0.5, linger=settings.linger)

    def _carry(self, messages: Sequence[Message]) -> None:
        """Judge one batch while the one before is committed, then start its transaction."""
        if any(message.partition() not in self.memories for message in messages):
            if not self._settle(unread=messages):
                return
            self._restore(messages)
        batch = Batch()
        now = self.clock()
        if self.second is not None:
            self.second.ask(self.triage, self._readable(messages))
        for message in messages:
            self._message(message, batch, now)
        for pulse in batch.pulse.records(now):
            batch.send(PULSE, codec.encode(pulse), pulse.brand, self._headers(Pulse, pulse.brand, now))
        if not self._settle(batch):
            return  # what came before is read again, and this after it
        if batch.next:
            self.limit.count(batch.received, sum(batch.dead.values()))
            self.transactions.send(batch, self.membership.member)
            self.next.update(batch.next)

    def _readable(self, messages: Sequence[Message]) -> Iterator[tuple[Mention, Memory]]:
        """Yield what the stronger sentiment model may be asked about; what cannot be read is reported when judged."""
        for message in messages:
            memory = self.memories.get(message.partition())
            if memory is not None:
                with suppress(InvalidMessageError):
                    yield codec.decode(Mention, message.value()), memory

    def _restore(self, messages: Sequence[Message]) -> None:
        """Rebuild the memories that this batch needs, while no transaction of ours is open.

        Restoring waits for transactions that are open on a partition: two workers that did so while their own were open
        would wait for each other.
        """
        missing = {message.partition() for message in messages} & self.next.keys() - self.memories.keys()
        if missing:
            self.memories |= restore(self.client, missing, self.config.triage.dedup_window)

    def _settle(self, *later: Batch, unread: Sequence[Message] = ()) -> bool:
        """Wait for the transaction under way; where it was undone, undo it in memory and go back, `later` first.

        The same mentions are read again by whoever has the partition, and so are those that were read and not judged.
        Returns whether all is well.
        """
        undone = self.transactions.settle()
        if undone is None:
            return True
        back: dict[int, int] = {}
        for message in unread:
            partition, offset = message.partition(), message.offset()
            back.setdefault(partition, max(offset, self.next.get(partition) or 0))
        for batch in (*later, undone):
            for partition, mark in batch.marks.items():
                if partition in self.memories:
                    self.memories[partition].undo(mark)
            back.update(batch.first)
        for partition, offset in back.items():
            if partition in self.next:
                self.next[partition] = offset
                self.consumer.seek(TopicPartition(MENTIONS, partition, offset))
        return False

    def _message(self, message: Message, batch: Batch, now: datetime) -> None:
        partition, offset = message.partition(), message.offset()
        expected = batch.next.get(partition, self.next.get(partition))
        if partition not in self.next or (expected is not None and offset < expected):
            return  # read before a rebalance took the partition away or gave it back
        batch.received += 1
        batch.first.setdefault(partition, offset)
        batch.next[partition] = offset + 1
        memory = self.memories[partition]
        if partition not in batch.marks:
            batch.marks[partition] = memory.mark()
        try:
            mention = codec.decode(Mention, message.value())
            is_first = memory.latest(mention.id) is None
            verdict = self.triage.judge(mention, memory, now)
        except InvalidMessageError as error:
            self._dead_letter(message, batch, error.reason, str(error), now)
        except Exception as error:  # an error of ours: the text is kept, the worker goes on
            log.exception("triage failed", stage=STAGE, partition=partition, offset=offset)
            self._dead_letter(message, batch, Reason.FAILED, type(error).__name__, now)
        else:
            if isinstance(verdict, Discard):
                self._discard(mention, verdict, batch, partition, now)
            else:
                self._judged(message, mention, verdict, batch, now, is_first=is_first)

    def _judged(
        self, message: Message, mention: Mention, judged: JudgedMention, batch: Batch, now: datetime, *, is_first: bool
    ) -> None:
        value, key = codec.encode(judged), mention.key
        headers = self._headers(
            JudgedMention,
            f"{judged.id}@{judged.revision}",
            now,
            codec.listed("ce_departments", judged.departments),
            codec.listed("ce_brands", judged.brands),
            ("ce_story", (judged.story or "").encode()),
        )
        batch.send(ENRICHED, value, key, headers, message.partition())
        for department in judged.departments:
            batch.send(DEPARTMENT + department, value, key, headers)
        if judged.is_withdrawn:
            self._erase(mention, judged.departments, batch, now)
        elif mention.rating is not None and judged.reason is None and self.config.learning.stars:
            self._stars(mention, batch, now)
        batch.add(judged, now, is_first=is_first)

    def _stars(self, mention: Mention, batch: Batch, now: datetime) -> None:
        """Pass on what the stars of a review say about how its text feels."""
        label, author = of_stars(mention), mention.author
        if label is None:
            return
        by = (author.id or author.handle or author.name if author else None) or mention.source
        said = Feedback(id=mention.id, at=now, by=by, voice=Voice.STARS, sentiment=label, mention=mention)
        headers = self._headers(Feedback, f"stars-{mention.id}@{mention.revision}", now)
        batch.send(FEEDBACK, codec.encode(said), mention.id, headers, 0)

    def _discard(self, mention: Mention, discard: Discard, batch: Batch, partition: int, now: datetime) -> None:
        batch.discarded[discard.reason.value] += 1
        if discard.reason is Reason.HEARTBEAT:
            beat = Heartbeat(partition=partition, sent_at=mention.created_at, stage=STAGE, passed_at=now)
            headers = self._headers(Heartbeat, mention.id, now)
            batch.send(PULSE, codec.encode(beat), f"heartbeat-{partition}", headers, partition)
            batch.heartbeat = now
        elif discard.reason is Reason.WITHDRAWN:
            self._erase(mention, (), batch, now)

    def _erase(self, mention: Mention, departments: tuple[str, ...], batch: Batch, now: datetime) -> None:
        erasure = Erasure(id=mention.id, reason=mention.state, at=now, departments=departments)
        batch.send(ERASURES, codec.encode(erasure), mention.id, self._headers(Erasure, mention.id, now))

    def _dead_letter(self, message: Message, batch: Batch, reason: Reason, error: str, now: datetime) -> None:
        batch.dead[reason.value] += 1
        headers = dead_letters.mark(
            message.headers(),
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            reason=reason.value,
            error=error,
            stage=STAGE,
            now=now,
        )
        batch.send(DEAD, message.value(), message.key(), headers)

    def _headers(self, event: type, event_id: str, now: datetime, *extra: tuple[str, bytes]) -> codec.Headers:
        return codec.headers(event, event_id=event_id, source=SOURCE, at=now, extra=extra)
