"""One contract, two publishers: the one over Kafka and the one in memory."""

from __future__ import annotations

import asyncio
import gc
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from connectors import auth
from connectors.account import Account
from connectors.assignment import partition_of, share
from connectors.base import Rejected, mention
from connectors.lasting import _Together, checkpoints
from connectors.limits import Limit
from connectors.publisher import Beside, KafkaPublisher, MemoryLog, MemoryPublisher, _send, transactional_id
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, FencedError
from pipeline.contract.events import Checkpoint, Coverage, Mention, RawPayload, Remembered
from pipeline.topology import CHECKPOINTS, COVERAGE, MEMORY, MENTIONS, RAW
from tests.connectors.kit import NOW


def some(count, prefix="m"):
    return [
        mention("test", f"{prefix}{n}", created_at=NOW, now=NOW, text=f"text {n}", connector="c") for n in range(count)
    ]


def at(cursor, connector):
    return Checkpoint(connector=connector, cursor=cursor, seen=("a", "b"), saved_at=NOW)


class InMemory:
    """The fake, under the same tests."""

    def __init__(self):
        self.log = MemoryLog()

    def publisher(self, name):
        return MemoryPublisher(name, self.log)

    async def mentions(self):
        return list(self.log.mentions)


class OnKafka:
    """Topics of its own on the run's Kafka."""

    def __init__(self, bootstrap):
        self.client = {"bootstrap_servers": bootstrap}
        mark = uuid.uuid4().hex[:8]
        self.topics = {name: f"{name}-{mark}" for name in (MENTIONS, CHECKPOINTS, COVERAGE, MEMORY, RAW)}
        self.dlq = f"{self.topics[MENTIONS]}-dlq"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        made = admin.create_topics([NewTopic(name, 4, 1) for name in (*self.topics.values(), self.dlq)])
        for future in made.values():
            future.result(20)

    def publisher(self, name, **more):
        return KafkaPublisher(self.client, name, topics=self.topics, **more)

    async def mentions(self):
        return [codec.decode(Mention, record.value) for record in await self.read(self.topics[MENTIONS])]

    async def read(self, topic):
        consumer = AIOKafkaConsumer(
            **self.client, isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            parts = [TopicPartition(topic, number) for number in range(4)]
            ends = await consumer.end_offsets(parts)
            consumer.assign(parts)
            found = []
            while [part for part in parts if await consumer.position(part) < ends[part]]:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
            return found
        finally:
            await consumer.stop()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request):
    return InMemory() if request.param == "memory" else OnKafka(request.getfixturevalue("kafka"))


@pytest.fixture
def name():
    return f"src-{uuid.uuid4().hex[:8]}"


async def test_a_page_and_its_checkpoint_are_there_together(broker, name):
    publisher = broker.publisher(name)
    assert await publisher.start() is None
    await publisher.publish(some(3), at("7", name), [Coverage(connector=name, source="test", at=NOW, seen=3)])
    await publisher.close()
    assert sorted(found.native_id for found in await broker.mentions()) == ["m0", "m1", "m2"]
    successor = broker.publisher(name)
    assert await successor.start() == at("7", name)
    await successor.close()


async def test_a_successor_gets_the_last_checkpoint_of_many(broker, name):
    publisher = broker.publisher(name)
    await publisher.start()
    for number in range(5):
        await publisher.publish(some(1, f"p{number}-"), at(str(number), name))
    other = broker.publisher(f"{name}-other")
    await other.start()
    await other.publish([], at("999", f"{name}-other"))
    await publisher.close()
    successor = broker.publisher(name)
    assert (await successor.start()).cursor == "4"
    await successor.close()
    await other.close()


async def test_a_zombie_is_fenced_and_writes_nothing_more(broker, name):
    zombie, successor = broker.publisher(name), broker.publisher(name)
    await zombie.start()
    await zombie.publish(some(1, "before"), at("1", name))
    assert (await successor.start()).cursor == "1"
    with pytest.raises(FencedError, match="another process"):
        await zombie.publish(some(5, "zombie"), at("2", name))
    await successor.publish(some(1, "after"), at("3", name))
    assert sorted(found.native_id for found in await broker.mentions()) == ["after0", "before0"]
    await successor.close()
    await zombie.close()


def remembered(name, number, *ids):
    return Remembered(
        connector=name, number=number, at=NOW, ids=ids, threads=("t:1",) * len(ids), revisions=(0,) * len(ids)
    )


async def test_what_will_be_read_again_is_there_after_a_restart_until_it_is_forgotten(broker, name):
    first, other = broker.publisher(name), broker.publisher(f"{name}-other")
    for one in (first, other):
        await one.start()
    assert await first.remembered() == []
    await first.publish(some(1), at("1", name), (), (), Beside([remembered(name, 1, "a"), remembered(name, 2, "b")]))
    await other.publish([], None, (), (), Beside([remembered(f"{name}-other", 1, "x")]))
    await first.publish([], at("2", name), (), (), Beside([remembered(name, 2, "b", "c")], [1]))
    for one in (first, other):
        await one.close()
    again = broker.publisher(name)
    await again.start()
    assert await again.remembered() == [remembered(name, 2, "b", "c")]
    await again.publish([], at("3", name), (), (), Beside(forgotten=[2]))
    assert await again.remembered() == []
    await again.close()


async def test_a_backfill_is_remembered_by_its_source(broker, name):
    backfill = broker.publisher(f"backfill/{name}/2026..now/abc")
    await backfill.start()
    await backfill.publish([], None, (), (), Beside([remembered(name, 7, "past")]))
    await backfill.close()
    live = broker.publisher(name)
    await live.start()
    assert [one.ids for one in await live.remembered()] == [("past",)]
    await live.close()


async def test_limits_and_tokens_of_a_credential_are_taken_over_and_handed_back(broker, name):
    def make():
        made = Account(name, auth.NONE, [Limit(50, "day")], clock=lambda: NOW)
        made.keep(broker.publisher(made.name))
        return made

    here, there, used = make(), make(), 0
    for number in range(30):
        for one in (here, there) if number < 10 else (there,):
            wait, _ = await one.ledger.take({"requests": 1}, "")
            if not wait:
                used += 1
                one.ledger.ended({"requests": 1}, "")
    assert 30 < used <= 50
    for one in (here, there):
        await one.record.close()
    after = make()
    left = 0
    while not (await after.ledger.take({"requests": 1}, ""))[0]:
        left += 1
        after.ledger.ended({"requests": 1}, "")
    assert used + left <= 50
    await after.record.close()


@pytest.mark.kafka
async def test_raw_payloads_are_records_of_their_own_and_end_with_a_tombstone(kafka, name):
    broker = OnKafka(kafka)
    made = broker.publisher(name)
    await made.start()
    raw = RawPayload(id="test:m0", connector=name, at=NOW, payload='{"id": 0}')
    await made.publish(some(1), at("1", name), (), (), Beside(raw={"test:m0": raw}))
    await made.publish([], at("2", name), (), (), Beside(raw={"test:m0": None}))
    await made.close()
    first, last = await broker.read(broker.topics[RAW])
    assert (first.key, codec.decode(RawPayload, first.value)) == (b"test:m0", raw)
    assert dict(first.headers)["ce_type"] == b"earshot.raw-payload.v1"
    assert (last.key, last.value) == (b"test:m0", None)


async def test_those_who_start_together_are_read_for_once():
    readings, gate = [], asyncio.Event()

    async def read(names):
        readings.append(names)
        await gate.wait()
        return {name: name.upper() for name in names if name != "nobody"}

    together = _Together(read)
    tasks = [asyncio.create_task(together.get(name)) for name in ("a",)]
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(together.get(name)) for name in ("b", "c", "b", "nobody")]
    await asyncio.sleep(0.01)
    gate.set()
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "B", None]
    assert readings == [["a"], ["b", "c", "nobody"]]  # who asks while it is read is not told what was before

    async def fail(names):
        raise BrokerUnavailableError("away")

    with pytest.raises(BrokerUnavailableError):
        await _Together(fail).get("a")


async def test_it_must_be_started(broker, name):
    with pytest.raises(BrokerUnavailableError):
        await broker.publisher(name).publish(some(1), at("1", name))


async def test_texts_that_utf8_cannot_carry_are_cleaned_before(broker, name):
    publisher = broker.publisher(name)
    await publisher.start()
    odd = mention("test", "\ud800", created_at=NOW, now=NOW, text="a \ud800 b \x00 c 👍")
    await publisher.publish([odd], at("1", name))
    await publisher.close()
    assert [found.text for found in await broker.mentions()] == ["a \ufffd b  c 👍"]


@pytest.mark.kafka
async def test_a_transaction_left_open_by_a_dead_instance_is_never_seen(kafka, name):
    broker = OnKafka(kafka)
    dead = broker.publisher(name)
    await dead.start()
    await dead.publish(some(2, "kept"), at("1", name))
    producer = dead._producer
    await producer.begin_transaction()
    for found in some(3, "lost"):
        await producer.send_and_wait(broker.topics[MENTIONS], codec.encode(found), key=b"k")
    await producer.send_and_wait(broker.topics[CHECKPOINTS], codec.encode(at("2", name)), key=name.encode())
    # The process is gone here: nothing is committed or aborted by it.
    successor = broker.publisher(name)
    assert (await successor.start()).cursor == "1"
    await successor.publish(some(1, "next"), at("3", name))
    assert sorted(found.native_id for found in await broker.mentions()) == ["kept0", "kept1", "next0"]
    await successor.close()
    with pytest.raises(KafkaError):  # it was only asleep, and goes on where it was
        await producer.commit_transaction()
    assert sorted(found.native_id for found in await broker.mentions()) == ["kept0", "kept1", "next0"]
    await dead.close()


@pytest.mark.kafka
async def test_the_last_checkpoint_is_seen_while_another_instance_has_a_transaction_open(kafka, name):
    """Reading only up to the last stable offset would give an older checkpoint, and mentions twice."""
    broker = OnKafka(kafka)
    neighbours = [f"{name}-{n}" for n in range(200)]
    neighbour = next(n for n in neighbours if partition_of(n, 4) == partition_of(name, 4))
    other, mine = broker.publisher(neighbour), broker.publisher(name)
    await other.start()
    await mine.start()
    await other._producer.begin_transaction()
    await other._producer.send_and_wait(
        broker.topics[CHECKPOINTS], codec.encode(at("1", neighbour)), key=neighbour.encode()
    )
    await mine.publish(some(1), at("41", name))
    await mine.close()
    successor = broker.publisher(name)
    starting = asyncio.create_task(successor.start())
    await asyncio.sleep(0)
    await other._producer.commit_transaction()
    assert (await starting).cursor == "41"
    await successor.close()
    await other.close()


@pytest.mark.kafka
async def test_a_checkpoint_is_found_after_the_topic_was_given_more_partitions(kafka, name):
    """Keys move with the number of partitions; starting without the checkpoint would publish everything again."""
    broker = OnKafka(kafka)
    moved = next(n for n in (f"{name}-{i}" for i in range(200)) if partition_of(n, 4) != partition_of(n, 8))
    publisher = broker.publisher(moved)
    await publisher.start()
    await publisher.publish(some(1), at("7", moved))
    await publisher.close()
    admin = AdminClient({"bootstrap.servers": kafka})
    for grown in admin.create_partitions([NewPartitions(broker.topics[CHECKPOINTS], 8)]).values():
        grown.result(20)
    assert (await checkpoints(broker.client, [moved], topic=broker.topics[CHECKPOINTS]))[moved].cursor == "7"
    successor = broker.publisher(moved)
    assert (await successor.start()).cursor == "7"
    await successor.publish(some(1, "next"), at("8", moved))
    await successor.close()
    assert (await checkpoints(broker.client, [moved], topic=broker.topics[CHECKPOINTS]))[moved].cursor == "8"


@pytest.mark.kafka
async def test_keys_headers_and_dead_letters_are_as_the_contract_says(kafka, name):
    broker = OnKafka(kafka)
    publisher = broker.publisher(name)
    await publisher.start()
    reply = mention("test", "2", created_at=NOW, now=NOW, text="x", conversation="test:1", revision=5)
    await publisher.publish([reply], at("1", name), [], [Rejected(b'{"odd": 1}', "test: the field 'id' is missing")])
    await publisher.close()
    [record] = await broker.read(broker.topics[MENTIONS])
    assert record.key == b"test:1"
    assert record.partition == partition_of("test:1", 4)
    assert codec.header(record.headers, "ce_id") == "test:2@5"
    assert codec.header(record.headers, "ce_type") == "earshot.mention.v1"
    [letter] = await broker.read(broker.dlq)
    assert letter.value == b'{"odd": 1}'
    assert codec.header(letter.headers, "dlq_reason") == "invalid"
    assert codec.header(letter.headers, "dlq_stage") == "connectors"
    [saved] = (await checkpoints(broker.client, topic=broker.topics[CHECKPOINTS])).items()
    assert saved == (name, at("1", name))


async def test_a_broker_that_is_away_is_an_error_of_ours(name):
    publisher = KafkaPublisher({"bootstrap_servers": "127.0.0.1:1"}, name)
    with pytest.raises(BrokerUnavailableError, match="Kafka does not answer"):
        await publisher.start()


@pytest.mark.kafka
async def test_processes_share_the_sources_and_a_lost_ones_share_goes_to_the_others(kafka, name):
    broker = OnKafka(kafka)
    names = [f"{name}-{n}" for n in range(24)]
    runs: dict[int, set[str]] = {}
    stops = [asyncio.Event(), asyncio.Event()]

    def process(number):
        async def changed(ours):
            runs[number] = ours

        return asyncio.create_task(
            share(broker.client, names, changed, stops[number], topic=broker.topics[CHECKPOINTS], group=f"group-{name}")
        )

    async def until(condition, what):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what is waited for is in Kafka
                await asyncio.sleep(0.05)
        assert condition(), what

    first = process(0)
    await until(lambda: runs.get(0) == set(names), "one process runs them all")
    second = process(1)
    await until(
        lambda: runs.get(1) and runs[0] | runs[1] == set(names) and not runs[0] & runs[1], "two processes share them"
    )
    stops[0].set()
    await first
    runs[0] = set()
    await until(lambda: runs[1] == set(names), "the one that is left runs them all")
    stops[1].set()
    await second


def test_the_transactional_id_says_whose_it_is():
    assert transactional_id("shop") == "earshot-connector-shop"


@pytest.mark.parametrize(
    ("key", "hashed"), [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536)]
)
def test_partitions_are_those_of_every_kafka_client(key, hashed):
    """Values of Kafka's own UtilsTest.testMurmur2."""
    assert partition_of(key, 7) == (hashed & 0x7FFFFFFF) % 7


async def test_a_page_that_fails_is_told_once_and_not_once_a_record():
    """Where one record fails, nobody asks for the others of its page; asyncio would log each of them."""
    loop = asyncio.get_running_loop()
    complaints = []
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))

    class Producer:
        async def send(self, *_, **__):
            return loop.create_future()

    sent = [await _send(Producer(), "t", "key", b"", []) for _ in range(3)]
    for one in sent:
        one.set_exception(ProducerFenced())
    await asyncio.sleep(0)
    del sent, one
    gc.collect()
    assert complaints == []
