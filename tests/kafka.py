"""Embedded Kafka for tests: one for the whole run, and one of each test process with earshot's own topics, empty.

`kafka` is shared by all pytest-xdist workers: topics are unique to a test, so tests do not meet. The first process that
asks starts it as a child of a keeper that lives as long as any test process holds its lock. Tests of what reads and
writes earshot's topics by their names take `own_kafka`: its topics are made anew before each test.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.broker import admin
from pipeline.broker.embedded import EmbeddedKafka
from pipeline.config.model import Config
from pipeline.runtime.declared import declared

KEEPER = """
import fcntl, sys, time
from pathlib import Path
from pipeline.broker.embedded import EmbeddedKafka
folder = Path(sys.argv[1])
users = (folder / "users").open("ab")
with EmbeddedKafka(folder / "kafka", port=None) as kafka:
    (folder / "bootstrap.new").write_text(kafka.bootstrap)
    (folder / "bootstrap.new").rename(folder / "bootstrap")
    while True:  # every test process holds a shared lock: when the exclusive one is ours, all of them have gone
        time.sleep(0.5)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            pass
    (folder / "bootstrap").unlink()
# Whoever asks from now on waits for our lock, which ends with this process, and then finds no broker: it starts another.
"""


def _spawn_keeper(folder: Path) -> None:
    """Start the keeper in a session of its own: it ends by itself, nobody waits for it."""
    root = Path(__file__).parents[1]
    log = (os.POSIX_SPAWN_OPEN, 2, str(folder / "keeper.err"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", KEEPER, str(folder)],
        {**os.environ, "PYTHONPATH": str(root)},
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), log],
        setsid=True,
    )


@contextlib.contextmanager
def shared(folder: Path):
    """Yield the bootstrap address of the broker that all who name this folder share; started by the first of them."""
    folder.mkdir(exist_ok=True)
    with (folder / "users").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (folder / "starting").open("ab") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not (folder / "bootstrap").exists():
                (folder / "keeper.err").unlink(missing_ok=True)
                _spawn_keeper(folder)
                deadline = time.monotonic() + 180  # the first time Kafka is fetched
                while not (folder / "bootstrap").exists():
                    said = (folder / "keeper.err").read_text()
                    assert "Traceback" not in said, said
                    assert time.monotonic() < deadline, f"embedded Kafka did not start: {said}"
                    time.sleep(0.05)
        yield (folder / "bootstrap").read_text()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory) -> str:
    """Bootstrap address of the run's embedded Kafka."""
    base = tmp_path_factory.getbasetemp()
    with shared((base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "kafka") as bootstrap:
        yield bootstrap


@pytest.fixture
def topic() -> str:
    """A name nobody else uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


def _empty(client: dict[str, str]) -> None:
    """Take all groups and topics away, and wait until they are gone.

    A transaction's offsets arrive some time after its commit has been answered, also in a group that was deleted
    meanwhile: the next test would begin behind its own messages. So they are waited for first.
    """
    kafka = AdminClient(client)
    groups = [group.group_id for group in kafka.list_consumer_groups().result(20).valid]
    deadline = time.monotonic() + 60
    places = [
        TopicPartition(name, number)
        for name, topic in kafka.list_topics(timeout=20).topics.items()
        for number in topic.partitions
        if not name.startswith("__")
    ]
    for group in groups if places else ():
        while not _is_settled(kafka, ConsumerGroupTopicPartitions(group, places)):
            assert time.monotonic() < deadline, f"offsets of {group} that do not arrive"
            time.sleep(0.05)
    while groups:  # a member that has just died is waited for
        done = kafka.delete_consumer_groups(groups)
        groups = [group for group, future in done.items() if future.exception(20) is not None]
        assert time.monotonic() < deadline, f"groups that do not end: {groups}"
    names = [name for name in kafka.list_topics(timeout=20).topics if not name.startswith("__")]
    for future in kafka.delete_topics(names).values() if names else ():
        future.result(20)
    while any(not name.startswith("__") for name in kafka.list_topics(timeout=20).topics):
        assert time.monotonic() < deadline, "topics are not taken away"
        time.sleep(0.05)


def _is_settled(kafka: AdminClient, asked: ConsumerGroupTopicPartitions) -> bool:
    (future,) = kafka.list_consumer_group_offsets([asked], require_stable=True).values()
    try:
        return all(place.error is None for place in future.result(20).topic_partitions)
    except KafkaException as error:
        if error.args[0].code() in (KafkaError.UNSTABLE_OFFSET_COMMIT, KafkaError._TIMED_OUT):
            return False
        raise


@pytest.fixture(scope="session")
def _broker_of_this_process(tmp_path_factory):
    with EmbeddedKafka(tmp_path_factory.mktemp("own") / "kafka") as kafka:
        yield {"bootstrap.servers": kafka.bootstrap}


@pytest.fixture
def own_kafka(_broker_of_this_process) -> dict[str, str]:
    """Client settings of a broker that no other test uses meanwhile, with earshot's topics, empty, and no groups."""
    _empty(_broker_of_this_process)
    admin.apply(_broker_of_this_process, declared(Config(version=1)))
    return dict(_broker_of_this_process)
