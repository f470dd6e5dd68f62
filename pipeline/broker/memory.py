"""The in-process broker of librdkafka: the real protocol, no Java, no disk, nothing kept.

It is a stand-in for tests and for a first look where Kafka cannot be had. It keeps some 5 MB a partition in the
memory of the process that made it, creates topics when they are first asked for (4 partitions), forgets all of it at
the end, and knows neither retention nor compaction nor topic settings.
"""

from __future__ import annotations

import time
from typing import Any, Final, Self

from confluent_kafka import Producer

from pipeline.broker.client import quiet
from pipeline.contract.errors import BrokerUnavailableError

WARNING: Final = (
    "the broker is in memory: nothing is kept when this ends, and at most some thousand mentions fit. "
    "Use embedded (the default) to keep them"
)


class MemoryBroker:
    """Other clients, also of other processes on this machine, can use `bootstrap` while this object is open."""

    def __init__(self, brokers: int = 1) -> None:
        self._producer: Producer | None = Producer(quiet({"test.mock.num.brokers": brokers}))
        deadline = time.monotonic() + 10.0
        found: dict[int, Any] = {}
        while not found:
            found = self._producer.list_topics(timeout=5.0).brokers
            if time.monotonic() > deadline:
                raise BrokerUnavailableError("the in-memory broker did not start: use --broker embedded")
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in found.values())

    def make(self, topics: list[str]) -> None:
        """Make topics exist by asking for them."""
        assert self._producer is not None
        for topic in topics:
            self._producer.list_topics(topic, timeout=5.0)

    def stop(self) -> None:
        """Forget everything."""
        self._producer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
