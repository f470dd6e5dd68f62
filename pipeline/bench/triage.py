"""`earshot bench triage`: what a mention costs, against the bare VADER loop and other engines, in one run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.bench.messages import config, fill
from pipeline.broker import admin
from pipeline.contract.errors import ConfigError
from pipeline.contract.metrics import Metrics
from pipeline.runtime.collecting import settle
from pipeline.runtime.declared import declared
from pipeline.runtime.triage import STAGE, TriageWorker
from pipeline.topology import MENTIONS, Topic

PEERS = ("confluent-loop", "faust", "quix", "bytewax")
OWN_ENVIRONMENTS = ("quix", "bytewax")  # they pin a Kafka client of another version: `make bench` installs them apart
TIMEOUT = 600.0
LEAST_JUDGED = 0.9  # of the messages; one in twenty is about no brand


def python_of(peer: str) -> str | None:
    """Return the Python that has this peer's packages, None where they are not installed.

    EARSHOT_BENCH_ENVS is the folder of their environments, `.venv-bench` without it.
    """
    if peer not in OWN_ENVIRONMENTS:
        return sys.executable
    found = Path(os.environ.get("EARSHOT_BENCH_ENVS", ".venv-bench")) / peer / "bin" / "python"
    return str(found.absolute()) if found.exists() else None


def run_peer(module: str, *arguments: str, python: str = sys.executable) -> float:
    """Run one peer as a process of its own; return messages per second."""
    script = Path(__file__).parent / "peers" / f"{module}.py"
    done = subprocess.run(  # noqa: S603 - our own modules
        [python, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    lines = done.stdout.split()
    if not lines:
        raise RuntimeError(f"{module} printed nothing (exit {done.returncode}): {done.stderr[-800:]}")
    return float(lines[-1])


def ours(client: Mapping[str, Any], count: int) -> float:
    """Return mentions per second of one triage worker with everything on, first batch to last commit."""
    settings = config()
    metrics = Metrics()
    worker = TriageWorker(settings, client, metrics, instance=f"bench-{time.time():.0f}")
    settle()  # as the role does
    thread = threading.Thread(target=worker.run, daemon=True)

    def received() -> float:
        return float(metrics.received.labels(STAGE)._value.get())  # noqa: SLF001 - the counter's own value

    thread.start()
    deadline = time.monotonic() + TIMEOUT
    began, at_start = 0.0, 0.0
    while received() < count and time.monotonic() < deadline:
        if not began and received() and len(worker.memories) == len(worker.next):
            # The clock starts with the batch after which every partition's memory is there, and what was judged before
            # does not count: joining the group and rebuilding memories are not what is measured.
            began, at_start = time.perf_counter(), received()
        time.sleep(0.01)  # seldom: each look takes the lock from the worker
    rate = (received() - at_start) / (time.perf_counter() - began) if began else 0.0
    worker.stop()
    thread.join(30)
    judged = float(metrics.processed.labels(STAGE)._value.get())  # noqa: SLF001
    if judged < LEAST_JUDGED * received():  # what is discarded at sight costs next to nothing
        raise RuntimeError(f"of {received():.0f} mentions only {judged:.0f} were judged: this measures something else")
    return rate


def measure(
    client: Mapping[str, Any], *, count: int, peers: tuple[str, ...], rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return rates and ratios. The broker must be empty: topics are made as declared."""
    bootstrap = str(client["bootstrap.servers"])
    topics = list(declared(config()))
    topics += [Topic(name, dict, "id", "benchmark", 4) for name in ("bench-in", "bench-out")]
    admin.apply(client, topics)
    say(f"filling {count} mentions")
    fill(client, "bench-in", count)
    rates: dict[str, list[float]] = {"bare-vader": [], "earshot": []}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        rates["bare-vader"].append(run_peer("bare_vader", str(min(count, 20_000))))
        fill(client, MENTIONS, count, seed=number + 1)
        rates["earshot"].append(ours(client, count))
        for peer in peers:
            rates.setdefault(peer, []).append(_peer(peer, bootstrap, count))
    best = {name: max(values) for name, values in rates.items()}
    median = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    return {
        "mentions": count,
        "rounds": rounds,
        "per_second": rates,
        "median_per_second": median,
        "ratio_to_bare_vader": {name: value / median["bare-vader"] for name, value in median.items()},
        "earshot_against": {name: median["earshot"] / value for name, value in median.items() if name != "earshot"},
        "best_per_second": best,
    }


def _peer(peer: str, bootstrap: str, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        if peer == "confluent-loop":
            return run_peer("confluent_loop", bootstrap, "bench-in", "bench-out", str(count))
        if peer == "faust":
            return run_peer("faust_app", bootstrap, "bench-in", "bench-out", str(min(count, 15_000)), folder)
        python = python_of(peer) or sys.executable
        if peer == "bytewax":
            return run_peer("bytewax_flow", bootstrap, "bench-in", "bench-out", str(count), python=python)
        return run_peer("quix_app", bootstrap, "bench-in", "bench-out", str(min(count, 30_000)), folder, python=python)


def available(peers: tuple[str, ...]) -> tuple[str, ...]:
    """Return those peers whose packages are installed. Raises ConfigError for a name that is none."""
    unknown = [peer for peer in peers if peer not in PEERS]
    if unknown:
        raise ConfigError(f"there is no peer {', '.join(unknown)}; there are: {', '.join(PEERS)}")
    return tuple(peer for peer in peers if python_of(peer) is not None)


@contextlib.contextmanager
def fresh_broker(broker: str | None) -> Any:
    """Yield client settings of a broker of its own in a temporary folder, or of the one that was named."""
    if broker and broker not in ("embedded", "memory"):
        from pipeline.broker.client import confluent

        yield confluent(broker)
        return
    from pipeline.broker.embedded import EmbeddedKafka

    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka(Path(folder)) as kafka:
        yield {"bootstrap.servers": kafka.bootstrap}
