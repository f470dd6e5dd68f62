"""The shell of learning: a batch of feedback in, lessons out, one transaction.

Exactly once from `feedback` to `lessons` (KIP-447): lessons, states that are written down, dead letters and offsets are
committed together. `feedback` has one partition, so one worker learns and others stand by. The transactional id is the
stage's: whoever takes the partition first ends what its predecessor left open and fences it, then reads all that is on
`lessons`, which is the state. A batch that cannot be committed ends the process: what it had learned is nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from pipeline.broker.client import aiokafka, steady
from pipeline.broker.predecessors import leave_for
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, FencedError, InvalidMessageError
from pipeline.contract.events import Feedback, KeptModel, Lesson, Mention, Reason
from pipeline.contract.failpoints import POINTS
from pipeline.contract.feedback import says_something
from pipeline.contract.metrics import Metrics
from pipeline.core.learning.gate import Gate, Refused
from pipeline.core.learning.shelf import Shelf, key_of, written_down
from pipeline.core.learning.taking import take
from pipeline.core.taught import KEEP_EVERY
from pipeline.core.triage import Triage
from pipeline.runtime import dead_letters
from pipeline.runtime.lag import behind
from pipeline.runtime.learning.account import Account
from pipeline.runtime.learning.completing import UNKNOWN_DEPARTMENT, UNKNOWN_MENTION, NotWholeError, missing, whole
from pipeline.runtime.learning.erasures import Erasures
from pipeline.runtime.learning.lessons import Lessons
from pipeline.runtime.membership import Membership, joining
from pipeline.runtime.reading import Message
from pipeline.runtime.transactions import is_fatal
from pipeline.topology import FEEDBACK, LESSONS, REVIEW

STAGE: Final = "learning"
GROUP: Final = "earshot-learning"
DEAD: Final = FEEDBACK + "-dlq"
BATCH: Final = 200  # labels in one transaction at the most: each costs some milliseconds
LINGER: Final = 0.02  # seconds a batch waits for more
TURN: Final = 0.2  # seconds a turn waits for the first
TRANSACTION_TIMEOUT: Final = 30.0  # seconds until the broker aborts what a dead worker left open
COMMIT_TIMEOUT: Final = 15.0
SOURCE: Final = "/earshot/learning"
DEAD_REASONS: Final = (
    Reason.UNDECODABLE.value,
    Reason.INVALID.value,
    Reason.TOO_LARGE.value,
    Reason.FAILED.value,
    UNKNOWN_MENTION,
    UNKNOWN_DEPARTMENT,
)

log = structlog.get_logger(__name__)
Clock = Callable[[], datetime]


class LearningWorker:
    """One worker of the stage learning. `run()` blocks until `stop()`."""

    def __init__(
        self, config: Config, client: Mapping[str, Any], metrics: Metrics, *, instance: str, clock: Clock | None = None
    ) -> None:
        self.config = config
        self.client = dict(client)
        self.metrics = metrics
        self.clock = clock or (lambda: datetime.now(UTC))
        self.triage = Triage(config)
        self.limit = dead_letters.Limit(config.triage.dead_letter_limit, config.triage.dead_letter_window, DEAD)
        self.alive_at = time.monotonic()
        self.has_partition = False
        self.is_learning = False
        self.stands_by = False  # is a member of the group, and another one learns
        self._departments = {*config.departments, REVIEW}
        self._next: int | None = None
        self._producer: Producer | None = None
        self._shelf = Shelf()
        self._gate = Gate(config.learning)
        self._erasures = Erasures(client)
        self._stopping = False
        self._name = f"earshot-learning-{instance}"
        self.account = Account(metrics, STAGE)
        metrics.declare(STAGE, topics=[LESSONS, DEAD])
        for refused in Refused:
            metrics.discarded.labels(STAGE, refused.value)
        for reason in DEAD_REASONS:
            metrics.dead_letters.labels(STAGE, reason)
        metrics.lag.labels(STAGE, FEEDBACK)
        self.consumer = Consumer(
            joining(self.client, GROUP, self._name, heartbeat_interval_ms=1500, max_poll_interval_ms=120_000)
        )
        self.membership = Membership(metrics, STAGE)

    def stop(self) -> None:
        """Ask `run()` to end after the current batch."""
        self._stopping = True

    def run(self) -> None:
        """Work until `stop()`. Raises FencedError, DeadLetterLimitError or BrokerUnavailableError."""
        try:
            asyncio.run(leave_for(aiokafka(self.client), GROUP, self._name))
            self.consumer.subscribe(
                [FEEDBACK], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not self._stopping:
                self._turn()
        except KafkaException as error:
            raise BrokerUnavailableError(
                f"Kafka at {self.client.get('bootstrap.servers')} does not answer: {error.args[0].str()}. What was not "
                "committed is learned by the next worker"
            ) from None
        finally:
            self.has_partition = self.is_learning = False
            self._erasures.close()
            self.consumer.close()

    def _turn(self) -> None:
        found = self.membership.read(self.consumer, BATCH, wait=TURN, linger=LINGER)
        self.alive_at = time.monotonic()
        if self.has_partition and not self.is_learning:
            self._take_over()
        messages = [message for message in found if message.partition() == 0]
        if self.is_learning:
            self._forget(self._erasures.new())
            if messages:
                self._carry(messages)
            self.metrics.lag.labels(STAGE, FEEDBACK).set(behind(self.consumer, FEEDBACK, [0]))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.membership.assigned(consumer)
        self.has_partition = any(place.partition == 0 for place in partitions)
        if any(place.partition > 0 for place in partitions):
            log.warning("only the first partition is learned from: the topic must have one", topic=FEEDBACK)
        self.stands_by = not self.has_partition
        self.is_learning = False
        self._next = None
        consumer.assign(partitions)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.membership.revoked()
        if any(place.partition == 0 for place in partitions):
            self.has_partition = self.is_learning = False

    def _take_over(self) -> None:
        """Become the one that learns: fence whoever did, then know what is committed."""
        self._producer = Producer(
            {
                **self.client,
                **steady(),
                "transactional.id": GROUP,
                "transaction.timeout.ms": int(TRANSACTION_TIMEOUT * 1000),
                "client.id": GROUP,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "message.max.bytes": 2_500_000,
            }
        )
        self._producer.init_transactions(COMMIT_TIMEOUT)
        reader = Lessons(self.client)
        try:
            self._shelf = reader.read()
        finally:
            reader.close()
        began = time.monotonic()
        self._gate = Gate(self.config.learning)
        for number in sorted(self._shelf.lessons):
            self._gate.count(self._shelf.lessons[number])
        self.triage.taught = self._shelf.taught(self.config.learning.proof)
        self.is_learning = True
        self._forget(self._erasures.read())
        self.account.state(self.triage.taught)
        log.info(
            "learning",
            stage=STAGE,
            lessons=self.triage.taught.number,
            version=self.triage.taught.version,
            seconds=round(time.monotonic() - began, 3),
        )

    def _forget(self, erased: AbstractSet[str]) -> None:
        """Take the lessons of erased mentions away, and write down what is known without them, in one transaction."""
        known = self._shelf.lessons
        lessons = [known[number] for number in sorted(known) if known[number].id in erased] if erased else []
        if not lessons:
            return
        producer, now = self._producer, self.clock()
        assert producer is not None
        with self._transaction(producer):
            for lesson in lessons:
                self._gate.forget(lesson)
                self._remove(producer, f"lesson/{lesson.number}")
            if self.triage.unlearn({lesson.number for lesson in lessons}):
                for number in self._shelf.whole():
                    for part in list(self._shelf.states[number]):
                        self._remove(producer, f"kept/{number}/{part}")  # they know the words
                for state in written_down(self.triage.taught, now):
                    self._write(producer, state, now)
            producer.commit_transaction(COMMIT_TIMEOUT)
        log.info("forgotten", stage=STAGE, lessons=len(lessons))

    # ------------------------------------------------------------------------------------------------- a batch

    def _carry(self, messages: Sequence[Message]) -> None:
        """Learn from one batch in one transaction. Raises what ends the process where it cannot be committed."""
        producer = self._producer
        assert producer is not None
        began, now = time.monotonic(), self.clock()
        self.account.begin()
        mentions = missing(self.client, messages)
        with self._transaction(producer):
            for message in messages:
                self._message(producer, message, mentions, now)
            self._tidy(producer, now)
            self.limit.count(self.account.received, self.account.dead)
            if POINTS:
                producer.flush(COMMIT_TIMEOUT)
                POINTS.reach("learning.before_commit")
            if self._next is not None:
                offsets = [TopicPartition(FEEDBACK, 0, self._next)]
                producer.send_offsets_to_transaction(offsets, self.membership.member, COMMIT_TIMEOUT)
            producer.commit_transaction(COMMIT_TIMEOUT)
            if POINTS:
                POINTS.reach("learning.after_commit")
        self.account.commit(self.triage.taught, self.clock(), time.monotonic() - began)

    @contextlib.contextmanager
    def _transaction(self, producer: Producer) -> Iterator[None]:
        """Begin a transaction, which the block commits; what fails is aborted and raised, and ends the process."""
        producer.begin_transaction()
        try:
            yield
        except KafkaException as error:
            self.metrics.transactions.labels(STAGE, "aborted").inc()
            with contextlib.suppress(KafkaException):
                producer.abort_transaction(COMMIT_TIMEOUT)
            if is_fatal(error.args[0]):
                raise self._fenced(error.args[0]) from None
            raise
        except BaseException:
            with contextlib.suppress(KafkaException):
                producer.abort_transaction(COMMIT_TIMEOUT)
            raise

    def _fenced(self, error: KafkaError) -> FencedError:
        self.metrics.transactions.labels(STAGE, "fenced").inc()
        return FencedError(f"another worker learns now: {error.str()}")

    def _message(self, producer: Producer, message: Message, mentions: Mapping[str, Any], now: datetime) -> None:
        if self._next is not None and message.offset() < self._next:
            return  # read before the partition went and came back
        self._next = message.offset() + 1
        self.account.received += 1
        try:
            feedback = whole(codec.decode(Feedback, message.value()), mentions, self._departments)
            self._learn(producer, feedback, now)
        except InvalidMessageError as error:
            self._dead_letter(producer, message, error.reason.value, str(error), now)
        except NotWholeError as error:
            self._dead_letter(producer, message, error.reason, str(error), now)
        except KafkaException:
            raise
        except Exception as error:  # an error of ours: the feedback is kept, the worker goes on
            log.exception("learning failed", stage=STAGE, offset=message.offset())
            self._dead_letter(producer, message, Reason.FAILED.value, type(error).__name__, now)

    def _learn(self, producer: Producer, feedback: Feedback, now: datetime) -> None:
        mention: Mention = feedback.mention  # type: ignore[assignment]  # `_whole` saw to it
        if not says_something(feedback):
            raise NotWholeError(Reason.INVALID.value, "it says nothing: department, ours, done, sentiment or spam")
        if mention.id in self._erasures.gone:
            self.account.feedback(feedback, Refused.ERASED)
            return
        refused: Refused | None = None
        learned = 0
        for taken in take(self.triage, self._gate, self.config.learning, feedback, mention, now):
            if isinstance(taken, Refused):
                refused = taken
                continue
            lesson, predicted = taken
            learned += 1
            self.account.lesson(lesson, predicted)
            self._write(producer, lesson, now)
            if lesson.number % KEEP_EVERY == 0:
                for part in written_down(self.triage.taught, now):
                    self._write(producer, part, now)
        self.account.feedback(feedback, None if learned else refused or Refused.NOTHING)

    def _write(self, producer: Producer, event: Lesson | KeptModel, now: datetime) -> None:
        key, value = key_of(event), codec.encode(event)
        self._shelf.put(key.encode(), value)
        headers = codec.headers(type(event), event_id=key, source=SOURCE, at=now)
        self._produce(producer, LESSONS, value, key, headers)

    def _tidy(self, producer: Producer, now: datetime) -> None:
        """Take away what nobody needs any more, after a state was written down."""
        if not self.account.wrote_state:
            return
        since = now - timedelta(seconds=self.config.learning.window)
        for key in list(self._shelf.expendable(self.triage.taught.remembered, since)):
            kind, _, number = key.partition("/")
            if kind == "lesson":
                self._gate.forget(self._shelf.lessons[int(number)])
            self._remove(producer, key)

    def _remove(self, producer: Producer, key: str) -> None:
        self._shelf.put(key.encode(), None)
        self._produce(producer, LESSONS, None, key, [])

    def _dead_letter(self, producer: Producer, message: Message, reason: str, error: str, now: datetime) -> None:
        headers = dead_letters.mark(
            message.headers(),
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            reason=reason,
            error=error,
            stage=STAGE,
            now=now,
        )
        self._produce(producer, DEAD, message.value(), message.key(), headers)
        self.account.letter(reason)

    def _produce(
        self, producer: Producer, topic: str, value: bytes | None, key: str | bytes | None, headers: Any
    ) -> None:
        self.account.sent[topic] += 1
        while True:
            try:
                producer.produce(topic, value, key, 0, headers=headers)  # each of them has one partition
                return
            except BufferError:  # the local queue is full: wait for the broker, never grow
                producer.poll(0.1)
