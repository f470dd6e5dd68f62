"""A worker that starts again lets its dead predecessor leave, on real Kafka."""

import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer

from pipeline.broker import admin
from pipeline.broker.predecessors import leave_for
from pipeline.topology import Topic
from tests.running import until

pytestmark = pytest.mark.kafka
SESSION = 60.0  # seconds; nobody waits that long here
MEMBER = f"""
import sys
from confluent_kafka import Consumer
address, topic, name = sys.argv[1:]
member = Consumer({{"bootstrap.servers": address, "group.id": topic, "client.id": name,
                    "session.timeout.ms": {SESSION * 1000:.0f}, "heartbeat.interval.ms": 300}})
member.subscribe([topic], on_assign=lambda _, places: print(len(places), flush=True))
while True:
    member.poll(0.1)
"""


@pytest.fixture
def member(kafka, topic):
    """Start a member of the group in a process of its own; return it when it has partitions."""
    admin.apply({"bootstrap.servers": kafka}, [Topic(topic, dict, "id", "a test", 4)])
    started = []

    def start(name):
        process = subprocess.Popen([sys.executable, "-c", MEMBER, kafka, topic, name], stdout=subprocess.PIPE)
        started.append(process)
        assert int(process.stdout.readline()) == 4  # alone in the group
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def joining(kafka, topic):
    """A consumer that joins the same group; its partitions are its assignment()."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": topic,
            "client.id": "other",
            "session.timeout.ms": int(SESSION * 1000),
            "heartbeat.interval.ms": 300,
        }
    )
    yield consumer
    consumer.close()


def has_all(consumer):
    consumer.poll(0.05)
    return len(consumer.assignment()) == 4


async def test_nobody_waits_for_the_session_of_a_killed_worker_that_has_started_again(kafka, topic, member, joining):
    killed = member("worker-1")
    killed.kill()
    killed.wait()
    joining.subscribe([topic])
    assert await leave_for({"bootstrap_servers": kafka}, topic, "worker-1") == 1
    began = time.monotonic()
    until(lambda: has_all(joining), SESSION / 2, "the dead member is still waited for", every=0)
    assert time.monotonic() - began < SESSION / 2


async def test_members_of_other_names_stay(kafka, topic, member):
    member("worker-1")
    for name in ("worker", "worker-2", "worker-11", "WORKER-1"):
        assert await leave_for({"bootstrap_servers": kafka}, topic, name) == 0
    assert await leave_for({"bootstrap_servers": kafka}, topic, "worker-1") == 1


async def test_a_group_that_is_not_there_has_nobody_to_leave(kafka, topic):
    assert await leave_for({"bootstrap_servers": kafka}, topic, "worker-1") == 0


async def test_a_broker_that_does_not_answer_holds_nobody_up():
    began = time.monotonic()
    assert await leave_for({"bootstrap_servers": "127.0.0.1:1"}, "group", "worker-1", within=0.5) == 0
    assert time.monotonic() - began < 5
