"""What the tests of reputation share: pulses in transactions, workers as `earshot up` runs them, what came of it."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from pipeline.broker.client import quiet
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError
from pipeline.contract.events import Alert, AlertStatus, Counts, Pulse
from pipeline.core.reputation.state import load
from pipeline.runtime.reading import Reader
from pipeline.topology import ALERTS, BRANDS, PULSE

ROOT = Path(__file__).parents[2]
CALM = {"negative": 0.1, "positive": 0.3}
STORM = {"negative": 0.8, "positive": 0.0}


def now_minute() -> int:
    return int(time.time() // 60)


def until(condition, seconds=60, what="did not happen in time"):
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.1)
    return answer


def a_pulse(brand, minute, n=10, *, source="rss", negative=0.1, positive=0.3, **more):
    counts = Counts(
        mentions=n,
        negative=round(n * negative),
        positive=round(n * positive),
        score_sum=n * (positive - negative),
        reach=n * 100,
    )
    return Pulse(brand=brand, source=source, minute=minute, counts=counts, sent_at=datetime.now(UTC), **more)


class Sender:
    """Writes pulses as triage does: in transactions. Aborted ones are in between; `sent` counts what was committed."""

    def __init__(self, client):
        self.producer = Producer(
            {**quiet(client), "transactional.id": "test-pulses", "partitioner": "murmur2_random", "linger.ms": 1}
        )
        self.producer.init_transactions(30)
        self.sent: collections.Counter[tuple[str, str]] = collections.Counter()

    def send(self, pulses, *, commit=True):
        self.producer.begin_transaction()
        for pulse in pulses:
            headers = codec.headers(Pulse, event_id="p", source="/test", at=pulse.sent_at)
            self.producer.produce(PULSE, codec.encode(pulse), pulse.brand.encode(), headers=headers)
        if not commit:
            self.producer.flush(20)
            self.producer.abort_transaction(20)
            return
        self.producer.commit_transaction(20)
        for pulse in pulses:
            self.sent[pulse.brand, pulse.source] += pulse.counts.mentions


class Workers:
    """Workers of one group, each a process; `restart()` starts again those that ended, as `earshot up` does."""

    def __init__(self, client, folder, count=1, config=None, **environment):
        self.client = client
        self.folder = Path(folder)
        self.config = config
        self.environment = environment
        self.processes: dict[str, subprocess.Popen] = {}
        self.ended: list[int] = []
        for number in range(count):
            self.start(str(number))

    def start(self, name):
        command = [sys.executable, "-m", "pipeline", "run", "reputation", "--instance", name]
        command += ["--broker", self.client["bootstrap.servers"], "--http", "off"]
        command += ["--config", str(self.config)] if self.config else []
        environment = {
            **os.environ,
            "TMPDIR": str(self.folder),
            "EARSHOT_LAST_METRICS": str(self.folder / f"{name}.metrics"),
            **self.environment,
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)

    def restart(self):
        for name, process in self.processes.items():
            if (code := process.poll()) is not None:
                self.ended.append(code)
                self.start(name)

    def log(self):
        return "".join(path.read_text("utf-8", "replace") for path in sorted(self.folder.glob("*.log")))

    def stop(self):
        """End all in order; return exit codes by name and the seconds the slowest took."""
        began = time.monotonic()
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(30) for name, process in self.processes.items()}
        return codes, time.monotonic() - began

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


def read(client, *topics):
    for _ in range(50):  # topics made anew a moment ago have no leader yet
        try:
            with Reader(quiet(client), topics, "beginning") as reader:
                return list(reader.until_end())
        except BrokerUnavailableError:
            time.sleep(0.1)
    raise AssertionError("topics could not be read")


def states(client):
    """The committed states by brand."""
    latest = {message.key(): message.value() for message in read(client, BRANDS)}
    return {key.decode(): load(value) for key, value in latest.items()}


def counted(client):
    return sum(state.counted for state in states(client).values())


def totals(client):
    """Mentions by brand and source, from the blocks of the committed states."""
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    for brand, state in states(client).items():
        for scope, series in state.series.items():
            if scope.startswith("source:"):
                found[brand, scope.removeprefix("source:")] += round(sum(cell[0] for cell in series.blocks.values()))
    return found


def alerts(client):
    return [codec.decode(Alert, message.value()) for message in read(client, ALERTS)]


def assert_each_incident_once(found):
    """Per fingerprint: sequences 0, 1, 2, … without a repeat, one resolved record at most, and it is the last."""
    by_fingerprint = collections.defaultdict(list)
    for alert in found:
        by_fingerprint[alert.fingerprint].append(alert)
    for incident in by_fingerprint.values():
        assert [alert.sequence for alert in incident] == list(range(len(incident)))
        assert [alert.status for alert in incident].index(AlertStatus.FIRING) == 0
        assert all(alert.status is AlertStatus.FIRING for alert in incident[:-1])
    return by_fingerprint


def metric(folder, name, **labels):
    """Sum of a metric over what all workers left when they ended in order."""
    found = 0.0
    for path in Path(folder).glob("*.metrics"):
        for family in text_string_to_metric_families(path.read_text("utf-8")):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    found += sample.value
    return found
