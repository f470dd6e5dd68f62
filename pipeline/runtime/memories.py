"""The duplicate memory of each partition a triage worker has, rebuilt from `mentions-enriched`.

`mentions-enriched` is written to the partition number its mention came from, so the last records of that partition
say what this partition has seen: the output topic is the changelog, and nothing is stored twice. Only headers are
read. A record counts when it is committed; the high watermark is taken before reading, and reading goes on until
the last stable offset has reached it, so a transaction of the previous owner is never half seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from pipeline.contract.codec import header
from pipeline.contract.errors import BrokerUnavailableError
from pipeline.core.dedup import Memory, Remembered
from pipeline.runtime.reading import Message, ends_of
from pipeline.topology import ENRICHED

RESTORE_TIMEOUT: Final = 60.0  # seconds; longer than any transaction may stay open


def remember(memory: Memory, headers: Any) -> None:
    """Put what one record's headers say into the memory; records of another make are passed over."""
    mention, _, revision = (header(headers, "ce_id") or "").rpartition("@")
    if not mention or not revision.isdigit():
        return
    memory.remember(
        mention,
        Remembered(
            revision=int(revision),
            departments=_names(header(headers, "ce_departments")),
            brands=_names(header(headers, "ce_brands")),
            story=header(headers, "ce_story"),
        ),
    )


def _names(joined: str | None) -> tuple[str, ...]:
    return tuple(joined.split(",")) if joined else ()


def restore(client: Mapping[str, Any], partitions: Iterable[int], limit: int) -> dict[int, Memory]:
    """Return the memories of these partitions: of each its last `limit` records on `mentions-enriched`.

    They are read together: the group stands still meanwhile. Raises BrokerUnavailableError when the end of a partition
    is not reached within RESTORE_TIMEOUT seconds.
    """
    memories = {partition: Memory(limit) for partition in partitions}
    places = [TopicPartition(ENRICHED, partition) for partition in memories]
    ends = dict(zip(memories, ends_of(client, places, RESTORE_TIMEOUT), strict=True))
    behind = {partition: end for partition, end in ends.items() if end > 0}
    if not behind:
        return memories
    consumer = Consumer(
        {
            **client,
            "group.id": "earshot-triage-restore",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(ENRICHED, partition, max(0, end - limit)) for partition, end in behind.items()])
        deadline = time.monotonic() + RESTORE_TIMEOUT
        while True:
            messages: list[Message] = consumer.consume(2000, 0.1)
            for message in messages:
                if not message.error():
                    remember(memories[message.partition()], message.headers())
            # After data the position is the next offset; control records at the end are stepped over by it, too.
            for place in consumer.position([TopicPartition(ENRICHED, partition) for partition in behind]):
                if place.offset >= behind[place.partition]:
                    del behind[place.partition]
            if not behind:
                return memories
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"{ENRICHED} {sorted(behind)} could not be read to the end in {RESTORE_TIMEOUT:.0f} s. Is a broker "
                    "down or a transaction hanging?"
                )
    finally:
        consumer.close()
