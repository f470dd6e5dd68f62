"""Systems to look at: one that shows every series at once, and the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from pipeline.contract.metrics import Metrics
from pipeline.runtime.health import Health, federate, page, serve
from pipeline.topology import STAGES
from tests.monitoring.real_prometheus import Prometheus, eventually, free_port, readable

# Label values with a meaning in rules or dashboards; every other label gets a plain value.
VALUES: dict[str, tuple[str, ...]] = {
    "stage": tuple(stage.name for stage in STAGES),
    "department": ("support", "review"),
}


class Touched:
    """All metrics of earshot; each time they are asked for, every series has moved on."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.collectors = [
            value for value in vars(self.metrics).values() if isinstance(value, (Counter, Gauge, Histogram))
        ]

    def touch(self) -> None:
        """Move every series by one, so that what was received stays what became of it."""
        for collector in self.collectors:
            names = collector._labelnames
            for first in VALUES.get(names[0], ("some",)) if names else ("",):
                child = collector.labels(first, *("some" for _ in names[1:])) if names else collector
                if isinstance(child, Counter):
                    child.inc(3 if collector is self.metrics.received else 1)
                elif isinstance(child, Histogram):
                    child.observe(0.3)
                elif isinstance(child, Gauge):
                    child.set(time.time() if "_timestamp_" in collector._name else 1)

    def text(self) -> bytes:
        """Move on and return the page."""
        self.touch()
        return page(self.metrics.registry)


@pytest.fixture(scope="session")
def touched_system() -> Iterator[str]:
    """The address of metrics in which every declared series exists and moves, as `earshot up` federates them."""
    touched = Touched()
    with serve("127.0.0.1", 0, Health(), touched.text) as child:
        children = [({"role": "triage", "worker": "0"}, f"{child.address}/metrics")]
        with serve("127.0.0.1", 0, Health(), lambda: federate(children)) as up:
            yield f"{up.address}/metrics"


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the metrics of a whole `earshot up` that listens to the simulator."""
    folder = tmp_path_factory.mktemp("running")
    port = free_port()
    command = [sys.executable, "-m", "pipeline", "up", "--plain", "--http", f"127.0.0.1:{port}"]
    command += ["--config", str(Path(__file__).with_name("running.yaml")), "--data", str(folder / "data")]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "EARSHOT_BROKER": "embedded"}
        )
    try:
        ready = eventually(lambda: readable(f"http://127.0.0.1:{port}/readyz") or process.poll(), within=120)
        if ready is None or process.poll() is not None:
            pytest.fail("earshot up did not get ready: " + (folder / "up.log").read_text("utf-8", "replace")[-3000:])
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def prometheus_of_touched(touched_system: str, tmp_path: Path) -> Iterator[Prometheus]:
    """A real Prometheus that scrapes the touched system."""
    server = Prometheus(tmp_path, touched_system)
    yield server
    server.close()


@pytest.fixture
def prometheus_of_running(running_system: str, tmp_path: Path) -> Iterator[Prometheus]:
    """A real Prometheus that scrapes `earshot up`."""
    server = Prometheus(tmp_path, running_system)
    yield server
    server.close()
