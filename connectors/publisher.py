"""To Kafka: a page of mentions, its checkpoint and its coverage in one transaction, or none of it.

Exactly once: the connector instance is the transactional id. Starting a publisher first fences whoever used that id
before, and only then reads the last committed checkpoint; in the other order a zombie could still commit a page
between the two. A fenced publisher gets FencedError and can write nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    IllegalStateError,
    InvalidProducerEpoch,
    KafkaError,
    ProducerClosed,
    ProducerFenced,
)

from connectors.assignment import partition_of
from connectors.base import Rejected
from connectors.lasting import Lasting
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, FencedError
from pipeline.contract.events import Checkpoint, Coverage, Mention, RawPayload, Reason, Remembered
from pipeline.contract.failpoints import POINTS
from pipeline.topology import CHECKPOINTS, COVERAGE, MEMORY, MENTIONS, RAW

# Seconds after which Kafka aborts what an instance that stands still left open: triage reads nothing behind it meanwhile.
TRANSACTION_TIMEOUT: Final = 8.0
START_TIMEOUT: Final = 60.0
MAX_REQUEST: Final = 2_000_000  # bytes; the topics' own limit
_FENCED: Final = (ProducerFenced, InvalidProducerEpoch)


@dataclass(frozen=True, slots=True)
class Beside:
    """What goes with mentions and checkpoint in the same transaction.

    `remembered` is what will be read again, `forgotten` the numbers of such records that end, `raw` what the source
    sent, by the ids of mentions; None takes it away.
    """

    remembered: Sequence[Remembered] = ()
    forgotten: Sequence[int] = ()
    raw: Mapping[str, RawPayload | None] = field(default_factory=dict)


NOTHING: Final = Beside()


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
        beside: Beside = NOTHING,
    ) -> None:
        """Write all of it or nothing; return when it is committed.

        Raises FencedError when another instance has taken over, BrokerUnavailableError when the outcome is unknown:
        then `start` again, and go on from the checkpoint it returns.
        """

    async def remembered(self) -> list[Remembered]:
        """Return what this connector wrote to be read again. Raises BrokerUnavailableError."""

    async def close(self) -> None:
        """Let go. Never raises."""


def transactional_id(connector: str) -> str:
    """Return the id by which Kafka knows an instance, wherever it runs."""
    return f"earshot-connector-{connector}"


class KafkaPublisher:
    """A `Publisher` over aiokafka. `client` are aiokafka's connection arguments; `topics` may rename topics.

    Publishers of one process share `lasting`, which reads back for all of them at once.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        connector: str,
        *,
        topics: Mapping[str, str] | None = None,
        transaction_timeout: float = TRANSACTION_TIMEOUT,
        lasting: Lasting | None = None,
    ) -> None:
        self.connector = connector
        self._client = dict(client)
        self._topics = dict(topics or {})
        self._lasting = lasting or Lasting(
            client, checkpoints_topic=self._topic(CHECKPOINTS), memory_topic=self._topic(MEMORY)
        )
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
                found = await self._lasting.checkpoint(self.connector)
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:  # aiokafka asserts that it knows a broker
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
        beside: Beside = NOTHING,
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
                sent += await self._beside(producer, beside)
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

    async def _beside(self, producer: AIOKafkaProducer, beside: Beside) -> list[asyncio.Future[Any]]:
        sent: list[asyncio.Future[Any]] = []
        source = f"earshot/connectors/{self.connector}"
        for id_, raw in beside.raw.items():
            headers = codec.headers(RawPayload, event_id=id_, source=source, at=raw.at) if raw else []
            sent.append(await _send(producer, self._topic(RAW), id_, codec.encode(raw) if raw else None, headers))
        for one in beside.remembered:
            key, at = memory_key(one.connector, one.number), one.read_at or one.at
            headers = codec.headers(Remembered, event_id=f"{key}@{one.step}", source=source, at=at)
            sent.append(await self._memory(producer, one.connector, key, codec.encode(one), headers))
        for number in beside.forgotten:
            name = owner_of(self.connector)
            sent.append(await self._memory(producer, name, memory_key(name, number), None, []))
        return sent

    async def _memory(
        self, producer: AIOKafkaProducer, connector: str, key: str, value: bytes | None, headers: codec.Headers
    ) -> asyncio.Future[Any]:
        """All of a connector in one partition, so that one is read to know it."""
        topic = self._topic(MEMORY)
        partition = partition_of(connector, len(await producer.partitions_for(topic)))
        return await _send(producer, topic, key, value, headers, partition)

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

    async def remembered(self) -> list[Remembered]:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                return await self._lasting.memory(owner_of(self.connector))
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(f"Kafka does not answer ({_name(error)})") from None

    def _topic(self, name: str) -> str:
        return self._topics.get(name, name)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    key: str,
    value: bytes | None,
    headers: codec.Headers,
    partition: int | None = None,
) -> asyncio.Future[Any]:
    sent: asyncio.Future[Any] = await producer.send(
        topic, value=value, key=key.encode("utf-8", "replace"), headers=headers, partition=partition
    )
    sent.add_done_callback(_noted)
    return sent


def _noted(sent: asyncio.Future[Any]) -> None:
    """Ask how a record fared: where its page fails at another one nobody does, and asyncio complains of each."""
    if not sent.cancelled():
        sent.exception()


def memory_key(connector: str, number: int) -> str:
    """Return the key of a record on connector-memory."""
    return f"{connector}/{number}"


def owner_of(connector: str) -> str:
    """Return whose memory a publisher writes: a backfill writes that of its source."""
    parts = connector.split("/")
    return parts[1] if parts[0] == "backfill" and len(parts) > 1 else connector


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer that may be fenced, half open or without a broker."""
    try:
        async with asyncio.timeout(5.0):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError, IllegalOperation, RuntimeError):
        return


def _name(error: BaseException) -> str:
    return type(error).__name__


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
        beside: Beside = NOTHING,
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
        name = owner_of(self.connector)
        for one in beside.remembered:
            self.log.memory[name, one.number] = codec.decode(Remembered, codec.encode(one))
        for number in beside.forgotten:
            self.log.memory.pop((name, number), None)
        self.log.raw.update(beside.raw)
        if checkpoint is not None:
            self.log.checkpoints[self.connector] = checkpoint

    async def remembered(self) -> list[Remembered]:
        name = owner_of(self.connector)
        return [one for (connector, _), one in self.log.memory.items() if connector == name]

    async def close(self) -> None:
        self._epoch = 0


class MemoryLog:
    """What several memory publishers share: the broker's part. Errors in `fail` are raised by the next publishes."""

    def __init__(self) -> None:
        self.mentions: list[Mention] = []
        self.coverage: list[Coverage] = []
        self.rejected: list[Rejected] = []
        self.memory: dict[tuple[str, int], Remembered] = {}
        self.raw: dict[str, RawPayload | None] = {}
        self.checkpoints: dict[str, Checkpoint] = {}
        self.epochs: dict[str, int] = {}
        self.fail: list[Exception] = []
