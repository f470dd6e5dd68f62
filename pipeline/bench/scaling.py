"""`earshot bench scaling`: two triage workers on the same topic against one, what the broker takes, what more would need."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.bench.messages import config, held_back
from pipeline.bench.sizing import RATES, Costs, Terms, need
from pipeline.bench.workers import running, wait
from pipeline.broker import admin
from pipeline.runtime.declared import declared
from pipeline.topology import MENTIONS

RECEIVED = "earshot_stage_messages_received_total"
WARM = 0.25  # of the mentions that come before the clock starts


def _cpu(pid: int | None) -> float:
    """Return the processor seconds a process has used, to the hundredth on Linux, else to the second; 0 for none."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    seconds = 0.0
    for part in found.stdout.strip().replace("-", ":").split(":"):
        seconds = seconds * 60 + float(part or 0)
    return seconds


def _size(folder: Path) -> int:
    """Return the bytes that a folder's files take on the disk: a log's index is a large file with little in it."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def _rate(client: Mapping[str, Any], workers: int, count: int, seed: int) -> tuple[float, float]:
    """Return mentions a second of so many workers on a backlog, and the processor seconds of each mention."""
    settings = config()
    commit = held_back(client, MENTIONS, count, seed=seed)
    with running("triage", settings, client, workers) as found:

        def received() -> list[float]:
            return [worker.metric(RECEIVED, stage="triage") for worker in found]

        commit()
        # Joining and rebuilding memories, which happens with the first mention of each partition, is not measured.
        wait(lambda: all(received()) and sum(received()) >= WARM * count, 60, "a worker gets nothing")
        began, at_start = time.perf_counter(), sum(received())
        used = sum(_cpu(worker.process.pid) for worker in found)
        wait(lambda: sum(received()) >= count, 600, "the workers do not get done")
        took, done = time.perf_counter() - began, count - at_start
        used = sum(_cpu(worker.process.pid) for worker in found) - used
        return done / took, used / done


def measure(
    client: Mapping[str, Any], broker: int | None, data: Path, *, count: int, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return mentions a second with one and with two workers, what a mention costs, and what many more would need.

    The broker must be empty; `broker` is its process id, `data` where it keeps its data.
    """
    admin.apply(client, declared(config()))
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    before, held = _cpu(broker), _size(data)
    for number in range(rounds):
        for workers in (1, 2):
            say(f"round {number + 1} of {rounds}: {workers} workers")
            rate, cost = _rate(client, workers, count, seed=1000 + number * 10 + workers)
            rates[workers].append(rate)
            costs[workers].append(cost)
    median = {workers: sorted(values)[len(values) // 2] for workers, values in rates.items()}
    microseconds = {workers: sorted(values)[len(values) // 2] * 1e6 for workers, values in costs.items()}
    judged = 2 * rounds * count
    found = Costs(microseconds[2] / 1e6, (_cpu(broker) - before) / judged, (_size(data) - held) / judged)
    return {
        "mentions": count,
        "per_second": {str(workers): values for workers, values in rates.items()},
        "two_against_one": median[2] / median[1],
        "worker_microseconds": {str(workers): value for workers, value in microseconds.items()},
        "broker_microseconds": found.broker * 1e6,
        "stored_bytes": found.stored,
        "needs": [asdict(need(rate, found)) for rate in RATES],
        "assumed": asdict(Terms()),
    }
