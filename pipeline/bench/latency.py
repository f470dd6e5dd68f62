"""`earshot bench latency`: from publishing a page to the department's topic, read as departments read it."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from pipeline.bench.messages import config, mentions
from pipeline.bench.workers import running, wait
from pipeline.broker import admin
from pipeline.contract import codec
from pipeline.runtime.declared import declared
from pipeline.runtime.reading import Reader
from pipeline.topology import DEPARTMENT, MENTIONS

PAGE = 20  # mentions a page, as a source gives them
LARGE_PAGE = 100  # where much is heard, pages are full


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of the sorted values do not exceed (nearest rank)."""
    return values[min(len(values) - 1, int(share * len(values)))]


def measure(
    client: Mapping[str, Any], *, rates: Sequence[int], seconds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return percentiles in milliseconds at each of the rates, in mentions a second.

    Measured from just before a page's transaction to its arrival at a read_committed consumer of all department
    topics. Triage and the publisher are processes of their own, as in an installation.
    """
    settings = config()
    admin.apply(client, declared(settings))
    found = []
    with running("triage", settings, client) as workers:
        wait(lambda: all(worker.is_ready() for worker in workers), 60, "triage does not get ready")
        for rate in (rates[0], *rates):  # the first time it only warms up
            say(f"{rate} mentions a second")
            found.append(_at(client, [*settings.departments, "review"], rate, seconds))
    return {"seconds": seconds, "milliseconds": found[1:]}


def _at(client: Mapping[str, Any], departments: Sequence[str], rate: int, seconds: int) -> dict[str, float]:
    arrived: dict[str, float] = {}
    finished, listening = threading.Event(), threading.Event()

    def listen() -> None:
        with Reader(client, [DEPARTMENT + name for name in departments], "end") as reader:
            listening.set()
            while not finished.is_set():
                for message in reader.read(2000, 0.005):
                    at = time.time()
                    judged = _Arrived.decode(message.value())
                    arrived.setdefault(judged.id, at - judged.collected_at.timestamp())

    ear = threading.Thread(target=listen, daemon=True)
    ear.start()
    listening.wait(30)
    command = [
        sys.executable,
        "-m",
        "pipeline.bench.latency",
        str(client["bootstrap.servers"]),
        str(rate),
        str(seconds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this module
    sent = int(done.stdout.split()[-1])
    deadline, last = time.monotonic() + 30, -1
    while len(arrived) > last and time.monotonic() < deadline:  # until nothing more comes
        last = len(arrived)
        time.sleep(1.5)
    finished.set()
    ear.join(10)
    took = sorted(value * 1000 for value in arrived.values())
    return {
        "rate": rate,
        "sent": sent,
        "arrived": len(took),
        "p50": percentile(took, 0.50),
        "p95": percentile(took, 0.95),
        "p99": percentile(took, 0.99),
        "max": took[-1],
    }


class _Judged(msgspec.Struct):
    id: str
    collected_at: datetime


_Arrived = msgspec.json.Decoder(_Judged)


async def _publish(client: Mapping[str, Any], rate: int, seconds: int) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=client["bootstrap.servers"], transactional_id=f"latency-{time.time():.0f}", linger_ms=0
    )
    await producer.start()
    sent, began = 0, time.monotonic()
    rows = mentions(rate * seconds, prefix=f"l{time.time_ns()}-")
    size = PAGE if rate < 1000 else LARGE_PAGE
    try:
        for number in itertools.count():
            page = list(itertools.islice(rows, min(size, rate)))
            if not page:
                return sent
            await asyncio.sleep(max(0.0, began + number * min(size, rate) / rate - time.monotonic()))
            async with producer.transaction():
                for row in page:
                    at = datetime.now(UTC)
                    fresh = msgspec.structs.replace(row, collected_at=at, created_at=at)
                    await producer.send(MENTIONS, codec.encode(fresh), fresh.key.encode())
            sent += len(page)
    finally:
        await producer.stop()
    return sent


if __name__ == "__main__":
    print(asyncio.run(_publish({"bootstrap.servers": sys.argv[1]}, int(sys.argv[2]), int(sys.argv[3]))))
