"""Which mentions were erased, from the topic `erasures`: what was learned of them is forgotten, and nothing more is.

Read from its beginning by whoever takes over, then as it grows; joins no group, commits nothing, since to forget twice is
to forget once. Only keys and reasons are read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.broker.client import steady
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
from pipeline.contract.events import Erasure, State
from pipeline.runtime.reading import end_of
from pipeline.topology import ERASURES

TIMEOUT: Final = 60.0  # seconds for the whole topic
MOST: Final = 2000

log = structlog.get_logger(__name__)


class Erasures:
    """A reader of the topic. `gone` are the mentions that will not come back."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = dict(client)
        self._consumer: Consumer | None = None
        self.gone: set[str] = set()

    def read(self) -> set[str]:
        """Return the ids of all mentions that were erased so far. Raises BrokerUnavailableError."""
        self.close()
        self.gone.clear()
        consumer = Consumer(
            {
                **self._client,
                **steady(),
                "group.id": "earshot-learning-erasures",  # never joined
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        try:
            found = consumer.list_topics(ERASURES, 10.0).topics[ERASURES]
            if found.error is not None:
                consumer.close()
                return set()
            places = [TopicPartition(ERASURES, number, 0) for number in found.partitions]
            ends = {place.partition: end_of(self._client, place, TIMEOUT) for place in places}
            consumer.assign(places)
            self._consumer = consumer
            return self._until(consumer, {number: end for number, end in ends.items() if end > 0})
        except KafkaException as error:
            raise BrokerUnavailableError(f"the topic {ERASURES} cannot be read: {error.args[0].str()}") from None

    def _until(self, consumer: Consumer, ends: dict[int, int]) -> set[str]:
        erased: set[str] = set()
        deadline = time.monotonic() + TIMEOUT
        while ends:
            erased |= self._take(consumer.consume(MOST, 0.1))
            for place in consumer.position([TopicPartition(ERASURES, number) for number in ends]):
                if place.offset >= ends[place.partition]:
                    del ends[place.partition]
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(f"{ERASURES} could not be read to its end in {TIMEOUT:.0f} s")
        return erased

    def new(self) -> set[str]:
        """Return the ids of mentions that were erased since; waits for none."""
        return self._take(self._consumer.consume(MOST, 0.0)) if self._consumer is not None else set()

    def _take(self, messages: list[Any]) -> set[str]:
        erased = set()
        for message in messages:
            if message.error() is not None or message.value() is None or not message.key():
                continue
            name = message.key().decode("utf-8", "replace")
            erased.add(name)
            if _is_for_good(message.value()):
                self.gone.add(name)
        return erased

    def close(self) -> None:
        """Leave the broker."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def _is_for_good(value: bytes) -> bool:
    """Whether an erasure will not be taken back: what is unavailable may come again."""
    try:
        return codec.decode(Erasure, value).reason is not State.UNAVAILABLE
    except InvalidMessageError:
        return True
