"""A worker's place in a consumer group: how it joins, as whom it commits, and what it reads at once.

Shared by the stages on confluent-kafka. Two things hold over a rebalance: nothing that was read before the partitions
came anew is carried out after it, and a transaction names the member that the partitions were given to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer

from pipeline.broker.client import steady
from pipeline.contract.metrics import Metrics
from pipeline.runtime.reading import Message
from pipeline.runtime.transactions import fenced, is_fatal


def joining(client: Mapping[str, Any], group: str, name: str, **more: Any) -> dict[str, Any]:
    """Return a consumer's settings for a group: committed records only, its own commits, a session of six seconds.

    `more` are further settings, with `_` for each dot.
    """
    return {
        **client,
        **steady(),
        "group.id": group,
        "client.id": name,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "session.timeout.ms": 6000,
        "fetch.wait.max.ms": 50,
        "fetch.message.max.bytes": 2_097_152,
        **{key.replace("_", "."): value for key, value in more.items()},
    }


class Membership:
    """Of one consumer. Its callbacks call `assigned` and `revoked` before they do anything else."""

    def __init__(self, metrics: Metrics, stage: str) -> None:
        self._metrics, self._stage = metrics, stage
        self._changes = 0  # how often partitions came or went
        self.member: Any = None
        """The group's metadata as they were when the partitions we have were assigned.

        Taken then, not with each commit: once librdkafka has lost the group, it may give metadata that name no member
        and no generation, and Kafka lets a transaction with such commit without asking whose the partitions are.
        """

    def assigned(self, consumer: Consumer) -> None:
        """Note that partitions came."""
        self._changes += 1
        self.member = consumer.consumer_group_metadata()

    def revoked(self) -> None:
        """Note that partitions went."""
        self._changes += 1

    def read(self, consumer: Consumer, most: int, *, wait: float, linger: float) -> list[Message]:
        """Return what came within `wait` seconds, gathered for `linger` more or until there are `most`.

        Raises FencedError where the consumer is of no use any more; librdkafka mends its other errors itself.
        """
        found: list[Message] = consumer.consume(1, wait)
        if found and most > 1:
            before = self._changes
            more = consumer.consume(most - 1, linger)
            # What came before the partitions were given anew comes again, or was another's meanwhile.
            found = found + more if self._changes == before else more
        for message in found:
            error = message.error()
            if error is not None and is_fatal(error):
                raise fenced(error, self._metrics, self._stage)
        return [message for message in found if message.error() is None]
