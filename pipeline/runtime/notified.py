"""What a partition of `alerts` holds when a worker takes it over: what was told, what fires, what is still to be told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
from pipeline.contract.events import Alert
from pipeline.core.notifying.values import Record

TIMEOUT: Final = 15.0  # seconds for one answer
READ_TIMEOUT: Final = 50.0  # seconds for a whole partition


@dataclass(slots=True)
class Found:
    """`position` is the group's committed offset, or the first one there is; `log` was committed with it."""

    position: int
    log: str | None
    past: list[Record] = field(default_factory=list)
    ahead: list[Record] = field(default_factory=list)


def look(client: Mapping[str, Any], group: str, topic: str, partition: int) -> Found:
    """Read a whole partition, committed records only, and the group's offset with its metadata. Joins no group.

    Blocks for as long as reading takes. Raises BrokerUnavailableError.
    """
    consumer = Consumer(
        {
            **client,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    try:
        return _look(consumer, TopicPartition(topic, partition))
    except KafkaException as error:
        raise BrokerUnavailableError(f"Kafka does not say what was told already: {error.args[0].str()}") from None
    finally:
        consumer.close()


def _look(consumer: Consumer, place: TopicPartition) -> Found:
    (committed,) = consumer.committed([place], TIMEOUT)
    if committed.error is not None:
        raise KafkaException(committed.error)
    low, end = consumer.get_watermark_offsets(place, TIMEOUT)
    is_known = low <= committed.offset <= end
    found = Found(committed.offset if is_known else low, (committed.metadata or "") if is_known else None)
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


def fingerprint_in(key: bytes | None) -> str:
    """Return the fingerprint in a key `brand/fingerprint`."""
    return (key or b"").decode("utf-8", "replace").rpartition("/")[2]
