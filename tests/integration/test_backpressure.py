"""A broker that is slow, and one that is away: work waits, and memory does not grow."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer

from pipeline.broker import admin
from pipeline.broker.client import quiet
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.events import Mention
from pipeline.runtime.declared import declared
from pipeline.runtime.reading import Reader
from tests.chaos.cluster import Cluster, memory
from tests.running import ROOT, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]
MENTIONS, LETTERS = 30_000, 1_500  # 50 MB in the topic, and as much in the file
ROOM = 100_000_000  # bytes a worker may take more than it had when it began to work


def role(name, cluster, folder, config):
    command = [sys.executable, "-m", "pipeline", "run", name, "--instance", "b", "--broker", cluster.bootstrap]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--config", str(config)], cwd=ROOT, stdout=log, stderr=log, env={**os.environ}
        )


def fill(client, file: Path, numbers=range(MENTIONS)):
    """A backlog for triage, and a large file for a connector; other numbers come behind what stands there."""
    now = datetime.now(UTC)
    producer = Producer({**quiet(client), "linger.ms": 20, "compression.type": "none"})
    text = "the app keeps crashing and nobody answers " * (LETTERS // 42)
    with file.open("a", encoding="utf-8") as lines:
        for number in numbers:
            one = Mention(
                id=f"b:{number}",
                source="b",
                native_id=str(number),
                text=f"{text} {number}",
                created_at=now,
                collected_at=now,
            )
            producer.produce("mentions", codec.encode(one), one.key.encode())
            producer.poll(0)
            lines.write(json.dumps({"id": f"f{number}", "text": f"{text} {number}"}) + "\n")
    assert producer.flush(60) == 0


def judged(client):
    with Reader(quiet(client), ["mentions-enriched"], "end") as reader:
        return sum(reader.ends.values())


def test_a_slow_broker_and_one_that_is_away_grow_no_memory(tmp_path):
    file, config = tmp_path / "many.jsonl", tmp_path / "earshot.yaml"
    config.write_text(
        f"version: 1\nsources: {{many: {{type: jsonl, path: {file}, poll_interval: 100ms}}}}\n"
        "triage: {dedup_window: 1000}\n",
        "utf-8",
    )
    with Cluster(tmp_path, 1) as cluster:
        admin.apply(cluster.client, declared(Config(version=1)))
        fill(cluster.client, file)
        proxy = cluster.brokers[0].proxy
        workers = {name: role(name, cluster, tmp_path, config) for name in ("triage", "connectors")}
        try:
            until(lambda: judged(cluster.client) > 0, 90, "nothing is judged")
            began = {name: memory(one.pid) for name, one in workers.items()}
            most = dict(began)

            def watch(seconds):
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    for name, one in workers.items():
                        if one.poll() is not None:  # ended because Kafka was away: as `earshot up`, start it again
                            workers[name] = role(name, cluster, tmp_path, config)
                        most[name] = max(most[name], memory(one.pid))
                    time.sleep(0.25)

            proxy.delay = 0.2
            watch(10)
            proxy.delay = 0.0
            proxy.cut(on=True)
            watch(6)
            proxy.cut(on=False)
            before = judged(cluster.client)
            fill(cluster.client, file, range(MENTIONS, MENTIONS + 100))  # what was there may all be judged by now

            def goes_on():
                watch(0.25)
                return judged(cluster.client) > before

            until(goes_on, 90, "it does not go on when the broker is back")
        finally:
            for one in workers.values():
                one.kill()
                one.wait()
    grown = {name: most[name] - began[name] for name in workers}
    assert all(size < ROOM for size in grown.values()), grown
