"""Reading back what connectors wrote to compacted topics: their checkpoints, and what they will read again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.assignment import partition_of
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
from pipeline.contract.events import Checkpoint, Remembered
from pipeline.topology import CHECKPOINTS, MEMORY

log = structlog.get_logger(__name__)


async def last_checkpoint(client: Mapping[str, Any], connector: str, *, topic: str = CHECKPOINTS) -> Checkpoint | None:
    """Return the newest committed checkpoint of that connector, None where there is none."""
    return (await checkpoints(client, [connector], topic=topic)).get(connector)


async def checkpoints(
    client: Mapping[str, Any], names: Sequence[str] | None = None, *, topic: str = CHECKPOINTS
) -> dict[str, Checkpoint]:
    """Return the newest committed checkpoint of each of these connectors, or of all.

    Reads up to the end of the partitions as they were at the beginning, open transactions of others included: their
    records come before ours could, so that waiting for them is the only way to see our own last one.
    """
    ends_reader = AIOKafkaConsumer(**client, enable_auto_commit=False)
    reader = AIOKafkaConsumer(
        **client, enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    try:
        await ends_reader.start()
        await reader.start()
        every = await _partitions(ends_reader, topic)
        if names is None:
            return await _newest(reader, ends_reader, topic, every)
        wanted = {partition_of(name, len(every)) for name in names}
        found = await _newest(reader, ends_reader, topic, wanted)
        if not found.keys() >= set(names):
            # Never heard of, or written when the topic had fewer partitions: it is looked for in all others.
            found = {**await _newest(reader, ends_reader, topic, every - wanted), **found}
    finally:
        await reader.stop()
        await ends_reader.stop()
    return {name: found[name] for name in names if name in found}


async def memories(
    client: Mapping[str, Any], names: Sequence[str], *, topic: str = MEMORY
) -> dict[str, list[Remembered]]:
    """Return what each of these connectors has written to be read again, and not taken away since."""
    ends_reader = AIOKafkaConsumer(**client, enable_auto_commit=False)
    reader = AIOKafkaConsumer(
        **client, enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    try:
        await ends_reader.start()
        await reader.start()
        count = len(await _partitions(ends_reader, topic))
        last = await _last(reader, ends_reader, topic, {partition_of(name, count) for name in names})
    finally:
        await reader.stop()
        await ends_reader.stop()
    found: dict[str, list[Remembered]] = {name: [] for name in names}
    for value in last.values():
        with contextlib.suppress(InvalidMessageError):
            one = codec.decode(Remembered, value)
            if one.connector in found:
                found[one.connector].append(one)
    return found


class Lasting:
    """Reads back for all connectors of a process: whoever asks while a topic is being read shares the next reading.

    Two hundred sources that start at once would else hold two hundred copies of a partition.
    """

    def __init__(
        self, client: Mapping[str, Any], *, checkpoints_topic: str = CHECKPOINTS, memory_topic: str = MEMORY
    ) -> None:
        self._checkpoints = _Together[Checkpoint](lambda names: checkpoints(client, names, topic=checkpoints_topic))
        self._memories = _Together[list[Remembered]](lambda names: memories(client, names, topic=memory_topic))

    async def checkpoint(self, connector: str) -> Checkpoint | None:
        """Return the newest committed checkpoint of that connector, None where there is none."""
        return await self._checkpoints.get(connector)

    async def memory(self, connector: str) -> list[Remembered]:
        """Return what that connector has written to be read again, and not taken away since."""
        return await self._memories.get(connector) or []


FoundT = TypeVar("FoundT")


class _Together(Generic[FoundT]):
    """One reading at a time, for all who have asked before it began."""

    def __init__(self, read: Callable[[list[str]], Awaitable[dict[str, FoundT]]]) -> None:
        self._read = read
        self._waiting: list[tuple[str, asyncio.Future[FoundT | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, name: str) -> FoundT | None:
        """Return what a reading that begins from now on finds. Raises what it raises."""
        asked: asyncio.Future[FoundT | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, asked))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._carry())
        return await asked

    async def _carry(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                found = await self._read(sorted({name for name, _ in waiting}))
            except Exception as error:
                for _, asked in waiting:
                    if not asked.done():
                        asked.set_exception(error)
                continue
            for name, asked in waiting:
                if not asked.done():
                    asked.set_result(found.get(name))


async def _newest(
    reader: AIOKafkaConsumer, ends_reader: AIOKafkaConsumer, topic: str, numbers: set[int]
) -> dict[str, Checkpoint]:
    """Return the newest checkpoint of every connector in these partitions of the topic."""
    found: dict[str, Checkpoint] = {}
    values = await _last(reader, ends_reader, topic, numbers)
    broken = {place for place, value in values.items() if _checkpoint_in(value) is None}
    if broken:  # not written by us: without the one before it a source would begin anew, and publish all again
        log.warning("checkpoints that cannot be read are passed over", topic=topic, count=len(broken))
        values |= await _last(reader, ends_reader, topic, {number for number, _ in broken}, readable=broken)
    for value in values.values():
        one = _checkpoint_in(value)
        if one is not None and (one.connector not in found or found[one.connector].saved_at <= one.saved_at):
            found[one.connector] = one
    return found


def _checkpoint_in(value: bytes) -> Checkpoint | None:
    try:
        return codec.decode(Checkpoint, value)
    except InvalidMessageError:
        return None


async def _last(
    reader: AIOKafkaConsumer,
    ends_reader: AIOKafkaConsumer,
    topic: str,
    numbers: set[int],
    readable: AbstractSet[tuple[int, bytes | None]] = frozenset(),
) -> dict[tuple[int, bytes | None], bytes]:
    """Return the last value of every key in these partitions, without those that were taken away.

    With `readable`, of these keys only, and of each the last value that is a checkpoint.
    """
    parts = [TopicPartition(topic, number) for number in sorted(numbers)]
    if not parts:
        return {}
    ends = await ends_reader.end_offsets(parts)
    reader.assign(parts)
    await reader.seek_to_beginning(*parts)
    last: dict[tuple[int, bytes | None], bytes] = {}  # read much, decode little: compaction comes late
    while [part for part in parts if await reader.position(part) < ends[part]]:
        for records in (await reader.getmany(timeout_ms=200)).values():
            for record in records:
                place = record.partition, record.key
                if record.value is None:
                    last.pop(place, None)
                elif not readable or (place in readable and _checkpoint_in(record.value) is not None):
                    last[place] = record.value
    return last


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Return the partitions of a topic; a broker that has just started may need a moment to know them."""
    for _ in range(50):
        await consumer._client.force_metadata_update()  # noqa: SLF001 - the only way to ask for a topic not subscribed to
        metadata = await consumer._client.fetch_all_metadata()  # noqa: SLF001
        found = metadata.partitions_for_topic(topic)
        if found:
            return set(found)
        await asyncio.sleep(0.1)
    raise BrokerUnavailableError(f"the topic {topic} does not exist — run `earshot topics apply`")
