"""Notify on real Kafka with a real Alertmanager and a webhook receiver that fails as told."""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing
import urllib.request
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer

from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.codec import header
from pipeline.contract.events import Heartbeat, Severity
from pipeline.contract.metrics import Metrics
from pipeline.notifiers.registry import make_all
from pipeline.runtime import notified, notify
from pipeline.runtime.health import Health
from pipeline.runtime.notify import NotifyWorker
from pipeline.runtime.reading import Reader
from pipeline.runtime.roles import Role
from pipeline.runtime.status import Status
from tests.monitoring.real_prometheus import free_port, readable, tool
from tests.notifiers.alerts import an_alert, resolved
from tests.notifiers.receiving import Receiving

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert not Running.failed, Running.failed
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture
def receiving(monkeypatch):
    monkeypatch.setenv("HOOK_KEY", KEY)
    with Receiving() as found:
        yield found


@pytest.fixture
def alertmanager(tmp_path):
    """The address of a real Alertmanager on loopback."""
    (tmp_path / "am.yml").write_text(yaml.safe_dump({"route": {"receiver": "none"}, "receivers": [{"name": "none"}]}))
    url = f"http://127.0.0.1:{free_port()}"
    with (tmp_path / "am.log").open("wb") as log:
        process = subprocess.Popen(
            [
                tool("prometheus-alertmanager", "prometheus-alertmanager"),
                f"--config.file={tmp_path / 'am.yml'}",
                f"--storage.path={tmp_path / 'am'}",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: readable(f"{url}/-/ready"))
        yield url
    finally:
        process.terminate()
        process.wait(20)


def alerts_in(url):
    with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true&inhibited=true&silenced=true", timeout=5) as answer:
        return json.load(answer)


def config(receiving=None, alertmanager=None, **more):
    """Retries are quick here: the first comes after a second, as everywhere."""
    notifiers = {}
    if receiving is not None:
        notifiers["hook"] = {"type": "webhook", "url": receiving.address, "secret": {"env": "HOOK_KEY"}, **more}
    if alertmanager is not None:
        every = {"severities": ["critical", "warning", "info"], "repeat_every": "2s", "keep_firing": "30s"}
        notifiers["am"] = {"type": "alertmanager", "url": alertmanager, **every}
    return Config(version=1, notifiers=notifiers)


def put(client, *alerts, topic="alerts", partition=None):
    """Write alerts as reputation does: in a transaction, key and value only."""
    producer = Producer({**client, "partitioner": "murmur2_random", "transactional.id": f"test-{time.monotonic_ns()}"})
    producer.init_transactions(20)
    producer.begin_transaction()
    for alert in alerts:
        key, value = alert if isinstance(alert, tuple) else (f"{alert.brand}/{alert.fingerprint}", codec.encode(alert))
        producer.produce(topic, value, key, **({} if partition is None else {"partition": partition}))
    producer.commit_transaction(20)


def committed(client):
    """Offsets and logs that the group has committed, by partition of `alerts`."""

    async def ask():
        return {number: await notified.committed(client, notify.GROUP, "alerts", number) for number in range(4)}

    return asyncio.run(ask())


def told(receiving):
    """Type, key and sequence of everything that arrived."""
    found = []
    for request in receiving.requests:
        body = json.loads(request.body)
        found.append((body["type"], request.headers["webhook-id"], body["data"]["alert"]["sequence"]))
    return found


class Running:
    """A worker in a thread of this process."""

    failed: typing.ClassVar[list[Exception]] = []

    def __init__(self, client, config, instance="t"):
        self.role = Role("notify", config, client, instance, Metrics(), Health(), Status(), threading.Event())
        self.metrics, self.error = self.role.metrics, None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            notify.serve(self.role)
        except Exception as error:
            self.error = error
            self.failed.append(error)

    def value(self, metric, *labels):
        return metric.labels(*labels)._value.get()

    def sums(self):
        """Received, processed, discarded by reason, dead letters by reason."""
        by = {}
        for name, metric in (("discarded", self.metrics.discarded), ("dead", self.metrics.dead_letters)):
            by[name] = {
                labels[1]: child._value.get() for labels, child in metric._metrics.items() if child._value.get()
            }
        received = self.value(self.metrics.received, "notify")
        processed = self.value(self.metrics.processed, "notify")
        assert received == processed + sum(by["discarded"].values()) + sum(by["dead"].values())
        return int(received), int(processed), by["discarded"], by["dead"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.failed.clear()
        self.role.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        assert self.error is None, self.error


def process(client, tmp_path, config):
    """A worker as a cluster runs it."""
    path = tmp_path / "earshot.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)), "utf-8")
    command = [sys.executable, "-m", "pipeline", "run", "notify", "--config", str(path)]
    with (tmp_path / "notify.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--broker", client["bootstrap.servers"]],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "HOOK_KEY": KEY},
        )  # fmt: skip


def test_one_firing_and_one_resolved_arrive_in_alertmanager_and_at_the_webhook(own_kafka, receiving, alertmanager):
    with Running(own_kafka, config(receiving, alertmanager)) as running:
        put(own_kafka, an_alert(0), an_alert(1, severity=Severity.CRITICAL))
        (alert,) = until(lambda: alerts_in(alertmanager))
        assert alert["status"]["state"] == "active"
        assert alert["labels"] == {
            "alertname": "ReputationDamage", "brand": "acme", "fingerprint": "0123456789abcdef", "severity": "warning",
        }  # fmt: skip
        assert alert["annotations"]["severity"] == "critical"
        assert "usually 1.0" in alert["annotations"]["description"]
        until(lambda: running.value(running.metrics.notifications, "am", "repeated") >= 2)
        assert len(alerts_in(alertmanager)) == 1
        put(own_kafka, resolved(2))
        until(lambda: not alerts_in(alertmanager))  # its API no longer lists what is over
        until(lambda: running.sums()[1] == 3)
    assert told(receiving) == [
        ("alert.firing", "0123456789abcdef-firing-hook", 1),
        ("alert.resolved", "0123456789abcdef-resolved-hook", 2),
    ]
    assert {text for _, text in committed(own_kafka).values()} == {"1|"}


def test_a_restarted_worker_keeps_alertmanager_firing_and_tells_nobody_else_again(own_kafka, receiving, alertmanager):
    with Running(own_kafka, config(receiving, alertmanager)):
        put(own_kafka, an_alert(0), an_alert(0, fingerprint="over"), resolved(1, fingerprint="over"))
        until(lambda: len(receiving.requests) == 3)
        until(lambda: any("0123456789abcdef:" in (text or "") for _, text in committed(own_kafka).values()))
    before = alerts_in(alertmanager)[0]["endsAt"]
    with Running(own_kafka, config(receiving, alertmanager)) as running:
        until(lambda: running.value(running.metrics.notifications, "am", "repeated") >= 1)
        until(lambda: alerts_in(alertmanager)[0]["endsAt"] > before)
        assert running.value(running.metrics.notifications, "am", "firing") == 0
        put(own_kafka, resolved(1))
        until(lambda: len(receiving.requests) == 4)
        until(lambda: not alerts_in(alertmanager))
    assert [kind for kind, _, _ in told(receiving)].count("alert.firing") == 2
    assert len(set(told(receiving))) == 4


def test_a_receiver_that_was_down_gets_it_later_and_the_others_do_not_wait(own_kafka, receiving, alertmanager):
    receiving.always = 503
    with Running(own_kafka, config(receiving, alertmanager)) as running:
        put(own_kafka, an_alert(0))
        until(lambda: alerts_in(alertmanager))
        until(lambda: len(receiving.requests) >= 2)
        put(own_kafka, resolved(1))
        until(lambda: not alerts_in(alertmanager))
        assert running.sums()[0] == 0  # nothing is counted or committed before everyone has it
        assert max(offset for offset, _ in committed(own_kafka).values()) <= 0
        receiving.always = None
        until(lambda: running.sums()[:2] == (2, 2))
        assert running.value(running.metrics.notifications_failed, "hook", "unavailable") >= 2
    kinds = [kind for kind, _, _ in told(receiving)]
    assert kinds[-2:] == ["alert.firing", "alert.resolved"]
    assert len({key for kind, key, _ in told(receiving) if kind == "alert.firing"}) == 1


def test_killed_between_delivery_and_commit_it_repeats_by_the_same_key_only(own_kafka, receiving, tmp_path):
    """The receiver has it when the process dies: it is killed while the receiver holds back its answer."""
    receiving.answers = [("hang", {})]
    worker = process(own_kafka, tmp_path, config(receiving))
    try:
        put(own_kafka, an_alert(0))
        until(lambda: receiving.requests)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with Running(own_kafka, config(receiving)) as running:
        until(lambda: len(receiving.requests) == 2)
        put(own_kafka, resolved(1))
        until(lambda: running.sums()[1] == 2)
    firing, again, over = told(receiving)
    assert firing == again == ("alert.firing", "0123456789abcdef-firing-hook", 0)
    assert receiving.requests[0].body == receiving.requests[1].body
    assert over[0] == "alert.resolved"


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_lost_and_every_repetition_has_its_key(own_kafka, receiving, tmp_path):
    incidents = [f"f{number:02}" for number in range(20)]
    worker = process(own_kafka, tmp_path, config(receiving))
    try:
        for step in range(2):
            ten = incidents[10 * step : 10 * step + 10]
            put(own_kafka, *(an_alert(0, fingerprint=one) for one in ten))
            before = len(receiving.requests)
            until(lambda before=before: len(receiving.requests) > before)
            put(own_kafka, *(resolved(1, fingerprint=one) for one in ten))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = process(own_kafka, tmp_path, config(receiving))
        until(lambda: len({key for _, key, _ in told(receiving)}) == 40)
        until(lambda: sum(max(offset, 0) for offset, _ in committed(own_kafka).values()) >= 40)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.wait()
    kinds = collections.defaultdict(list)
    for kind, key, _ in told(receiving):
        kinds[key.split("-")[0]].append(kind)
    for one in incidents:
        assert set(kinds[one]) == {"alert.firing", "alert.resolved"}
        assert kinds[one][0] == "alert.firing"
        assert max(collections.Counter(kinds[one]).values()) <= 3, "once, and once more for each of two deaths"


def test_what_is_held_reaches_nobody(own_kafka, receiving, alertmanager):
    with Running(own_kafka, config(receiving, alertmanager)) as running:
        put(own_kafka, an_alert(0, held=True, severity=Severity.CRITICAL), resolved(1, held=True))
        put(own_kafka, an_alert(0, fingerprint="b"))
        until(lambda: alerts_in(alertmanager))
        until(lambda: running.sums()[0] == 3)
        assert running.sums() == (3, 1, {"muted": 2}, {})
        assert running.value(running.metrics.notifications_held, "held") == 2
    assert [key for _, key, _ in told(receiving)] == ["b-firing-hook"]
    assert {alert["labels"]["fingerprint"] for alert in alerts_in(alertmanager)} == {"b"}


def test_what_cannot_be_read_or_is_refused_is_a_dead_letter_with_its_reason(own_kafka, receiving):
    receiving.answers = [(422, {})]
    with Running(own_kafka, config(receiving)) as running:
        put(own_kafka, an_alert(0))
        until(lambda: running.sums()[0] == 1)
        put(own_kafka, ("acme/x", b"\xff not json"), ("acme/y", b'{"fingerprint": 1}'), ("acme/z", None))
        put(own_kafka, an_alert(0, fingerprint="b"))
        until(lambda: running.sums()[0] == 5)
        assert running.sums() == (5, 1, {"empty": 1}, {"undecodable": 1, "invalid": 1, "failed": 1})
    with Reader(own_kafka, ["alerts-dlq"], "beginning") as reader:
        letters = {header(letter.headers(), "dlq_reason"): letter for letter in reader.until_end()}
    assert letters["undecodable"].value() == b"\xff not json"
    assert letters["failed"].value() == codec.encode(an_alert(0))
    assert header(letters["failed"].headers(), "dlq_error").startswith("hook: refused at attempt 1: 127.0.0.1:")
    assert header(letters["failed"].headers(), "dlq_topic") == "alerts"


def test_heartbeats_end_here_and_the_lag_is_nothing(own_kafka, receiving):
    with Running(own_kafka, config(receiving)) as running:
        began = time.time()
        at = time_now()
        beat = Heartbeat(partition=1, sent_at=at, stage="reputation", passed_at=at)
        put(own_kafka, ("heartbeat-1", codec.encode(beat)), ("heartbeat-2", b"?"), topic="heartbeats", partition=1)
        put(own_kafka, an_alert(0))
        until(lambda: running.value(running.metrics.heartbeat, "notify") >= began)
        until(lambda: running.sums()[0] == 3)
        assert running.sums() == (3, 1, {"heartbeat": 1, "undecodable": 1}, {})
        assert 0 <= running.value(running.metrics.heartbeat_seconds, "notify") < 60
        for topic in ("alerts", "heartbeats"):
            until(lambda topic=topic: running.value(running.metrics.lag, "notify", topic) == 0)
        assert running.role.health.why_not_ready() == {}


def test_two_workers_share_and_a_third_that_comes_repeats_nothing(own_kafka, receiving):
    with contextlib.ExitStack() as workers:
        first = workers.enter_context(Running(own_kafka, config(receiving)))
        put(own_kafka, *(an_alert(0, fingerprint=f"a{number}") for number in range(12)))
        until(lambda: first.sums()[0] == 12)
        second = workers.enter_context(Running(own_kafka, config(receiving), instance="u"))
        until(lambda: not second.role.health.why_not_ready())
        put(own_kafka, *(resolved(1, fingerprint=f"a{number}") for number in range(12)))
        until(lambda: len(receiving.requests) >= 24)
        until(lambda: first.sums()[0] + second.sums()[0] == 24)
    assert len(receiving.requests) == len(set(told(receiving))) == 24


async def test_a_broker_that_is_not_there_is_named(receiving):
    from pipeline.contract.errors import BrokerUnavailableError

    client = {"bootstrap.servers": "127.0.0.1:1"}
    role = Role("notify", config(receiving), client, "t", Metrics(), Health(), Status(), threading.Event())
    worker = NotifyWorker(role, make_all(role.config))
    assert role.health.why_not_ready() == {}
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1.*--broker"):
        await asyncio.wait_for(worker.run(), 30)


def time_now():
    from datetime import UTC, datetime

    return datetime.now(UTC)
