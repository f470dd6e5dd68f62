"""What a partition of `alerts` holds when a worker takes it over: what was told, what fires, what is still to be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Place

from pipeline.broker.client import aiokafka
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
from pipeline.contract.events import Alert
from pipeline.core.notifying.values import Record

TIMEOUT: Final = 15.0  # seconds for one answer
RETRY: Final = 0.2
READ_TIMEOUT: Final = 50.0  # seconds for a whole partition


@dataclass(slots=True)
class Found:
    """`position` is the group's committed offset, or the first one there is; `log` was committed with it."""

    position: int
    log: str | None
    past: list[Record] = field(default_factory=list)
    ahead: list[Record] = field(default_factory=list)


async def look(client: Mapping[str, Any], group: str, topic: str, partition: int) -> Found:
    """Read a whole partition, committed records only, and the group's offset with its metadata. Joins no group.

    `client` are confluent-kafka settings. Raises BrokerUnavailableError, or aiokafka's KafkaError.
    """
    offset, metadata = await committed(client, group, topic, partition)
    return await asyncio.to_thread(_read_all, client, Place(topic, partition), offset, metadata)


async def committed(client: Mapping[str, Any], group: str, topic: str, partition: int) -> tuple[int, str]:
    """Return the group's offset, -1 when there is none, and its metadata.

    With aiokafka, because confluent-kafka takes the metadata for a string that ends with NUL, which it does not.
    """
    admin = AIOKafkaAdminClient(**aiokafka(client), request_timeout_ms=int(TIMEOUT * 1000))
    try:
        await admin.start()
        place = TopicPartition(topic, partition)
        found = (await admin.list_consumer_group_offsets(group, partitions=[place])).get(place)
        return (-1, "") if found is None else (found.offset, found.metadata or "")
    finally:
        await admin.close()


def _read_all(client: Mapping[str, Any], place: Place, offset: int, metadata: str) -> Found:
    consumer = Consumer(
        {
            **client,
            "group.id": "earshot-reader",  # never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    deadline = time.monotonic() + TIMEOUT
    try:
        while True:
            try:
                return _look(consumer, place, offset, metadata)
            except KafkaException as error:  # a leader that is only just being chosen, a broker that restarts
                if time.monotonic() > deadline:
                    why = error.args[0].str()
                    raise BrokerUnavailableError(f"Kafka does not say what was told already: {why}") from None
                time.sleep(RETRY)
    finally:
        consumer.close()


def _look(consumer: Consumer, place: Place, offset: int, metadata: str) -> Found:
    low, end = consumer.get_watermark_offsets(place, TIMEOUT)
    is_known = low <= offset <= end
    found = Found(offset if is_known else low, metadata if is_known else None)
    tombstones: set[str] = set()
    place.offset = low
    consumer.assign([place])
    here = low
    deadline = time.monotonic() + READ_TIMEOUT
    while here < end:
        if time.monotonic() > deadline:
            raise BrokerUnavailableError(f"{place.topic} could not be read to its end in {READ_TIMEOUT:.0f} s")
        messages: list[Any] = consumer.consume(1000, 0.2)
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            record = read(message.offset(), message.timestamp()[1], message.value())
            if message.offset() < end and record is not None:
                (found.past if record.offset < found.position else found.ahead).append(record)
            elif message.value() is None and message.offset() < found.position:
                tombstones.add(fingerprint_in(message.key()))
        # Control records of transactions are stepped over without a message; the position passes them.
        here = max(here, consumer.position([place])[0].offset)
    found.past = [record for record in found.past if record.alert.fingerprint not in tombstones]
    return found


def read(offset: int, timestamp: int, value: bytes | None) -> Record | None:
    """Return the record with this value, None when it is no alert. `timestamp` is in milliseconds."""
    try:
        alert = codec.decode(Alert, value)
    except InvalidMessageError:
        return None
    return Record(offset, datetime.fromtimestamp(max(timestamp, 0) / 1000, UTC), alert)


def alert_in(message: Any) -> Alert | InvalidMessageError | None:
    """Return the alert in a record, why there is none, or None for a tombstone."""
    if message.value is None:
        return None
    try:
        return codec.decode(Alert, message.value)
    except InvalidMessageError as error:
        return error


def fingerprint_in(key: bytes | None) -> str:
    """Return the fingerprint in a key `brand/fingerprint`."""
    return (key or b"").decode("utf-8", "replace").rpartition("/")[2]
