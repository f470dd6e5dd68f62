"""What a worker reads of Kafka beside its stream: the states of its partitions, and whether an offset was passed over.

Reading goes to the high watermark as it stood at the beginning. A transaction that is open there is waited for, so
that the state of a previous owner is never half seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.broker.client import quiet
from pipeline.contract.errors import BrokerUnavailableError, ConfigError
from pipeline.topology import ALERTS, BRANDS, HEARTBEATS, PULSE

TIMEOUT: Final = 30.0  # seconds; as long as a transaction of a dead worker may stay open


@dataclass
class Restored:
    """What is committed for one partition of `pulse`: where reading goes on, and the states of its brands by key."""

    next: int
    states: dict[bytes, bytes] = field(default_factory=dict)


def check_topics(client: Mapping[str, Any]) -> int:
    """Return the number of partitions of `pulse`. Raises ConfigError when topics are missing or do not fit together.

    What is said of a brand goes to the partition its pulses come from, so every topic written needs at least as many.
    """
    try:
        found = AdminClient(quiet(client)).list_topics(timeout=TIMEOUT).topics
    except KafkaException as error:
        raise _silent(client, error) from None
    counts = {name: len(found[name].partitions) if name in found else 0 for name in (PULSE, BRANDS, ALERTS, HEARTBEATS)}
    if missing := [name for name, count in counts.items() if not count]:
        raise ConfigError(f"the topics {', '.join(missing)} do not exist: run `earshot topics apply`")
    if fewer := [f"{name} has {count}" for name, count in counts.items() if count < counts[PULSE]]:
        raise ConfigError(
            f"{PULSE} has {counts[PULSE]} partitions, but {', '.join(fewer)}: set topics.partitions to {counts[PULSE]} "
            "and run `earshot topics apply`"
        )
    return counts[PULSE]


def restore(client: Mapping[str, Any], group: str, numbers: Iterable[int]) -> dict[int, Restored]:
    """Return what is committed for these partitions of `pulse`, by their number.

    Raises BrokerUnavailableError when the end of a partition is not reached within TIMEOUT seconds.
    """
    places = sorted(numbers)
    if not places:
        return {}
    consumer = _consumer(client, group)
    try:
        found = {}
        for place in consumer.committed([TopicPartition(PULSE, number) for number in places], TIMEOUT):
            low, _ = consumer.get_watermark_offsets(place, TIMEOUT)
            found[place.partition] = Restored(max(place.offset, low))
        ends = {n: consumer.get_watermark_offsets(TopicPartition(BRANDS, n), TIMEOUT)[1] for n in places}
        for message in _records(consumer, BRANDS, dict.fromkeys(places, 0), ends):
            states = found[message.partition()].states
            if message.value() is None:
                states.pop(message.key(), None)
            else:
                states[message.key()] = message.value()
    except KafkaException as error:
        raise _silent(client, error) from None
    else:
        return found
    finally:
        consumer.close()


def first_record(client: Mapping[str, Any], group: str, number: int, begin: int, end: int) -> int | None:
    """Return the offset of the first committed record of `pulse` from `begin` up to but without `end`, None without one.

    Offsets without a record are those of aborted transactions and of the marks that end transactions.
    """
    consumer = _consumer(client, group)
    try:
        for message in _records(consumer, PULSE, {number: begin}, {number: end}):
            return int(message.offset())
    except KafkaException as error:
        raise _silent(client, error) from None
    finally:
        consumer.close()
    return None


def _consumer(client: Mapping[str, Any], group: str) -> Consumer:
    return Consumer(
        {
            **quiet(client),
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        }
    )


def _records(consumer: Consumer, topic: str, begins: Mapping[int, int], ends: Mapping[int, int]) -> Iterable[Any]:
    """Yield the committed records of these partitions from `begins` up to but without `ends`."""
    still = {number for number, end in ends.items() if begins[number] < end}
    consumer.assign([TopicPartition(topic, number, begins[number]) for number in still])
    deadline = time.monotonic() + TIMEOUT
    while still:
        for message in _consumed(consumer):
            error = message.error()
            if error is not None and not error.retriable():
                raise KafkaException(error)
            if error is None and message.offset() < ends[message.partition()]:
                yield message
        for number in list(still):
            (place,) = consumer.position([TopicPartition(topic, number)])
            # After data the position is the next offset; control records at the end are stepped over by it, too.
            if place.offset >= ends[number]:
                still.discard(number)
        if still and time.monotonic() > deadline:
            raise BrokerUnavailableError(
                f"{topic} {sorted(still)} could not be read to its end in {TIMEOUT:.0f} s. Is a broker down or a "
                "transaction hanging?"
            )


def _consumed(consumer: Consumer) -> list[Any]:
    return consumer.consume(500, 0.05)


def _silent(client: Mapping[str, Any], error: KafkaException) -> BrokerUnavailableError:
    return BrokerUnavailableError(
        f"Kafka at {client.get('bootstrap.servers')} does not answer: {error.args[0].str()}. Is it running, and is "
        "--broker right?"
    )
