"""`earshot bench scaling`: two triage workers on the same topic against one, and what the broker takes of the machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.bench.messages import config, fill
from pipeline.bench.workers import running, wait
from pipeline.broker import admin
from pipeline.runtime.declared import declared
from pipeline.topology import MENTIONS

RECEIVED = "earshot_stage_messages_received_total"


def _cpu(pid: int) -> float:
    """Return the processor seconds a process has used, as `ps` knows them."""
    found = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    seconds = 0.0
    for part in found.stdout.strip().replace("-", ":").split(":"):
        seconds = seconds * 60 + float(part or 0)
    return seconds


def _rate(client: Mapping[str, Any], workers: int, count: int, seed: int) -> tuple[float, float]:
    """Return mentions a second of so many workers on a backlog, and the processor seconds of each mention."""
    settings = config()
    fill(client, MENTIONS, count, seed=seed)
    with running("triage", settings, client, workers) as found:

        def received() -> list[float]:
            return [worker.metric(RECEIVED, stage="triage") for worker in found]

        wait(lambda: all(received()), 60, "a worker gets nothing")  # joining and rebuilding memories is not measured
        began, at_start = time.perf_counter(), sum(received())
        used = sum(_cpu(worker.process.pid) for worker in found)
        wait(lambda: sum(received()) >= count, 600, "the workers do not get done")
        took, done = time.perf_counter() - began, count - at_start
        used = sum(_cpu(worker.process.pid) for worker in found) - used
        return done / took, used / done


def measure(
    client: Mapping[str, Any], broker: int | None, *, count: int, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return mentions a second with one and with two workers, and what a mention costs workers and broker.

    The broker must be empty; `broker` is its process id, where it is one of this machine.
    """
    admin.apply(client, declared(config()))
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    before = _cpu(broker) if broker else 0.0
    for number in range(rounds):
        for workers in (1, 2):
            say(f"round {number + 1} of {rounds}: {workers} workers")
            rate, cost = _rate(client, workers, count, seed=1000 + number * 10 + workers)
            rates[workers].append(rate)
            costs[workers].append(cost)
    median = {workers: sorted(values)[len(values) // 2] for workers, values in rates.items()}
    result: dict[str, Any] = {
        "mentions": count,
        "per_second": {str(workers): values for workers, values in rates.items()},
        "two_against_one": median[2] / median[1],
        "worker_microseconds": {
            str(workers): sorted(values)[len(values) // 2] * 1e6 for workers, values in costs.items()
        },
    }
    if broker:
        result["broker_microseconds"] = (_cpu(broker) - before) / (2 * rounds * count) * 1e6
    return result
