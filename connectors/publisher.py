"""To Kafka: a page of mentions, its checkpoint and its coverage in one transaction, or none of it.

Exactly once: the connector instance is the transactional id. Starting a publisher first fences whoever used that id
before, and only then reads the last committed checkpoint; in the other order a zombie could still commit a page
between the two. A fenced publisher gets FencedError and can write nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    IllegalStateError,
    InvalidProducerEpoch,
    KafkaError,
    ProducerClosed,
    ProducerFenced,
)

from connectors.base import Rejected
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, FencedError, InvalidMessageError
from pipeline.contract.events import Checkpoint, Coverage, Mention, Reason
from pipeline.contract.failpoints import POINTS
from pipeline.topology import CHECKPOINTS, COVERAGE, MENTIONS

TRANSACTION_TIMEOUT: Final = 15.0  # seconds after which Kafka aborts what a dead instance left open
START_TIMEOUT: Final = 60.0
MAX_REQUEST: Final = 2_000_000  # bytes; the topics' own limit
_FENCED: Final = (ProducerFenced, InvalidProducerEpoch)


class Publisher(Protocol):
    """Where pages go. One per connector instance; not to be used by two tasks at once."""

    async def start(self) -> Checkpoint | None:
        """Take over from a predecessor and return its last committed checkpoint.

        Raises BrokerUnavailableError; may be called again then.
        """

    async def publish(
        self,
        mentions: Sequence[Mention],
        checkpoint: Checkpoint | None,
        coverage: Sequence[Coverage] = (),
        rejected: Sequence[Rejected] = (),
    ) -> None:
        """Write all of it or nothing; return when it is committed.

        Raises FencedError when another instance has taken over, BrokerUnavailableError when the outcome is unknown:
        then `start` again, and go on from the checkpoint it returns.
        """

    async def close(self) -> None:
        """Let go. Never raises."""


def transactional_id(connector: str) -> str:
    """Return the id by which Kafka knows an instance, wherever it runs."""
    return f"earshot-connector-{connector}"


class KafkaPublisher:
    """A `Publisher` over aiokafka. `client` are aiokafka's connection arguments; `topics` may rename topics."""

    def __init__(
        self,
        client: Mapping[str, Any],
        connector: str,
        *,
        topics: Mapping[str, str] | None = None,
        transaction_timeout: float = TRANSACTION_TIMEOUT,
    ) -> None:
        self.connector = connector
        self._client = dict(client)
        self._topics = dict(topics or {})
        self._timeout = transaction_timeout
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> Checkpoint | None:
        await self.close()
        producer = AIOKafkaProducer(
            **self._client,
            client_id=transactional_id(self.connector),
            transactional_id=transactional_id(self.connector),
            transaction_timeout_ms=int(self._timeout * 1000),
            max_request_size=MAX_REQUEST,
            compression_type="gzip",
            linger_ms=0,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await producer.start()  # asks for a new epoch of the id: whoever had it is fenced from here on
                found = await last_checkpoint(self._client, self.connector, topic=self._topic(CHECKPOINTS))
        except (KafkaError, OSError, TimeoutError) as error:
            await _stop(producer)
            raise BrokerUnavailableError(f"Kafka does not answer ({_name(error)})") from None
        except BaseException:
            await _stop(producer)
            raise
        self._producer = producer
        return found

    async def publish(
        self,
        mentions: Sequence[Mention],
        checkpoint: Checkpoint | None,
        coverage: Sequence[Coverage] = (),
        rejected: Sequence[Rejected] = (),
    ) -> None:
        producer = self._producer
        if producer is None:
            raise BrokerUnavailableError("the publisher has not been started")
        try:
            async with producer.transaction():
                if POINTS:
                    POINTS.reach("connectors.before_send")
                sent = [await self._mention(producer, found) for found in mentions]
                if POINTS:
                    await asyncio.gather(*sent)
                    POINTS.reach("connectors.after_send")
                sent += [
                    *[await self._event(producer, COVERAGE, one, one.at) for one in coverage],
                    *[await self._reject(producer, one, checkpoint) for one in rejected],
                ]
                if checkpoint is not None:
                    sent.append(await self._event(producer, CHECKPOINTS, checkpoint, checkpoint.saved_at))
                await asyncio.gather(*sent)
                if POINTS:
                    POINTS.reach("connectors.before_commit")
            if POINTS:
                POINTS.reach("connectors.after_commit")
        except _FENCED:
            await self.close()
            raise FencedError(f"another process has taken over the source {self.connector}") from None
        except (KafkaError, IllegalOperation, IllegalStateError, ProducerClosed, OSError, TimeoutError) as error:
            await self.close()
            raise BrokerUnavailableError(f"Kafka did not confirm a page ({_name(error)})") from None
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _mention(self, producer: AIOKafkaProducer, found: Mention) -> asyncio.Future[Any]:
        headers = codec.headers(
            Mention,
            event_id=f"{found.id}@{found.revision}",
            source=f"earshot/connectors/{self.connector}",
            at=found.collected_at,
        )
        return await _send(producer, self._topic(MENTIONS), found.key, codec.encode(found), headers)

    async def _event(
        self, producer: AIOKafkaProducer, topic: str, event: Checkpoint | Coverage, at: datetime
    ) -> asyncio.Future[Any]:
        name = f"earshot/connectors/{self.connector}"
        headers = codec.headers(type(event), event_id=f"{self.connector}-{at.timestamp():.6f}", source=name, at=at)
        return await _send(producer, self._topic(topic), event.connector, codec.encode(event), headers)

    async def _reject(
        self, producer: AIOKafkaProducer, rejected: Rejected, checkpoint: Checkpoint | None
    ) -> asyncio.Future[Any]:
        """A part of an answer that cannot be read, kept as it came. The same header names as every dead letter."""
        known = {
            "topic": self._topic(MENTIONS),
            "partition": "-1",
            "offset": "-1",
            "reason": Reason.INVALID.value,
            "error": rejected.error[:500],
            "stage": "connectors",
            "at": checkpoint.saved_at.isoformat() if checkpoint else "",
        }
        headers = [(f"dlq_{name}", value.encode("utf-8", "replace")) for name, value in known.items()]
        return await _send(producer, f"{self._topic(MENTIONS)}-dlq", self.connector, rejected.value, headers)

    def _topic(self, name: str) -> str:
        return self._topics.get(name, name)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _send(
    producer: AIOKafkaProducer, topic: str, key: str, value: bytes, headers: codec.Headers
) -> asyncio.Future[Any]:
    sent: asyncio.Future[Any] = await producer.send(
        topic, value=value, key=key.encode("utf-8", "replace"), headers=headers
    )
    return sent


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer that may be fenced, half open or without a broker."""
    try:
        async with asyncio.timeout(5.0):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError, IllegalOperation, RuntimeError):
        return


def _name(error: BaseException) -> str:
    return type(error).__name__


async def last_checkpoint(client: Mapping[str, Any], connector: str, *, topic: str = CHECKPOINTS) -> Checkpoint | None:
    """Return the newest committed checkpoint of that connector, None where there is none."""
    return (await checkpoints(client, [connector], topic=topic)).get(connector)


async def checkpoints(
    client: Mapping[str, Any], names: Sequence[str] | None = None, *, topic: str = CHECKPOINTS
) -> dict[str, Checkpoint]:
    """Return the newest committed checkpoint of each of these connectors, or of all.

    Reads up to the end of the partitions as they were at the beginning, open transactions of others included: their
    records come before ours could, so that waiting for them is the only way to see our own last one.
    """
    from connectors.assignment import partition_of

    ends_reader = AIOKafkaConsumer(**client, enable_auto_commit=False)
    reader = AIOKafkaConsumer(
        **client, enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    try:
        await ends_reader.start()
        await reader.start()
        every = await _partitions(ends_reader, topic)
        if names is None:
            return await _newest(reader, ends_reader, topic, every)
        wanted = {partition_of(name, len(every)) for name in names}
        found = await _newest(reader, ends_reader, topic, wanted)
        if not found.keys() >= set(names):
            # Never heard of, or written when the topic had fewer partitions: it is looked for in all others.
            found = {**await _newest(reader, ends_reader, topic, every - wanted), **found}
    finally:
        await reader.stop()
        await ends_reader.stop()
    return {name: found[name] for name in names if name in found}


async def _newest(
    reader: AIOKafkaConsumer, ends_reader: AIOKafkaConsumer, topic: str, numbers: set[int]
) -> dict[str, Checkpoint]:
    """Return the newest checkpoint of every connector in these partitions of the topic."""
    parts = [TopicPartition(topic, number) for number in sorted(numbers)]
    if not parts:
        return {}
    ends = await ends_reader.end_offsets(parts)
    reader.assign(parts)
    await reader.seek_to_beginning(*parts)
    last: dict[tuple[int, bytes | None], bytes] = {}  # read much, decode little: compaction comes late
    while [part for part in parts if await reader.position(part) < ends[part]]:
        for records in (await reader.getmany(timeout_ms=200)).values():
            last.update({(record.partition, record.key): record.value for record in records if record.value})
    found: dict[str, Checkpoint] = {}
    for value in last.values():
        with contextlib.suppress(InvalidMessageError):
            one = codec.decode(Checkpoint, value)
            if one.connector not in found or found[one.connector].saved_at <= one.saved_at:
                found[one.connector] = one
    return found


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Return the partitions of a topic; a broker that has just started may need a moment to know them."""
    for _ in range(50):
        await consumer._client.force_metadata_update()  # noqa: SLF001 - the only way to ask for a topic not subscribed to
        metadata = await consumer._client.fetch_all_metadata()  # noqa: SLF001
        found = metadata.partitions_for_topic(topic)
        if found:
            return set(found)
        await asyncio.sleep(0.1)
    raise BrokerUnavailableError(f"the topic {topic} does not exist — run `earshot topics apply`")


class MemoryPublisher:
    """A `Publisher` that keeps everything in lists: for tests and for trying a connector out."""

    def __init__(self, connector: str = "test", log: MemoryLog | None = None) -> None:
        self.connector = connector
        self.log = log or MemoryLog()
        self._epoch = 0

    async def start(self) -> Checkpoint | None:
        self._epoch = self.log.epochs[self.connector] = self.log.epochs.get(self.connector, 0) + 1
        return self.log.checkpoints.get(self.connector)

    async def publish(
        self,
        mentions: Sequence[Mention],
        checkpoint: Checkpoint | None,
        coverage: Sequence[Coverage] = (),
        rejected: Sequence[Rejected] = (),
    ) -> None:
        if self._epoch == 0:
            raise BrokerUnavailableError("the publisher has not been started")
        if self.log.epochs[self.connector] != self._epoch:
            raise FencedError(f"another process has taken over the source {self.connector}")
        if self.log.fail:
            raise self.log.fail.pop(0)
        for found in mentions:  # what the codec cannot carry must fail here as it does on the wire
            codec.decode(Mention, codec.encode(found))
        self.log.mentions.extend(mentions)
        self.log.coverage.extend(coverage)
        self.log.rejected.extend(rejected)
        if checkpoint is not None:
            self.log.checkpoints[self.connector] = checkpoint

    async def close(self) -> None:
        self._epoch = 0


class MemoryLog:
    """What several memory publishers share: the broker's part. Errors in `fail` are raised by the next publishes."""

    def __init__(self) -> None:
        self.mentions: list[Mention] = []
        self.coverage: list[Coverage] = []
        self.rejected: list[Rejected] = []
        self.checkpoints: dict[str, Checkpoint] = {}
        self.epochs: dict[str, int] = {}
        self.fail: list[Exception] = []
