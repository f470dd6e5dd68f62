"""Reading the topic `lessons`: all of it at the start, then what comes. It has one partition, in one order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.broker.client import steady
from pipeline.contract.errors import BrokerUnavailableError
from pipeline.contract.events import Lesson
from pipeline.core.learning.shelf import Shelf
from pipeline.runtime.reading import Message, end_of
from pipeline.topology import LESSONS

TIMEOUT: Final = 60.0  # seconds for the whole topic; longer than any transaction may stay open
MOST: Final = 100  # records taken at once: each lesson costs some milliseconds to learn

log = structlog.get_logger(__name__)


class Lessons:
    """A reader of the topic. Joins no group, commits nothing, reads committed records only."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = dict(client)
        self._consumer: Consumer | None = None

    def read(self) -> Shelf:
        """Return all that stands on the topic now; `new` goes on behind it.

        An installation whose topics were made before there was this one has none: nothing was learned then.
        Raises BrokerUnavailableError when the end is not reached within TIMEOUT seconds.
        """
        self.close()
        self._consumer = consumer = Consumer(
            {
                **self._client,
                **steady(),
                "group.id": "earshot-lessons",  # never joined
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
            }
        )
        shelf = Shelf()
        try:
            if consumer.list_topics(LESSONS, 10.0).topics[LESSONS].error is not None:
                advice = "make it with `earshot topics apply`, then start this worker again"
                log.warning("there is no topic to learn from", topic=LESSONS, advice=advice)
                consumer.close()
                self._consumer = None
                return shelf
            self._read_to(end_of(self._client, TopicPartition(LESSONS, 0), TIMEOUT), shelf, consumer)
        except KafkaException as error:
            raise BrokerUnavailableError(f"the topic {LESSONS} cannot be read: {error.args[0].str()}") from None
        return shelf

    def _read_to(self, end: int, shelf: Shelf, consumer: Consumer) -> None:
        consumer.assign([TopicPartition(LESSONS, 0, 0)])
        deadline = time.monotonic() + TIMEOUT
        while end > 0:
            for message in consumer.consume(MOST, 0.1):
                if message.error() is None:
                    shelf.put(message.key(), message.value())
            # Control records at the end are stepped over without a message; the position passes them.
            if consumer.position([TopicPartition(LESSONS, 0)])[0].offset >= end:
                return
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"{LESSONS} could not be read to its end in {TIMEOUT:.0f} s. Is a transaction hanging?"
                )

    def new(self, shelf: Shelf) -> list[Lesson | int]:
        """Return the lessons that came since, and the numbers of those taken away, in their order; waits for none."""
        if self._consumer is None:
            return []
        messages: list[Message] = self._consumer.consume(MOST, 0.0)
        found = (shelf.put(message.key(), message.value()) for message in messages if message.error() is None)
        return [one for one in found if one is not None]

    def close(self) -> None:
        """Leave the broker."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
