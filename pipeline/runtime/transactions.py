"""Batches to Kafka, one transaction after the other, while the next batch is judged.

A commit waits for the broker, and a processor that waits for it judges nothing meanwhile. So what a batch writes is
gathered first, and its transaction is carried out by a thread of its own: produce, offsets, commit. One is under way
at a time, in the order of the batches. Whoever begins the next one settles the one before: what was aborted is given
back, to be undone and read again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from pipeline.broker.client import steady
from pipeline.contract.errors import BrokerUnavailableError, FencedError
from pipeline.contract.failpoints import POINTS
from pipeline.contract.metrics import Metrics
from pipeline.runtime.batch import Batch, Record

# Seconds until the broker aborts what a worker that stands still left open: whoever takes its partitions reads what it
# wrote, and waits for that. A little more than the session timeout, after which they are taken.
TRANSACTION_TIMEOUT: Final = 7.0
COMMIT_TIMEOUT: Final = 15.0  # seconds; a commit or an abort that takes longer is left to a new process
_FATAL: Final = (
    KafkaError._FATAL,  # noqa: SLF001
    KafkaError._FENCED,  # noqa: SLF001
)

log = structlog.get_logger(__name__)


def is_fatal(error: KafkaError) -> bool:
    """Whether a client is of no use any more after this error; a consumer's does not always say so itself."""
    return error.fatal() or error.code() in _FATAL


def fenced(error: KafkaError, metrics: Metrics, stage: str) -> FencedError:
    """Return what a worker ends with after such an error, and count it."""
    metrics.transactions.labels(stage, "fenced").inc()
    return FencedError(
        f"another worker has taken this one's place: {error.str()}. It is started again and goes on; where it happens over "
        "and over, two run under one name: give each an --instance of its own"
    )


@dataclass(frozen=True, slots=True)
class _UnderWay:
    batch: Batch
    outcome: Future[KafkaError | None]


class Transactions:
    """The transactions of one worker of a stage that reads one topic. Not for several threads at once.

    `name` is the transactional id: a process that takes it over ends what its predecessor left open, at once.
    """

    def __init__(self, client: Mapping[str, Any], metrics: Metrics, *, stage: str, name: str, reads: str) -> None:
        self._metrics = metrics
        self._stage, self._reads = stage, reads
        self._bootstrap = client.get("bootstrap.servers")
        self._under_way: _UnderWay | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{stage}-commit")
        self.producer = Producer(
            {
                **client,
                **steady(),
                "transactional.id": name,
                "transaction.timeout.ms": int(TRANSACTION_TIMEOUT * 1000),
                "client.id": name,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": 2_500_000,
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 262_144,
            }
        )

    def begin(self) -> None:
        """End what a predecessor left open. Raises BrokerUnavailableError."""
        try:
            self.producer.init_transactions(COMMIT_TIMEOUT)
        except KafkaException as error:
            raise BrokerUnavailableError(
                f"Kafka does not answer at {self._bootstrap}: {error.args[0].str()}. Is it running, and is --broker right?"
            ) from None

    def send(self, batch: Batch, member: Any) -> None:
        """Start the transaction of a batch; the one before must be settled.

        `member` is the consumer's group metadata: whoever has lost its partitions since then cannot commit.
        """
        if self._under_way is not None:
            raise RuntimeError("a transaction is under way: settle it before the next one")
        self._under_way = _UnderWay(batch, self._thread.submit(self._carry_out, batch, member))

    def settle(self) -> Batch | None:
        """Wait for the transaction under way. Return its batch where that was undone, None where all is well.

        Raises FencedError where another has taken this one's place, and KafkaException where it can neither be
        committed nor undone.
        """
        if self._under_way is None:
            return None
        (batch, outcome), self._under_way = (self._under_way.batch, self._under_way.outcome), None
        try:
            error = outcome.result()
        except BaseException:
            self.producer.abort_transaction(COMMIT_TIMEOUT)
            raise
        if error is None:
            return None
        if is_fatal(error):
            raise fenced(error, self._metrics, self._stage)
        log.warning("transaction aborted", stage=self._stage, error=error.name())
        self._metrics.transactions.labels(self._stage, "aborted").inc()
        self.producer.abort_transaction(COMMIT_TIMEOUT)
        return batch

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, or what is has come to its end."""
        return self._under_way is None or self._under_way.outcome.done()

    def close(self) -> None:
        """Wait until the thread has ended."""
        self._thread.shutdown(wait=True)

    def _carry_out(self, batch: Batch, member: Any) -> KafkaError | None:
        """Produce, hand over the offsets, commit, count: one transaction. Return what stopped it."""
        try:
            self.producer.begin_transaction()
            if POINTS:
                POINTS.reach(f"{self._stage}.before_produce")
            self._produce(batch.records)
            if POINTS:
                self.producer.flush(COMMIT_TIMEOUT)
                POINTS.reach(f"{self._stage}.after_produce")
                POINTS.reach(f"{self._stage}.before_offsets")
            offsets = [TopicPartition(self._reads, partition, offset) for partition, offset in batch.next.items()]
            self.producer.send_offsets_to_transaction(offsets, member, COMMIT_TIMEOUT)
            if POINTS:
                POINTS.reach(f"{self._stage}.before_commit")
            self._commit()
            if POINTS:
                POINTS.reach(f"{self._stage}.after_commit")
        except KafkaException as error:
            stopped: KafkaError = error.args[0]
            return stopped
        batch.count(self._metrics, self._stage)
        return None

    def _produce(self, records: Iterable[Record]) -> None:
        produce, poll = self.producer.produce, self.producer.poll
        for topic, value, key, partition, headers in records:
            while True:
                try:
                    produce(topic, value, key, partition, headers=headers)
                    break
                except BufferError:  # the local queue is full: wait for the broker, never grow
                    poll(0.1)

    def _commit(self) -> None:
        deadline = time.monotonic() + COMMIT_TIMEOUT
        while True:
            try:
                self.producer.commit_transaction(COMMIT_TIMEOUT)
                return
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
