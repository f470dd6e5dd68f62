"""Topics as declared: created when missing, changed when different. Safe to run again, and by several at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its names are re-exported without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from pipeline.broker.client import quiet
from pipeline.contract.errors import BrokerUnavailableError, ConfigError
from pipeline.topology import Topic

TIMEOUT: Final = 20.0


def settings(topic: Topic) -> dict[str, str]:
    """Return Kafka's topic settings for a declared topic.

    What is only compacted is read from its beginning by whoever starts: small segments, as the last one is never
    compacted, and compaction as soon as a fifth of it is outdated keep that short.
    """
    # A compacted topic is read from its beginning at a start, and only whole segments are compacted: small ones.
    compacted = {"segment.bytes": str(32 * 1024 * 1024)} if "compact" in topic.cleanup else {}
    return {
        **compacted,
        "cleanup.policy": topic.cleanup,
        "retention.ms": "-1" if topic.retention is None else str(int(topic.retention * 1000)),
        "max.message.bytes": str(topic.max_message_bytes),
        **({"segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.2"} if topic.cleanup == "compact" else {}),
    }


def apply(client: Mapping[str, Any], declared: Sequence[Topic]) -> list[str]:
    """Make the topics as declared, so that clients see them; return a line for each change that we made.

    Raises ConfigError when a topic has more partitions than declared (Kafka cannot take partitions away, and keys
    would move) or Kafka refuses what is declared, BrokerUnavailableError when it does not answer in TIMEOUT seconds.
    """
    admin = AdminClient(quiet(client))
    try:
        present = admin.list_topics(timeout=TIMEOUT).topics
        missing = [topic for topic in declared if topic.name not in present]
        there = [topic for topic in declared if topic.name in present]
        _refuse_fewer(there, present)
        changes = _create(admin, missing)
        changes += _grow(admin, [topic for topic in there if len(present[topic.name].partitions) < topic.partitions])
        if changes or missing:
            _wait_until_seen(admin, declared)
        return changes + _configure(admin, there)
    except (KafkaException, TimeoutError) as error:
        raise _trouble(str(client.get("bootstrap.servers")), error) from None


def _trouble(addresses: str, error: KafkaException | TimeoutError) -> BrokerUnavailableError | ConfigError:
    """Return the error for a person: Kafka was silent, or it refused and said why."""
    cause = error.args[0] if isinstance(error, KafkaException) else None
    if cause is not None and cause.code() >= 0 and not cause.retriable():  # below 0 are the client's own: no connection
        return ConfigError(
            f"Kafka at {addresses} refuses the topics: {cause.str()}. Change `topics` in the configuration, or allow "
            "this user to describe, create and alter topics"
        )
    return BrokerUnavailableError(
        f"Kafka at {addresses} does not answer: {cause.str() if cause else f'no answer in {TIMEOUT:.0f} s'}. Is it "
        "running, and is --broker right? The broker in memory cannot be asked to make or change topics"
    )


def _refuse_fewer(there: Sequence[Topic], present: Mapping[str, Any]) -> None:
    larger = [topic for topic in there if len(present[topic.name].partitions) > topic.partitions]
    if larger:
        names = ", ".join(f"{topic.name} has {len(present[topic.name].partitions)}" for topic in larger)
        raise ConfigError(
            f"topics.partitions is {larger[0].partitions}, but {names}. Partitions cannot be taken away: write the "
            "larger number, or start with empty topics"
        )


def _done(futures: Mapping[Any, Any], tolerated: int) -> set[Any]:
    """Wait for all; return which ones it was we who did. Another worker that was quicker is no error."""
    ours = set()
    for what, future in futures.items():
        try:
            future.result(TIMEOUT)
            ours.add(what)
        except KafkaException as error:
            if error.args[0].code() != tolerated:
                raise
    return ours


def _create(admin: AdminClient, topics: Sequence[Topic]) -> list[str]:
    if not topics:
        return []
    new = [NewTopic(t.name, t.partitions, t.replication, config=settings(t)) for t in topics]
    ours = _done(admin.create_topics(new, operation_timeout=TIMEOUT), KafkaError.TOPIC_ALREADY_EXISTS)
    return [f"created {topic.name} ({topic.partitions} partitions)" for topic in topics if topic.name in ours]


def _grow(admin: AdminClient, topics: Sequence[Topic]) -> list[str]:
    if not topics:
        return []
    grown = [NewPartitions(topic.name, topic.partitions) for topic in topics]
    ours = _done(admin.create_partitions(grown, operation_timeout=TIMEOUT), KafkaError.INVALID_PARTITIONS)
    return [f"{topic.name} has {topic.partitions} partitions now" for topic in topics if topic.name in ours]


def _wait_until_seen(admin: AdminClient, topics: Sequence[Topic]) -> None:
    """Wait until clients see the topics too: Kafka answers when they are decided, its brokers hear of it a little later."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        present = admin.list_topics(timeout=TIMEOUT).topics
        if all(t.name in present and len(present[t.name].partitions) >= t.partitions for t in topics):
            return
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def _configure(admin: AdminClient, topics: Sequence[Topic]) -> list[str]:
    if not topics:
        return []
    asked = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    found = {resource.name: future.result(TIMEOUT) for resource, future in admin.describe_configs(asked).items()}
    changes, altered = [], []
    for topic in topics:
        have = {key: entry.value for key, entry in found[topic.name].items()}
        differs = {key: value for key, value in settings(topic).items() if not _same(key, have.get(key), value)}
        if differs:
            entries = [
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in differs.items()
            ]
            altered.append(ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries))
            changes += [f"{topic.name}: {key} is {value} now (was {have.get(key)})" for key, value in differs.items()]
    if altered:
        _done(admin.incremental_alter_configs(altered), KafkaError.NO_ERROR)
    return changes


def _same(key: str, have: str | None, want: str) -> bool:
    if key == "cleanup.policy":
        return set((have or "").split(",")) == set(want.split(","))
    return have == want
