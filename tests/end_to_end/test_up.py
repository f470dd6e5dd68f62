"""`earshot up` and `earshot import`: everything that goes in comes out once, whatever is killed meanwhile."""

from __future__ import annotations

import collections
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.contract import codec
from pipeline.contract.events import JudgedMention
from pipeline.runtime.reading import Reader
from tests.end_to_end import texts
from tests.monitoring.real_prometheus import free_port
from tests.running import ROOT, Up, earshot, is_alive, processes, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(420)]

MENTIONS = 20_000
DEPARTMENTS = [f"department-{name}" for name in ("service", "support", "design", "marketing", "review")]
CONFIG = """
version: 1
heartbeat_interval: 1s
notifiers:
  log: {type: console}
"""


def read(up: Up, *topics: str):
    """Return the committed records of these topics."""
    with Reader(up.client, topics, "beginning") as reader:
        return list(reader.until_end())


def judged(up: Up):
    """Return what triage decided about every mention but heartbeats: outcome by id, each as often as it is there."""
    found = collections.defaultdict(list)
    for record in read(up, "mentions-enriched"):
        mention = codec.decode(JudgedMention, record.value())
        found[mention.id].append(mention)
    return found


def account(up: Up, imported: int) -> collections.Counter[str]:
    """Check what was imported against the topics: routed + discarded + dead-lettered, and nothing twice anywhere."""
    outcomes = judged(up)
    letters = read(up, "mentions-dlq")
    twice = [mention for mention, decisions in outcomes.items() if len(decisions) != 1]
    assert twice == []
    sums = collections.Counter(decisions[0].outcome.value for decisions in outcomes.values())
    sums["dead-lettered"] += len(letters)
    assert sum(sums.values()) == imported
    on_departments = collections.Counter(
        (codec.decode(JudgedMention, record.value()).id, record.topic()) for record in read(up, *DEPARTMENTS)
    )
    assert set(on_departments.values()) <= {1}
    expected = {
        (mention, f"department-{name}")
        for mention, (decision,) in outcomes.items()
        if decision.outcome == "routed"
        for name in decision.departments
    }
    assert set(on_departments) == expected
    assert {mention for mention, _ in expected} == {m for m, (d,) in outcomes.items() if d.outcome == "routed"}
    return sums


def test_what_is_imported_is_routed_discarded_or_dead_lettered_exactly(tmp_path):
    """20,000 mentions, a bad record among them, a heartbeat through the whole way, Ctrl-C, and a second start."""
    file = tmp_path / "mentions.jsonl"
    texts.write(file, MENTIONS)
    with Up(tmp_path / "up", CONFIG) as up:
        done = earshot("import", "--broker", up.bootstrap, "--source", "sets", "--backfill", "--quiet", str(file))
        assert done.returncode == 0, done.stderr
        from confluent_kafka import Producer

        producer = Producer(up.client)
        producer.produce("mentions", b"\xff no mention", b"bad")
        assert producer.flush(10) == 0
        imported = MENTIONS + 1
        until(lambda: len(judged(up)) + len(read(up, "mentions-dlq")) >= imported, 120, "not everything came out")
        sums = account(up, imported)
        assert sums["dead-lettered"] == 1
        assert sums["routed"] > 0.9 * MENTIONS

        def balanced():
            names = ("processed_total", "discarded_total")
            became = sum(up.metric(f"earshot_stage_messages_{name}", stage="triage") for name in names)
            became += up.metric("earshot_dead_letters_total", stage="triage")
            return up.metric("earshot_stage_messages_received_total", stage="triage") == became >= imported

        until(balanced, 20, "the sum rule does not hold in the metrics")
        beat = up.metric("earshot_heartbeat_timestamp_seconds", stage="notify", role="notify")
        until(
            lambda: up.metric("earshot_heartbeat_timestamp_seconds", stage="notify", role="notify") > beat,
            20,
            "no heartbeat goes the whole way",
        )
        said = up.stop()
        assert re.match(rf"stopped in order\. {imported:,} mentions processed: {sums['routed']:,} routed \(", said), (
            said
        )
        assert processes(up.process.pid) == []
    with Up(tmp_path / "up", CONFIG) as up:  # the data stand, nothing is done again
        account(up, imported)
        said = up.stop()
        assert "0 mentions processed" in said


def test_each_role_is_killed_while_mentions_come_and_nothing_is_lost_or_repeated(tmp_path):
    """Four times `kill -9` of every role, one after the other, while a source goes on talking."""
    roles = ("triage", "connectors", "reputation", "notify") * 3
    count, part = 6_000, 6_000 // (len(roles) + 1)
    file = tmp_path / "mentions.jsonl"
    texts.write(file, count)
    lines = file.read_bytes().splitlines(keepends=True)
    source = tmp_path / "source.jsonl"
    source.write_bytes(b"".join(lines[:part]))
    listens = f"{CONFIG}\nsources:\n  file: {{type: jsonl, path: {source}, poll_interval: 100ms}}\n"
    with Up(tmp_path / "up", listens) as up:
        killed = collections.Counter()
        with source.open("ab") as growing:
            for number, role in enumerate(roles, 1):
                last = number == len(roles)
                growing.write(b"".join(lines[number * part : None if last else (number + 1) * part]))
                growing.flush()
                until(lambda role=role: up.workers(role), 30, f"{role} is not started again")
                for pid in up.workers(role):
                    os.kill(pid, signal.SIGKILL)
                    killed[role] += 1
                time.sleep(0.8)  # work goes on between two deaths
        until(lambda: len(judged(up)) >= count, 120, f"only {len(judged(up))} of {count} came out")
        up.wait_until_ready()
        sums = account(up, count)
        assert sums["dead-lettered"] == 0
        for role in set(roles):
            assert killed[role] == 3
            assert up.metric("earshot_worker_restarts_total", stage=role) >= 3


def test_nothing_stays_behind_when_it_is_killed_and_the_next_one_takes_over(tmp_path):
    with Up(tmp_path / "up", CONFIG) as up:
        java, roles = up.java(), [pid for pid, _ in processes(up.process.pid)]
        assert len(roles) >= 6  # five roles and the broker's watcher
        up.process.kill()
        up.process.wait()
        until(lambda: not any(is_alive(pid) for pid in (java, *roles)), 60, "something stayed behind")
    with Up(tmp_path / "up", CONFIG) as up:
        assert "stopped in order" in up.stop()


def test_a_terminal_gets_one_live_screen(tmp_path):
    """On a pseudo-terminal the screen is drawn by rich, and Ctrl-C ends it in order."""
    import pty

    file = tmp_path / "earshot.yaml"
    source = tmp_path / "source.jsonl"
    source.write_text('{"id": "1", "text": "The app keeps crashing \\u001b[31m since the update"}\n', "utf-8")
    sources = f"{{type: jsonl, path: {source}, poll_interval: 100ms}}"
    file.write_text(f"{CONFIG}\nsources:\n  letters: {sources}\n  nowhere: {{type: rss, url: 'http://127.0.0.1:9/'}}\n")
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 140, 0, 0))
    command = [sys.executable, "-m", "pipeline", "up", "--config", str(file), "--data", str(tmp_path / "data")]
    process = subprocess.Popen(
        [*command, "--http", f"127.0.0.1:{free_port()}"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        start_new_session=True,
        # A test runner may have been told a size of its own, which says more than the terminal's to rich.
        env={
            **{name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")},
            "TERM": "xterm-256color",
        },
    )
    os.close(theirs)
    seen = bytearray()

    def listen():
        while True:
            try:
                seen.extend(os.read(ours, 65536))
            except OSError:  # the other side is closed
                return

    reading = threading.Thread(target=listen, daemon=True)
    reading.start()
    try:
        until(lambda: b"ready after" in seen and b"keeps crashing" in seen, 120, "the screen shows no mention")
        shown = bytes(seen).decode("utf-8", "replace")
        for words in ("earshot", "sources", "departments", "letters", "listening", "nowhere", "unreachable", "kafka"):
            assert words in shown, words
        assert "crashing \x1b[31m since" not in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        until(lambda: b"stopped in order" in seen, 10, "no last words")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def test_the_broker_in_memory_carries_a_heartbeat_the_whole_way(tmp_path):
    with Up(tmp_path / "up", CONFIG, more=("--broker", "memory")) as up:
        assert "the broker is in memory" in up.said()
        assert up.metric("earshot_worker_restarts_total") == 0
        up.stop()
