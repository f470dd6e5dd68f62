"""Erasures reach raw payloads: by request, of any source, over a restart, and also when they cannot be read."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from connectors import erasing, role
from connectors.publisher import Beside, KafkaPublisher
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.events import Erasure, RawPayload, State
from pipeline.contract.metrics import Metrics
from pipeline.topology import ERASURES, RAW
from tests.connectors.kit import NOW


def erasure(id_):
    return codec.encode(Erasure(id=id_, reason=State.REMOVED, at=NOW))


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        (b"x:1", erasure("x:1"), b"x:1"),
        (None, erasure("x:1"), b"x:1"),
        (b"x:1", b"no JSON", b"x:1"),
        (b"x:1", b'{"id": 1}', b"x:1"),
        (None, b"no JSON", None),
        (b"", b"no JSON", None),
        (b"x:1", None, None),
    ],
)
def test_an_erasure_names_the_mention_whose_raw_payload_goes(key, value, wanted):
    assert erasing.erased(key, value) == wanted


async def records(client, topic):
    """All committed records, oldest first in each partition."""
    consumer = AIOKafkaConsumer(**client, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for number in range(4)]
        ends = await consumer.end_offsets(parts)
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        found = []
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for some in (await consumer.getmany(timeout_ms=50)).values():
                found += [(record.key, record.value) for record in some]
        return found
    finally:
        await consumer.stop()


async def request(client, *pairs):
    producer = AIOKafkaProducer(**client)
    await producer.start()
    try:
        for key, value in pairs:
            await producer.send_and_wait(ERASURES, value=value, key=key)
    finally:
        await producer.stop()


async def until_erased(client, *keys):
    """Wait until the last record of each of these keys is a tombstone; return all records."""
    async with asyncio.timeout(60):
        while True:
            found = await records(client, RAW)
            last = dict(found)
            if all(key in last and last[key] is None for key in keys):
                return found
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def connectors_running(client):
    """The role `connectors`, with no source at all."""
    stop = asyncio.Event()
    config = Config.model_validate({"version": 1, "heartbeat_interval": 0, "sources": {}})
    task = asyncio.create_task(role.serve(config, client, Metrics(), stop))
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.mark.kafka
async def test_an_erasure_by_request_takes_the_raw_payload_away_over_a_restart_and_leaves_the_others(own_kafka):
    client = {"bootstrap_servers": own_kafka["bootstrap.servers"]}
    ids = [f"gone-platform:{number}" for number in range(8)]
    publisher = KafkaPublisher(client, "a-source-that-was-removed")
    await publisher.start()
    raw = {id_: RawPayload(id=id_, connector="gone", at=NOW, payload="what was said") for id_ in ids}
    await publisher.publish([], None, beside=Beside(raw=raw))
    await publisher.close()
    asked = [id_.encode() for id_ in ids[:3]]
    await request(client, *[(key, erasure(key.decode())) for key in asked], (ids[3].encode(), b"cannot be read"))
    async with connectors_running(client):
        found = await until_erased(client, *asked, ids[3].encode())
    assert {key.decode() for key, value in found if value is None} == set(ids[:4])
    assert {key.decode() for key, value in dict(found).items() if value is not None} == set(ids[4:])

    await request(client, (b"", b"names nothing"), (ids[4].encode(), erasure(ids[4])))
    async with connectors_running(client):
        found = await until_erased(client, ids[4].encode())
    assert [key for key, value in found if value is None].count(asked[0]) == 1  # the position was kept
    assert {key.decode() for key, value in dict(found).items() if value is not None} == set(ids[5:])


async def test_kafka_being_away_is_waited_out_and_the_task_can_be_ended():
    task = asyncio.create_task(erasing.erase_raw({"bootstrap_servers": "127.0.0.1:1"}, ask_again=0.01))
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
