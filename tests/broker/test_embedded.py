"""Embedded Apache Kafka, the real one: starts, keeps, recognises, never stays behind."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from pipeline.broker import admin, java
from pipeline.broker import settings as kafka_settings
from pipeline.broker.embedded import HOST, EmbeddedKafka, answers, running
from pipeline.broker.process import Process
from pipeline.contract.errors import BrokerUnavailableError, ConfigError
from pipeline.topology import Topic

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_data_survives_a_restart_and_transactions_work(tmp_path):
    def client(kafka):
        return {"bootstrap.servers": kafka.bootstrap}

    with EmbeddedKafka(tmp_path) as kafka:
        cluster = (tmp_path / "data" / "meta.properties").read_text()
        admin.apply(client(kafka), [Topic("kept", dict, "id", "a test", 2)])
        producer = Producer({**client(kafka), "transactional.id": "t"})
        producer.init_transactions(20)
        for value, commit in ((b"no", False), (b"yes", True)):
            producer.begin_transaction()
            producer.produce("kept", value)
            producer.flush(10)
            (producer.commit_transaction if commit else producer.abort_transaction)(20)
        java_process = Process.of(kafka.pid)
        assert java_process.is_alive
    assert not java_process.is_alive
    with EmbeddedKafka(tmp_path) as kafka:
        assert (tmp_path / "data" / "meta.properties").read_text() == cluster
        consumer = Consumer(
            {**client(kafka), "group.id": "g", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
        )
        consumer.subscribe(["kept"])
        values = []
        until(lambda: values.extend(m.value() for m in consumer.consume(10, 0.5)) or values)
        consumer.close()
        assert values == [b"yes"]


def starter(folder):
    """A process that starts a broker and waits, as `earshot up` does."""
    code = (
        "import sys, time; from pathlib import Path; from pipeline.broker.embedded import EmbeddedKafka\n"
        "kafka = EmbeddedKafka(Path(sys.argv[1])); kafka.start(); print(kafka.bootstrap, flush=True); time.sleep(300)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    bootstrap = process.stdout.readline().strip()
    assert bootstrap, "the starter's broker did not start"
    return process, bootstrap


def test_no_broker_stays_behind_when_its_starter_is_killed(tmp_path):
    process, bootstrap = starter(tmp_path)
    found = running(tmp_path)
    assert found.bootstrap == bootstrap
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    until(lambda: not found.java.is_alive)
    until(lambda: running(tmp_path) is None)


def test_a_folder_in_use_is_refused_with_the_way_to_use_its_broker(tmp_path):
    process, bootstrap = starter(tmp_path)
    try:
        with pytest.raises(ConfigError, match=f"--broker {bootstrap}"):
            EmbeddedKafka(tmp_path).start()
        assert answers(bootstrap)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def test_a_broker_that_was_left_behind_is_ended_and_its_data_taken_over(tmp_path):
    process, _ = starter(tmp_path)
    left = running(tmp_path)
    # Freeze the watcher, so that nobody ends Java when the starter dies, as after a crash.
    os.kill(left.watcher.pid, signal.SIGSTOP)
    try:
        process.kill()
        process.wait(10)
        process.stdout.close()
        assert running(tmp_path).is_left_over
        with EmbeddedKafka(tmp_path) as kafka:
            assert answers(kafka.bootstrap)
            assert kafka.pid != left.java.pid
        assert not left.java.is_alive
    finally:
        left.watcher.send(signal.SIGKILL)


def test_a_stale_note_of_a_dead_broker_is_not_believed(tmp_path):
    (tmp_path / "lock").touch()
    ours = asdict(Process.of(os.getpid()))
    note = {"bootstrap": "127.0.0.1:1", "java": ours, "owner": ours, "watcher": ours}
    (tmp_path / "kafka.json").write_text(json.dumps(note))
    with (tmp_path / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert running(tmp_path).owner.pid == os.getpid()
    assert running(tmp_path) is None


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} .* in use.*EARSHOT_KAFKA_PORT"):
            EmbeddedKafka(tmp_path, port=port).start()


def test_a_broker_that_takes_our_port_while_we_start_is_not_mistaken_for_ours(tmp_path, monkeypatch, kafka):
    look, taken = EmbeddedKafka._ports, [int(kafka.rpartition(":")[2])]

    def ports(self):
        return (taken.pop(), look(self)[1]) if taken else look(self)

    monkeypatch.setattr(EmbeddedKafka, "_ports", ports)
    with EmbeddedKafka(tmp_path) as ours:
        assert ours.bootstrap != kafka
        assert answers(ours.bootstrap, kafka_settings.cluster_id(tmp_path))
        assert not answers(kafka, kafka_settings.cluster_id(tmp_path))


def test_the_name_of_the_folder_may_hold_anything(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    folder = tmp_path / "a, b\\c 100% jürgen 日本"
    for _ in range(2):
        with EmbeddedKafka(folder):
            assert (folder / "data" / "__cluster_metadata-0").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_end_of_the_watcher_is_the_end_of_java(tmp_path):
    if sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent")
    kafka = EmbeddedKafka(tmp_path)
    kafka.start()
    try:
        found = running(tmp_path)
        os.kill(found.watcher.pid, signal.SIGKILL)
        until(lambda: not found.java.is_alive)
    finally:
        kafka.stop()
    assert running(tmp_path) is None


def test_damaged_data_are_told_in_kafkas_own_words(tmp_path):
    with EmbeddedKafka(tmp_path):
        meta = tmp_path / "data" / "meta.properties"
        kept = meta.read_text()
    meta.write_text("".join(line for line in kept.splitlines(True) if "node.id" not in line))
    with pytest.raises(BrokerUnavailableError, match=r"No readable meta\.properties"):
        EmbeddedKafka(tmp_path).start()
    assert running(tmp_path) is None
    meta.write_text(kept)
    with EmbeddedKafka(tmp_path) as kafka:
        assert answers(kafka.bootstrap)


def test_several_run_side_by_side(tmp_path):
    with EmbeddedKafka(tmp_path / "one") as one, EmbeddedKafka(tmp_path / "two") as two:
        assert one.bootstrap != two.bootstrap
        assert all(kafka.bootstrap.startswith(f"{HOST}:") for kafka in (one, two))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(BrokerUnavailableError, match="--data"):
        EmbeddedKafka(blocked / "kafka").start()


def test_kafka_that_ends_at_once_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_KAFKA_HEAP", "1k")
    with pytest.raises(BrokerUnavailableError, match="larger value than the maximum heap"):
        EmbeddedKafka(tmp_path).start()
    assert running(tmp_path) is None


def test_the_java_that_is_found_is_new_enough():
    assert java.version(java.find()) >= java.OLDEST
