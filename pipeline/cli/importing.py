"""Mentions from a file to the topic `mentions`: whole batches, each in one transaction.

Delivery: a batch is on the topic with all its mentions or none. An import that is broken off may be done again: triage
discards what it has seen (same id, same revision).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, ConfigError, InvalidMessageError
from pipeline.contract.events import Mention, Reason
from pipeline.topology import MENTIONS

BATCH: Final = 500
TIMEOUT: Final = 15.0
Refuse = Callable[[int, str], None]
"""Told of every line that is no mention: its number, from 1, and what is wrong."""


def mentions(
    lines: Iterable[bytes], *, now: datetime, source: str, backfill: bool, refuse: Refuse
) -> Iterator[Mention]:
    """Yield the mentions of JSON Lines. Empty lines are passed over, bad ones go to `refuse`."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not text:
            continue
        try:
            mention = codec.mention_from_json(_row(text), now=now, source=source)
        except InvalidMessageError as error:
            refuse(number, str(error))
            continue
        yield msgspec.structs.replace(mention, backfill=True) if backfill else mention


def _row(text: bytes) -> Any:
    if len(text) > 2 * codec.MAX_VALUE_BYTES:
        raise InvalidMessageError(f"{len(text)} bytes; at most {codec.MAX_VALUE_BYTES} are accepted", Reason.TOO_LARGE)
    return codec.json_line(text)


def _headers(mention: Mention) -> codec.Headers:
    name = f"{mention.id}@{mention.revision}"
    return codec.headers(Mention, event_id=name, source=mention.connector or mention.source, at=mention.created_at)


class Writer:
    """A transactional producer for one visit. Raises BrokerUnavailableError when Kafka does not answer."""

    def __init__(self, client: Mapping[str, Any], topic: str = MENTIONS) -> None:
        self._topic = topic
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                **client,
                "transactional.id": f"earshot-import-{uuid.uuid4()}",
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": 2_000_000,
            }
        )
        with _our_errors():
            found = self._producer.list_topics(topic, timeout=TIMEOUT).topics[topic]
            if found.error is not None:
                raise ConfigError(f"there is no topic {topic}: run `earshot topics apply` first")
            self._producer.init_transactions(TIMEOUT)

    def write(self, batch: Iterable[Mention]) -> int:
        """Write mentions in one transaction and return how many, when they are committed."""
        count = 0
        with _our_errors():
            self._producer.begin_transaction()
            try:
                for mention in batch:
                    self._send(mention)
                    count += 1
                self._producer.commit_transaction(TIMEOUT)
            except BaseException:
                self._producer.abort_transaction(TIMEOUT)
                raise
            if self._failed is not None:
                raise KafkaException(self._failed)
        return count

    def _send(self, mention: Mention) -> None:
        self._producer.produce(
            self._topic,
            key=mention.key.encode(),
            value=codec.encode(mention),
            headers=[*_headers(mention)],
            on_delivery=self._delivered,
        )
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failed = error


class _our_errors:  # noqa: N801 - reads as a with-statement
    """Turn the client's errors into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, KafkaException):
            said = error.args[0].str() if error.args and hasattr(error.args[0], "str") else str(error)
            raise BrokerUnavailableError(f"Kafka did not take the mentions: {said}") from None


def write_all(
    writer: Writer, found: Iterator[Mention], *, refuse: Callable[[str, str], None], progress: Callable[[int], None]
) -> int:
    """Write everything in batches; return how many mentions are on the topic. `refuse` is told an id and why."""
    written = 0

    def fitting() -> Iterator[Mention]:
        for mention in found:
            if len(codec.encode(mention)) > codec.MAX_VALUE_BYTES:
                refuse(mention.id, f"more than {codec.MAX_VALUE_BYTES} bytes")
            else:
                yield mention

    source = fitting()
    while batch := list(islice(source, BATCH)):
        written += writer.write(batch)
        progress(written)
    return written
