"""The in-process broker of librdkafka: the real protocol, no Java, no disk, nothing kept.

It is a stand-in for tests and for a first look where Kafka cannot be had. It keeps some 5 MB a partition in the
memory of the process that made it, creates topics when they are first asked for (4 partitions), forgets all of it at
the end, and knows neither retention nor compaction nor topic settings. Its marks of transactions have no right checksum,
so who reads from it must not look at checksums (`is_used`, `take_marks`); librdkafka's consumers never do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer

from pipeline.broker.client import quiet
from pipeline.contract.errors import BrokerUnavailableError

WARNING: Final = (
    "the broker is in memory: nothing is kept when this ends, and at most some thousand mentions fit. "
    "Use embedded (the default) to keep them"
)


USED: Final = "EARSHOT_BROKER_IS_MEMORY"
"""Set for processes whose broker this is."""


def is_used(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the broker of this process is the one in memory."""
    return environment.get(USED) == "1"


def take_marks() -> None:
    """Let aiokafka's consumers of this process take records with a wrong checksum, where the broker is in memory."""
    if is_used():
        AIOKafkaConsumer.__init__.__kwdefaults__["check_crcs"] = False


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
        os.environ[USED] = "1"

    def make(self, topics: list[str]) -> None:
        """Make topics exist by asking for them."""
        assert self._producer is not None
        for topic in topics:
            self._producer.list_topics(topic, timeout=5.0)

    def stop(self) -> None:
        """Forget everything."""
        self._producer = None
        os.environ.pop(USED, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
