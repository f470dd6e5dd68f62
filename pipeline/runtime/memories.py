"""The duplicate memory of each partition a triage worker has, rebuilt from `mentions-enriched`.

`mentions-enriched` is written to the partition number its mention came from, so the last records of that partition
say what this partition has seen: the output topic is the changelog, and nothing is stored twice. Only headers are
read. A record counts when it is committed; the high watermark is taken before reading, and reading goes on until
the last stable offset has reached it, so a transaction of the previous owner is never half seen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from pipeline.contract.codec import header
from pipeline.contract.errors import BrokerUnavailableError
from pipeline.core.dedup import Memory, Remembered
from pipeline.runtime.reading import end_of
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


def restore(client: Mapping[str, Any], partition: int, limit: int) -> Memory:
    """Return the memory of one partition: its last `limit` records on `mentions-enriched`.

    Raises BrokerUnavailableError when the end of the partition is not reached within RESTORE_TIMEOUT seconds.
    """
    memory = Memory(limit)
    place = TopicPartition(ENRICHED, partition)
    end = end_of(client, place, RESTORE_TIMEOUT)
    if end <= 0:
        return memory
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
        consumer.assign([TopicPartition(ENRICHED, partition, max(0, end - limit))])
        deadline = time.monotonic() + RESTORE_TIMEOUT
        while True:
            for message in consumer.consume(2000, 0.1):
                if not message.error():
                    remember(memory, message.headers())
            # After data the position is the next offset; control records at the end are stepped over by it, too.
            position = consumer.position([place])[0].offset
            if position >= end:
                return memory
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"{ENRICHED}[{partition}] could not be read to its end in {RESTORE_TIMEOUT:.0f} s "
                    f"(at {position} of {end}). Is a broker down or a transaction hanging?"
                )
    finally:
        consumer.close()
