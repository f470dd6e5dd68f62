"""Dead letters back to where they came from, and past mentions through today's rules.

Sending back is exactly once: letters and the position in the dead-letter topic are committed in one transaction, so
a replay that is interrupted goes on where it stopped. Letters of one key keep their order: a dead-letter topic has
one partition, and a letter goes back to the partition it came from. It ends at the letters that were there when it
began, so what fails again cannot go round in circles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, ConfigError, InvalidMessageError
from pipeline.contract.events import JudgedMention, Mention
from pipeline.core.dedup import Memory
from pipeline.core.triage import Triage
from pipeline.core.verdicts import Discard
from pipeline.runtime import dead_letters
from pipeline.runtime.deep.asking import patient, second_of
from pipeline.runtime.reading import Message, Reader, Start

SUFFIX: Final = "-dlq"
TIMEOUT: Final = 30.0
BATCH: Final = 500


@dataclass
class Account:
    """What a replay did or, in a dry run, would do."""

    letters: int = 0
    sent: int = 0
    passed_over: int = 0  # older than --since
    reasons: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)  # what was wrong, most frequent first


def _is_wanted(message: Message, since: datetime | None) -> bool:
    kind, at = message.timestamp()
    return since is None or kind == 0 or at / 1000 >= since.timestamp()


def look(
    client: Mapping[str, Any], topic: str, *, to: str | None, since: datetime | None, from_beginning: bool = False
) -> Account:
    """Return what `send_back` would do, without doing it or moving its position."""
    account = Account()
    with Reader(client, [topic], "beginning") as reader:
        if reader.missing:
            raise ConfigError(f"there is no topic {topic}")
        done = {} if from_beginning else _done(client, topic, [partition for _, partition in reader.ends])
        for message in reader.until_end():
            if message.offset() >= done.get(message.partition(), 0):
                _account(account, message, to, since)
    return account


def _group(topic: str) -> str:
    return f"earshot-replay-{topic}"


def _done(client: Mapping[str, Any], topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Return up to where earlier replays have sent the letters back, by partition."""
    consumer = Consumer({**client, "group.id": _group(topic), "enable.auto.commit": False})
    try:
        places = consumer.committed([TopicPartition(topic, number) for number in partitions], TIMEOUT)
    except KafkaException as error:
        raise BrokerUnavailableError(f"Kafka does not say what was sent back: {error.args[0].str()}") from None
    finally:
        consumer.close()
    return {place.partition: place.offset for place in places if place.offset >= 0}


def _account(account: Account, message: Message, to: str | None, since: datetime | None) -> str | None:
    """Add one letter to the account; return the topic it goes to, None when it is passed over."""
    account.letters += 1
    if not _is_wanted(message, since):
        account.passed_over += 1
        return None
    origin = dead_letters.origin(message.headers() or [])
    account.reasons[origin.reason if origin else "unknown"] += 1
    if origin and origin.error:
        account.errors[origin.error] += 1
    target = to or (origin.topic if origin else "") or message.topic().removesuffix(SUFFIX)
    account.targets[target] += 1
    return target


def send_back(
    client: Mapping[str, Any],
    topic: str,
    *,
    to: str | None,
    since: datetime | None,
    from_beginning: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Account:
    """Send the letters of `topic` back that earlier replays have not sent. Returns the account.

    Raises ConfigError when there is no such topic, BrokerUnavailableError when Kafka does not answer.
    """
    account = Account()
    group = _group(topic)
    consumer = Consumer(
        {
            **client,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
    )
    producer = Producer(
        {**client, "transactional.id": group, "partitioner": "murmur2_random", "message.max.bytes": 2_500_000}
    )
    try:
        found = consumer.list_topics(topic, TIMEOUT).topics[topic]
        if found.error is not None or not found.partitions:
            raise ConfigError(f"there is no topic {topic}")
        places = [TopicPartition(topic, number) for number in found.partitions]
        producer.init_transactions(TIMEOUT)
        ends = {place.partition: consumer.get_watermark_offsets(place, TIMEOUT)[1] for place in places}
        starts = {place.partition: place.offset for place in consumer.committed(places, TIMEOUT)}
        lows = {place.partition: consumer.get_watermark_offsets(place, TIMEOUT)[0] for place in places}
        for place in places:
            committed = starts[place.partition]
            place.offset = lows[place.partition] if committed < 0 or from_beginning else committed
        consumer.assign(places)
        open_partitions = {place.partition for place in places if place.offset < ends[place.partition]}
        while open_partitions:
            read: list[Message] = consumer.consume(BATCH, 0.3)
            messages = [m for m in read if not m.error() and m.offset() < ends[m.partition()]]
            position = consumer.position([TopicPartition(topic, number) for number in open_partitions])
            producer.begin_transaction()
            for message in messages:
                target = _account(account, message, to, since)
                if target is not None:
                    _send(producer, message, target, keep_partition=to is None)
                    account.sent += 1
            moved = [place for place in position if place.offset >= 0]
            if moved:
                producer.send_offsets_to_transaction(moved, consumer.consumer_group_metadata(), TIMEOUT)
            producer.commit_transaction(TIMEOUT)
            progress(len(messages))
            open_partitions -= {place.partition for place in moved if place.offset >= ends[place.partition]}
    except KafkaException as error:
        raise BrokerUnavailableError(
            f"the replay stopped: {error.args[0].str()}. What was committed is not sent again; start it once more."
        ) from None
    finally:
        consumer.close()
    return account


def _send(producer: Producer, message: Message, target: str, *, keep_partition: bool) -> None:
    origin = dead_letters.origin(message.headers() or [])
    partition = origin.partition if origin and keep_partition else -1
    headers: Any = dead_letters.original(message.headers())
    producer.produce(target, message.value(), message.key(), partition, headers=headers)


@dataclass
class Change:
    """One past mention that today's rules judge differently. Holds no text."""

    id: str
    departments: tuple[tuple[str, ...], tuple[str, ...]]
    sentiment: tuple[str, str]
    priority: tuple[str, str]


def differences(
    client: Mapping[str, Any], config: Config, topic: str, start: Start, now: datetime | None = None
) -> tuple[int, list[Change], Counter[tuple[str, str]]]:
    """Judge past mentions of `topic` again, with today's configuration, and write nothing.

    Returns how many were judged, those whose departments, sentiment or priority change, and a count of moves
    between departments (from, to). What today would be discarded goes to no department, what then went to none may
    go to some. Raises ConfigError for a topic that holds no decisions.
    """
    second = second_of(patient(config))
    triage = Triage(config, deep=second.version if second else None)
    memory = Memory(1_000_000)
    now = now or datetime.now(UTC)
    judged, unread, changes, moves = 0, 0, [], Counter[tuple[str, str]]()
    with Reader(client, [topic], start) as reader:
        if reader.missing:
            raise ConfigError(f"there is no topic {topic}")
        for message in reader.until_end():
            try:
                past = codec.decode(JudgedMention, message.value())
            except InvalidMessageError:
                unread += 1
                continue
            judged += 1
            # At the time of then: what has grown old meanwhile is no change of the rules.
            heard = _as_heard(past)
            if second is not None:
                second.ask(triage, [(heard, memory)])
            today = triage.judge(heard, memory, past.judged_at or now)
            if past.is_withdrawn:
                continue
            change = _change(past, None if isinstance(today, Discard) else today)
            if any(before != after for before, after in (change.departments, change.sentiment, change.priority)):
                changes.append(change)
                moves[",".join(change.departments[0]), ",".join(change.departments[1])] += 1
    if unread and not judged:
        raise ConfigError(f"{topic} holds no decisions: name mentions-enriched, or the topic of a department")
    return judged, changes, moves


def _as_heard(past: JudgedMention) -> Mention:
    return msgspec.convert(
        {name: getattr(past, name) for name in Mention.__struct_fields__}, Mention, from_attributes=True
    )


def _change(past: JudgedMention, today: JudgedMention | None) -> Change:
    """Return what differs; of a mention that would only be counted today, nothing but where it goes."""
    feeling, priority = past.sentiment.label.value, past.priority.value
    return Change(
        past.id,
        (past.departments, today.departments if today else ()),
        (feeling, today.sentiment.label.value if today else feeling),
        (priority, today.priority.value if today else priority),
    )
