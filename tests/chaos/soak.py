"""`python -m tests.chaos.soak --minutes 10 --rate 100`: nobody is hurt, and memory, open files and latency stay flat.

Prints JSON; exit code 1 when something grows. The first part of the time is left out: caches fill, and each partition
comes to know as many mentions as it may remember.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from pipeline.broker import admin
from pipeline.broker.client import quiet
from pipeline.config.load import read as read_config
from pipeline.runtime.declared import declared
from pipeline.runtime.reading import Reader
from tests.chaos.cluster import Cluster, descriptors, memory
from tests.chaos.load import Departments, Files, Script, Truth
from tests.chaos.run import SECRET, Plan, write_configs
from tests.chaos.site import Receiver, Site
from tests.chaos.workers import ROLES, Crew

EVERY = 5.0  # seconds between two samples
MEMORY_SHARE, MEMORY_LEAST = (
    0.08,
    12_000_000,
)  # growth from the second quarter to the last that is none, share and bytes
FILES = 4
REMEMBERED = 1000  # mentions of a partition: full within the first quarter


class _Collected(msgspec.Struct):
    collected_at: datetime


class Latency(threading.Thread):
    """From fetched to committed on `mentions-enriched`, in seconds, as a reader of committed records sees it."""

    def __init__(self, client: dict[str, str]) -> None:
        super().__init__(name="latency", daemon=True)
        self.stop = threading.Event()
        self.seen: list[tuple[float, float]] = []  # when, and how long it took
        self._client = client

    def run(self) -> None:
        decode = msgspec.json.Decoder(_Collected).decode
        with Reader(quiet(self._client), ["mentions-enriched"], "end") as reader:
            while not self.stop.is_set():
                for message in reader.read(1000, 0.02):
                    now = datetime.now(UTC)
                    took = (now - decode(message.value()).collected_at).total_seconds()
                    self.seen.append((time.monotonic(), took))

    def between(self, since: float, until: float) -> list[float]:
        """Return the latencies of a time, sorted."""
        return sorted(took for at, took in list(self.seen) if since <= at < until)


@dataclass
class Samples:
    """What was seen of every worker: bytes and open files, one by one."""

    memory: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    files: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def take(self, processes: dict[str, int]) -> None:
        """Look once."""
        for name, pid in processes.items():
            self.memory[name].append(memory(pid))
            self.files[name].append(descriptors(pid))


def quarters(values: Sequence[int]) -> tuple[float, float]:
    """Return the medians of the second quarter and of the last."""
    part = max(1, len(values) // 4)
    return median(values[part : 2 * part] or values), median(values[-part:])


def tenths(values: Sequence[int]) -> list[float]:
    """Return the medians of ten parts, in megabytes: whether what grows comes to an end."""
    size = max(1, len(values) // 10)
    return [round(median(values[at : at + size]) / 1e6, 1) for at in range(0, len(values), size)][:10]


def share_of(ordered: Sequence[float], share: float) -> float:
    """Return the value below which that share of the ordered values is, in seconds."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else float("nan")


def soak(minutes: float, rate: float, seed: int, folder: Path, say: Any) -> dict[str, Any]:
    """Run everything undisturbed; return the figures and what grew."""
    os.environ["CHAOS_HOOK_SECRET"] = SECRET
    os.environ["EARSHOT_FAUST_WEB"] = "off"
    truth, receiver = Truth(), Receiver(seed)
    site = Site(truth, 5.0, seed)
    samples = Samples()
    try:
        with Cluster(folder, 1) as cluster:
            script = Script(minutes * 60)
            files = Files(folder / "sources", truth, script, rate, seed)
            config = write_configs(folder, Plan(seed, 0, 1, minutes, rate, 1), files, site, receiver)[0]
            text = config.read_text("utf-8")
            config.write_text(text.replace("triage: {", f"triage: {{dedup_window: {REMEMBERED}, "), "utf-8")
            admin.apply(cluster.client, declared(read_config(config)))
            roles = dict.fromkeys(ROLES, 1)
            with Crew(folder / "workers", cluster.bootstrap, config, roles, seed, hurts=False) as crew:
                latency = Latency(cluster.client)
                threads = (files, site, Departments(cluster.client, truth, seed), latency)
                for thread in threads:
                    thread.start()
                began = time.monotonic()
                while (now := time.monotonic()) < began + minutes * 60:
                    processes = {worker.role: worker.process.pid for worker in crew.workers if worker.process}
                    if cluster.brokers[0].process is not None:
                        processes["broker"] = cluster.brokers[0].process.pid
                    samples.take(processes)
                    say(f"{now - began:5.0f} s: {len(latency.seen)} judged")
                    time.sleep(EVERY)
                for thread in threads:
                    thread.stop.set()
                ended = dict(crew.ended)
        return _verdict(samples, latency, (began, time.monotonic()), ended, minutes, rate)
    finally:
        site.close()
        receiver.close()


def _verdict(
    samples: Samples, latency: Latency, span: tuple[float, float], ended: dict[str, int], minutes: float, rate: float
) -> dict[str, Any]:
    grew: list[str] = [f"ended: {who}, {count} times" for who, count in ended.items()]
    figures: dict[str, Any] = {}
    for name, values in samples.memory.items():
        before, after = quarters(values)
        files_before, files_after = quarters(samples.files[name])
        figures[name] = {
            "memory_mb": [round(before / 1e6, 1), round(after / 1e6, 1)],
            "most_mb": round(max(values) / 1e6, 1),
            "over_time_mb": tenths(values),
            "open_files": [files_before, files_after],
        }
        # The broker's heap grows to what its Java may take; what it holds is on disk.
        if name != "broker" and after - before > max(MEMORY_LEAST, MEMORY_SHARE * before):
            grew.append(f"{name}: memory")
        if name != "broker" and files_after - files_before > FILES:
            grew.append(f"{name}: open files")
    quarter = (span[1] - span[0]) / 4
    second = latency.between(span[0] + quarter, span[0] + 2 * quarter)
    last = latency.between(span[0] + 3 * quarter, span[1])
    for share in (0.5, 0.99):
        figures[f"latency_p{round(share * 100)}_seconds"] = [share_of(second, share), share_of(last, share)]
    if not last or share_of(last, 0.5) > 2 * share_of(second, 0.5) + 0.1:
        grew.append("latency")
    return {"minutes": minutes, "lines_a_second": rate, "judged": len(latency.seen), **figures, "grew": grew}


def main() -> int:
    """Run as the arguments say; print JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0, help="lines a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # who ends this ends its workers, too
    with tempfile.TemporaryDirectory(prefix="earshot-soak-", ignore_cleanup_errors=True) as folder:
        found = soak(given.minutes, given.rate, given.seed, Path(folder), lambda line: sys.stderr.write(f"\r{line}   "))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["grew"] else 0


if __name__ == "__main__":
    sys.exit(main())
