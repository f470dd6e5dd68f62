"""Looks at committed records while they come, to see when they do not."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.broker.client import quiet
from pipeline.topology import ENRICHED

LEAST = 1.0  # seconds; shorter gaps are nothing


@dataclass(frozen=True)
class Gap:
    """A time without a new committed record. Times are of the monotonic clock."""

    since: float
    until: float
    partition: int | None  # None: in no partition

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.until - self.since


class Watch(threading.Thread):
    """Follows `mentions-enriched`, read_committed, around the proxies."""

    def __init__(self, client: dict[str, str], partitions: int) -> None:
        super().__init__(name="watch", daemon=True)
        self.gaps: list[Gap] = []
        self.count = 0
        self.seen: set[int] = set()  # partitions that have given a record
        self.stop = threading.Event()
        self._partitions = range(partitions)
        self._consumer = Consumer(
            {
                **quiet(client),
                "group.id": "chaos-watch",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
            }
        )

    def run(self) -> None:
        self._consumer.assign([TopicPartition(ENRICHED, number, 0) for number in self._partitions])
        last: defaultdict[int | None, float] = defaultdict(time.monotonic)
        for number in (*self._partitions, None):
            last[number] = time.monotonic()
        while not self.stop.is_set():
            try:
                messages = self._consumer.consume(500, 0.1)
            except KafkaException:
                continue
            now = time.monotonic()
            came = {message.partition() for message in messages if message.error() is None}
            self.seen |= came
            self.count += sum(message.error() is None for message in messages)
            for number in (*came, *((None,) if came else ())):
                if now - last[number] >= LEAST:
                    self.gaps.append(Gap(last[number], now, number))
                last[number] = now
        now = time.monotonic()
        self.gaps += [Gap(at, now, number) for number, at in last.items() if now - at >= LEAST]
        self._consumer.close()

    def longest(
        self,
        since: float,
        until: float,
        *,
        whole: bool,
        seconds: Callable[[Gap], float] = lambda gap: gap.seconds,
    ) -> float:
        """Return the longest gap that overlaps this time; of the whole topic, or of any partition of it."""
        return max(
            (
                seconds(gap)
                for gap in self.gaps
                if gap.since < until and gap.until > since and (gap.partition is None) == whole
            ),
            default=0.0,
        )
