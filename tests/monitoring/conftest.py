"""Systems to look at: one that shows every series at once, and the real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from pipeline.contract.metrics import Metrics
from pipeline.runtime.health import Health, federate, page, serve
from pipeline.topology import STAGES
from tests.monitoring.real_prometheus import Prometheus
from tests.running import Up

# Label values with a meaning in rules or dashboards; every other label gets a plain value.
VALUES: dict[str, tuple[str, ...]] = {
    "stage": tuple(stage.name for stage in STAGES),
    "department": ("support", "review"),
    "verdict": ("right", "wrong"),
    "change": ("promoted", "rolled_back"),
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
            for values in product(*(VALUES.get(name, ("some",)) for name in names)):
                child = collector.labels(*values) if names else collector
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


FEED = """<rss version="2.0"><channel><title>Feed</title><link>http://127.0.0.1/</link>
<item><guid>1</guid><title>Quillmoor Ember does not start</title><pubDate>Tue, 24 Nov 2026 09:00:00 GMT</pubDate></item>
</channel></rss>"""


@pytest.fixture(scope="session")
def feed() -> Iterator[str]:
    """The address of a feed on loopback: a source that is asked over HTTP."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(FEED.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/feed"
        server.shutdown()


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory, feed: str) -> Iterator[str]:
    """The address of the metrics of a whole `earshot up` that listens to the simulator and to a feed."""
    text = Path(__file__).with_name("running.yaml").read_text("utf-8")
    text = text.replace("sources:\n", f"sources:\n  feed: {{type: rss, url: '{feed}', poll_interval: 1s}}\n", 1)
    with Up(tmp_path_factory.mktemp("running"), text, more=("--broker", "embedded")) as up:
        yield f"{up.url}/metrics"


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
