"""The partitions a worker has: their states, what is not committed yet, and the transaction that commits it.

One transaction a partition and half second: the changed states, the alerts, the heartbeats, the dead letters and the
offset of `pulse` become visible together or not at all. The transactional id is the partition's, so whoever opens a
partition ends what its previous owner left open, and fences it; only then are states and offset read. A partition that
was taken away and comes back is read anew, nothing of before is believed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from pipeline.broker.client import aiokafka
from pipeline.contract.errors import BrokerUnavailableError, FencedError
from pipeline.contract.metrics import Metrics
from pipeline.core.reputation.state import Brand, dump, load
from pipeline.runtime.dead_letters import Limit
from pipeline.runtime.reputation.restoring import Restored, restore
from pipeline.topology import BRANDS, PULSE

STAGE: Final = "reputation"
TRANSACTION_TIMEOUT: Final = 30.0  # seconds after which Kafka itself ends what a dead worker left open
COMMIT_TIMEOUT: Final = 20.0
_STATE: Final = [("content-type", b"application/zlib")]

log = structlog.get_logger(__name__)


@dataclass
class Record:
    """What is to be written with the next commit, to the partition number the input came from."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    partition: int | None  # None: the topic has one partition only


@dataclass
class Partition:
    """One partition of `pulse`. `next` is the first offset that is not folded, `committed` the first not committed."""

    number: int
    producer: AIOKafkaProducer
    committed: int
    raw: dict[bytes, bytes]
    next: int = 0
    is_checked: bool = False  # whether the first record read is known to be the first there is
    awaited: int | None = None  # what is read before this offset comes was fetched too early
    sought_at: float = 0.0  # monotonic, when Kafka was last asked for `awaited`
    messages: list[Any] = field(default_factory=list)  # what is folded and not committed
    brands: dict[bytes, Brand] = field(default_factory=dict)
    changed: set[bytes] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    counts: Counter[Any] = field(default_factory=Counter)  # of metric children, counted when committed
    received: int = 0
    dead: int = 0
    poison: set[int] = field(default_factory=set)  # offsets that made the fold fail
    is_broken: bool = False  # a commit did not end well: only a new owner knows what is committed

    def __post_init__(self) -> None:
        self.next = self.committed

    def brand(self, key: bytes) -> Brand:
        """Return the state of a brand."""
        state = self.brands.get(key)
        if state is None:
            raw = self.raw.get(key)
            state = self.brands[key] = load(raw) if raw else Brand(key.decode())
        return state

    def known(self) -> list[bytes]:
        """Return the keys of the brands this partition has states of."""
        return list({**self.raw, **self.brands})

    def forget(self) -> None:
        """Go back to what is committed."""
        self.next = self.committed
        self.brands.clear()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Start what goes into the next commit."""
        self.messages, self.changed, self.records, self.counts = [], set(), [], Counter()
        self.received = self.dead = 0


class Partitions:
    """All partitions of this worker. Every change of what it has, and every commit, is under one lock."""

    def __init__(self, client: Mapping[str, Any], group: str, metrics: Metrics, limit: Limit) -> None:
        self.client = client
        self.group = group
        self.metrics = metrics
        self.limit = limit
        self.open: dict[int, Partition] = {}
        self.committed_at = time.monotonic()
        self._lock = asyncio.Lock()

    async def take(self, numbers: Iterable[int]) -> None:
        """Become the one owner of exactly these partitions: fence whoever had them, then read what is committed."""
        began = time.monotonic()
        async with self._lock:
            await self._drop()
            producers = dict(zip(wanted := sorted(numbers), await self._producers(wanted), strict=True))
            try:
                found = await asyncio.to_thread(restore, self.client, self.group, wanted)
            except BaseException:
                await asyncio.gather(*(producer.stop() for producer in producers.values()), return_exceptions=True)
                raise
            self.open = {number: self._partition(number, producers[number], found[number]) for number in wanted}
        states = sum(len(partition.raw) for partition in self.open.values())
        seconds = round(time.monotonic() - began, 3)
        log.info("partitions taken", stage=STAGE, partitions=wanted, brands=states, seconds=seconds)

    def _partition(self, number: int, producer: AIOKafkaProducer, found: Restored) -> Partition:
        return Partition(number, producer, found.next, found.states)

    async def _producers(self, numbers: list[int]) -> list[AIOKafkaProducer]:
        producers = [
            AIOKafkaProducer(
                **aiokafka(self.client),
                transactional_id=f"{self.group}-{number}",
                transaction_timeout_ms=int(TRANSACTION_TIMEOUT * 1000),
                compression_type="lz4",
                max_request_size=2_000_000,
            )
            for number in numbers
        ]
        results = await asyncio.gather(*(producer.start() for producer in producers), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            await asyncio.gather(*(producer.stop() for producer in producers), return_exceptions=True)
            raise BrokerUnavailableError(f"no transaction can be begun: {failed[0]}")
        return producers

    async def leave(self) -> None:
        """Commit what is done, then have no partitions. What cannot be committed is done again by the next owner."""
        async with self._lock:
            try:
                await self._commit()
            except Exception as error:
                log.warning("left without a commit", stage=STAGE, error=type(error).__name__)
            await self._drop()

    async def _drop(self) -> None:
        left, self.open = self.open, {}
        await asyncio.gather(*(partition.producer.stop() for partition in left.values()), return_exceptions=True)

    async def refold(self, partition: Partition, carry: Callable[[Partition, Any], None]) -> None:
        """Go back to what is committed and carry again what was not: an error has left states half changed."""
        async with self._lock:
            messages = partition.messages
            partition.forget()
            for message in messages:
                carry(partition, message)

    async def commit(self) -> None:
        """Commit what was folded since the last time. Raises FencedError, BrokerUnavailableError, DeadLetterLimitError."""
        async with self._lock:
            await self._commit()

    async def _commit(self) -> None:
        for partition in list(self.open.values()):
            if partition.next > partition.committed and not partition.is_broken:
                await self._commit_one(partition)

    async def _commit_one(self, partition: Partition) -> None:
        began = time.monotonic()
        self.limit.count(partition.received, partition.dead)
        # From here to the first `await` nothing is folded: states, records and offset belong together.
        offset, counts, records = partition.next, partition.counts, partition.records
        states = {key: dump(partition.brands[key]) for key in partition.changed}
        partition.begin_anew()
        records += [Record(BRANDS, key, value, list(_STATE), partition.number) for key, value in states.items()]
        partition.is_broken = True
        try:
            await asyncio.wait_for(self._transact(partition, records, offset), COMMIT_TIMEOUT)
        except ProducerFenced:
            self.metrics.transactions.labels(STAGE, "fenced").inc()
            raise FencedError(f"another worker has partition {partition.number} of {PULSE} now") from None
        except (KafkaError, TimeoutError) as error:
            self.metrics.transactions.labels(STAGE, "aborted").inc()
            raise BrokerUnavailableError(
                f"what was folded could not be committed ({type(error).__name__}): a new process does it again"
            ) from None
        partition.is_broken = False
        partition.committed = offset
        partition.raw.update(states)
        self.committed_at = time.monotonic()
        for child, count in counts.items():
            child.inc(count)
        self.metrics.transactions.labels(STAGE, "committed").inc()
        self.metrics.stage_seconds.labels(STAGE).observe(self.committed_at - began)

    async def _transact(self, partition: Partition, records: list[Record], offset: int) -> None:
        producer = partition.producer
        await producer.begin_transaction()
        sent = []
        for record in records:
            place = 0 if record.partition is None else record.partition
            sent.append(
                await producer.send(record.topic, record.value, key=record.key, partition=place, headers=record.headers)
            )
        await asyncio.gather(*sent)
        await producer.send_offsets_to_transaction({TopicPartition(PULSE, partition.number): offset}, self.group)
        await producer.commit_transaction()
