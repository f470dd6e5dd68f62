"""`earshot bench latency`: from publishing a page to the department's topic, read as departments read it."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from pipeline.bench.messages import config, mentions
from pipeline.broker import admin
from pipeline.contract import codec
from pipeline.contract.events import JudgedMention
from pipeline.contract.metrics import Metrics
from pipeline.runtime.declared import declared
from pipeline.runtime.reading import Reader
from pipeline.runtime.triage import TriageWorker
from pipeline.topology import DEPARTMENT, MENTIONS

PAGE = 20  # mentions a page, as a source gives them


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of the sorted values do not exceed (nearest rank)."""
    return values[min(len(values) - 1, int(share * len(values)))]


def measure(client: Mapping[str, Any], *, rate: int, seconds: int) -> dict[str, Any]:
    """Return percentiles in milliseconds at `rate` mentions a second.

    Measured from just before a page's transaction to its arrival at a read_committed consumer of all department topics.
    """
    settings = config()
    admin.apply(client, declared(settings))
    metrics = Metrics()
    worker = TriageWorker(settings, client, metrics, instance=f"latency-{time.time():.0f}")
    working = threading.Thread(target=worker.run, daemon=True)
    working.start()
    while not worker.is_ready:
        time.sleep(0.05)
    topics = [DEPARTMENT + name for name in (*settings.departments, "review")]
    arrived: dict[str, float] = {}
    finished = threading.Event()

    def listen() -> None:
        with Reader(client, topics, "end") as reader:
            listening.set()
            while not finished.is_set():
                for message in reader.read(1000, 0.01):
                    at = time.time()
                    judged = codec.decode(JudgedMention, message.value())
                    arrived.setdefault(judged.id, at - judged.collected_at.timestamp())

    listening = threading.Event()
    ear = threading.Thread(target=listen, daemon=True)
    ear.start()
    listening.wait(30)
    sent = asyncio.run(_publish(client, rate, seconds))
    deadline = time.monotonic() + 30
    while len(arrived) < sent * 0.9 and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    finished.set()
    worker.stop()
    working.join(30)
    ear.join(5)
    took = sorted(value * 1000 for value in arrived.values())
    return {
        "rate": rate,
        "seconds": seconds,
        "sent": sent,
        "arrived": len(took),
        "milliseconds": {
            "p50": percentile(took, 0.50),
            "p95": percentile(took, 0.95),
            "p99": percentile(took, 0.99),
            "max": took[-1],
        },
    }


async def _publish(client: Mapping[str, Any], rate: int, seconds: int) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=client["bootstrap.servers"], transactional_id=f"latency-{time.time():.0f}", linger_ms=0
    )
    await producer.start()
    sent, began = 0, time.monotonic()
    rows = mentions(rate * seconds, prefix="l")
    try:
        for number in itertools.count():
            page = list(itertools.islice(rows, PAGE))
            if not page:
                return sent
            await asyncio.sleep(max(0.0, began + number * PAGE / rate - time.monotonic()))
            async with producer.transaction():
                for row in page:
                    at = datetime.now(UTC)
                    fresh = msgspec.structs.replace(row, collected_at=at, created_at=at)
                    await producer.send(MENTIONS, codec.encode(fresh), fresh.key.encode())
            sent += len(page)
    finally:
        await producer.stop()
    return sent
