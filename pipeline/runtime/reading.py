"""Reading topics as a person's command does: all partitions, committed records only, no group, nothing committed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, Self

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from pipeline.contract.errors import BrokerUnavailableError

Message = Any
"""A confluent_kafka.Message. Its type stubs make topic, partition and offset optional, which a consumed one has."""
Start = Literal["beginning", "end"] | datetime | int

_SOON: Final = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)


def end_of(client: Mapping[str, Any], place: TopicPartition, timeout: float) -> int:
    """Return the next offset of a partition, open transactions included. See `ends_of`."""
    return ends_of(client, [place], timeout)[0]


def ends_of(client: Mapping[str, Any], places: Sequence[TopicPartition], timeout: float) -> list[int]:
    """Return the next offset of each of these partitions, in their order, open transactions included.

    A partition that was just made has its leader in a moment. Raises KafkaException when there is no answer within
    `timeout` seconds.
    """
    admin = AdminClient(dict(client))
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    deadline = time.monotonic() + timeout
    while True:
        asked = admin.list_offsets(dict.fromkeys(places, latest), isolation_level=IsolationLevel.READ_UNCOMMITTED)
        try:
            ends: list[int] = [asked[place].result(timeout).offset for place in places]
        except KafkaException as error:
            if error.args[0].code() not in _SOON or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return ends


class Reader:
    """A consumer of whole topics. `start` is `beginning`, `end`, an instant, or how many last records of each partition.

    Records come in order within a partition; between partitions in the order they are fetched.
    Raises BrokerUnavailableError when the topics' partitions cannot be learned within `timeout` seconds.
    """

    def __init__(
        self, client: Mapping[str, Any], topics: Sequence[str], start: Start = "end", *, timeout: float = 10.0
    ) -> None:
        self._consumer = Consumer(
            {
                **client,
                "group.id": "earshot-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        self.missing: list[str] = []
        try:
            places = [place for topic in topics for place in self._partitions(topic, timeout)]
            self.ends: dict[tuple[str, int], int] = {}
            for place in places:
                low, high = self._watermarks(place, timeout)
                self.ends[place.topic, place.partition] = high
                place.offset = high if start == "end" else low
                if isinstance(start, int):
                    place.offset = max(low, high - start)
            if isinstance(start, datetime) and places:
                at = int(start.timestamp() * 1000)
                found = self._consumer.offsets_for_times(
                    [TopicPartition(p.topic, p.partition, at) for p in places], timeout
                )
                for place in found:
                    if place.offset < 0:
                        place.offset = self.ends[place.topic, place.partition]
                places = found
            self.starts = {(place.topic, place.partition): place.offset for place in places}
            self._consumer.assign(places)
        except KafkaException as error:
            self._consumer.close()
            raise BrokerUnavailableError(
                f"Kafka does not answer at {client.get('bootstrap.servers')}: {error.args[0].str()}. "
                "Is `earshot up` running, or is --broker wrong?"
            ) from None

    def _partitions(self, topic: str, timeout: float) -> list[TopicPartition]:
        found = self._consumer.list_topics(topic, timeout).topics[topic]
        if found.error is not None or not found.partitions:
            self.missing.append(topic)
            return []
        return [TopicPartition(topic, number) for number in found.partitions]

    def _watermarks(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        """Return the first and the next offset; a partition that was just made has its leader in a moment."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                found: tuple[int, int] = self._consumer.get_watermark_offsets(place, timeout)
            except KafkaException as error:
                if error.args[0].code() not in _SOON or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return found

    def read(self, most: int = 500, timeout: float = 0.5) -> list[Message]:
        """Return the records that came within `timeout` seconds, at most `most`."""
        messages = []
        for message in self._consumer.consume(most, timeout):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():  # noqa: SLF001
                raise BrokerUnavailableError(f"reading failed: {error.str()}")
        return messages

    def until_end(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Message]:
        """Yield every committed record up to the ends as they stood when reading began."""
        open_places = {place for place, end in self.ends.items() if self.starts.get(place, end) < end}
        while open_places and not stop():
            for message in self.read(2000, 0.2):
                if message.offset() < self.ends[message.topic(), message.partition()]:
                    yield message
            for place in self._consumer.position([TopicPartition(*place) for place in open_places]):
                # Control records at the end are stepped over without a message; the position passes them.
                if place.offset >= self.ends[place.topic, place.partition]:
                    open_places.discard((place.topic, place.partition))

    def close(self) -> None:
        """Leave the broker."""
        with contextlib.suppress(KafkaException):
            self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
