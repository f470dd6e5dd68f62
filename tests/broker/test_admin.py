"""Topics as declared, on real Kafka."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient

from pipeline.broker import admin
from pipeline.broker.memory import MemoryBroker
from pipeline.contract.errors import BrokerUnavailableError, ConfigError
from pipeline.topology import Topic, topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def client(kafka):
    return {"bootstrap.servers": kafka}


def test_topics_are_created_once(client, topic):
    declared = [Topic(topic, dict, "id", "a test", 3, "compact", None)]
    assert admin.apply(client, declared) == [f"created {topic} (3 partitions)"]
    assert admin.apply(client, declared) == []
    assert len(AdminClient(client).list_topics(timeout=10).topics[topic].partitions) == 3


def test_what_differs_is_changed(client, topic):
    first = Topic(topic, dict, "id", "a test", 1, "delete", 60.0)
    admin.apply(client, [first])
    changes = admin.apply(client, [replace(first, partitions=2, retention=120.0, cleanup="compact,delete")])
    assert f"{topic} has 2 partitions now" in changes
    assert any("retention.ms is 120000 now (was 60000)" in change for change in changes)
    assert any("cleanup.policy is compact,delete" in change for change in changes)


def test_partitions_are_never_taken_away(client, topic):
    admin.apply(client, [Topic(topic, dict, "id", "a test", 3)])
    with pytest.raises(ConfigError, match=f"{topic} has 3"):
        admin.apply(client, [Topic(topic, dict, "id", "a test", 2)])


def test_a_whole_installation_is_accepted_by_kafka(client):
    declared = topics(("service", "support"))
    admin.apply(client, declared)
    assert admin.apply(client, declared) == []


def test_what_kafka_refuses_is_told_as_a_matter_of_configuration(client, topic):
    with pytest.raises(ConfigError, match=r"refuses the topics: .*[Rr]eplication factor"):
        admin.apply(client, [Topic(topic, dict, "id", "a test", 1, replication=3)])


def test_several_that_create_the_same_topics_at_once_do_not_disturb_each_other(client, topic):
    declared = [Topic(f"{topic}-{n}", dict, "id", "a test", 2) for n in range(5)]
    with ThreadPoolExecutor(4) as pool:
        changes = [pool.submit(admin.apply, client, declared) for _ in range(4)]
        lines = [line for done in changes for line in done.result(60)]
    assert len(lines) == len(set(lines)) == 5
    assert admin.apply(client, declared) == []


def test_the_broker_in_memory_cannot_be_asked_to_make_topics(monkeypatch):
    monkeypatch.setattr(admin, "TIMEOUT", 1.0)
    with MemoryBroker() as memory, pytest.raises(BrokerUnavailableError, match="in memory"):
        admin.apply({"bootstrap.servers": memory.bootstrap}, [Topic("t", dict, "id", "a test", 1)])


def test_a_broker_that_does_not_answer_is_named():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admin, "TIMEOUT", 1.0)
        with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
            admin.apply({"bootstrap.servers": "127.0.0.1:1"}, [])
