"""The role `connectors` on embedded Kafka: processes share the sources, and take over from each other."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors import role
from connectors.account import Accounts
from connectors.http import make_client
from connectors.publisher import KafkaPublisher, MemoryLog, MemoryPublisher
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.events import Mention
from pipeline.contract.metrics import Metrics
from pipeline.topology import MENTIONS

SOURCES = 8


def config_of(folder, **more):
    sources = {
        f"file-{n}": {"type": "jsonl", "path": str(folder / f"{n}.jsonl"), "poll_interval": 0.05, "slowest_poll": 0.05}
        for n in range(SOURCES)
    }
    return Config.model_validate({"version": 1, "heartbeat_interval": 0, "sources": {**sources, **more}})


def write(folder, rounds):
    for n in range(SOURCES):
        with (folder / f"{n}.jsonl").open("a") as file:
            for number in rounds:
                file.write(json.dumps({"id": f"{n}-{number}", "text": "kettle"}) + "\n")


def expected(count):
    return sorted(f"{n}-{number}" for n in range(SOURCES) for number in range(count))


class Process:
    """One `earshot run connectors`, as a task."""

    def __init__(self, config, client, **more):
        self.states = {}
        self.history = []
        self.metrics = Metrics()
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(role.serve(config, client, self.metrics, self.stop, self._on_state, **more))

    def _on_state(self, name, state, reason):
        self.states[name] = state
        self.history.append((name, state, reason))

    @property
    def running(self):
        return {name for name, state in self.states.items() if state == "listening"}

    async def leave(self):
        self.stop.set()
        await self.task


async def published(client):
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        parts = [TopicPartition(MENTIONS, number) for number in range(4)]
        ends = await consumer.end_offsets(parts)
        consumer.assign(parts)
        found = []
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                found += [codec.decode(Mention, record.value).native_id for record in records]
        return sorted(found)
    finally:
        await consumer.stop()


async def until(condition, what, seconds=60):
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for is in Kafka
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


async def until_published(client, wanted):
    async with asyncio.timeout(60):
        while len(found := await published(client)) < len(wanted):  # noqa: ASYNC110 - it is in Kafka
            await asyncio.sleep(0.1)
    return found


@pytest.mark.kafka
async def test_two_processes_share_the_sources_one_leaves_the_other_takes_over_nothing_is_lost_or_twice(
    own_kafka, tmp_path
):
    client = {"bootstrap_servers": own_kafka["bootstrap.servers"]}
    config = config_of(tmp_path)
    every = set(config.sources)
    write(tmp_path, range(20))
    first = Process(config, client)
    await until(lambda: first.running == every, "one process runs all")
    second = Process(config, client)
    await until(lambda: second.running and first.running | second.running == every, "both run")
    await until(lambda: not first.running & second.running, "they share")
    write(tmp_path, range(20, 40))
    await until_published(client, expected(40))
    write(tmp_path, range(40, 60))
    await first.leave()
    assert set(first.states.values()) == {"stopped"}
    assert "another process runs it" not in {reason for _, state, reason in first.history if state == "stopped"}
    await until(lambda: second.running == every, "the other runs all")
    write(tmp_path, range(60, 80))
    found = await until_published(client, expected(80))
    await second.leave()
    assert found == expected(80)
    assert await published(client) == expected(80)
    left = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("source ")}
    assert left == set()


@pytest.mark.kafka
async def test_a_source_that_was_taken_over_and_is_still_ours_is_taken_back(own_kafka, tmp_path, monkeypatch):
    """A process that was taken for dead may commit once more after the share was decided: nobody would run the source."""
    monkeypatch.setattr(role, "TAKE_BACK", 0.5)
    client = {"bootstrap_servers": own_kafka["bootstrap.servers"]}
    config = config_of(tmp_path)
    write(tmp_path, range(3))
    process = Process(config, client)
    await until(lambda: process.running == set(config.sources), "all run")
    await until_published(client, expected(3))
    intruder = KafkaPublisher(client, "file-0")
    await intruder.start()
    await intruder.close()
    write(tmp_path, range(3, 6))
    await until(lambda: ("file-0", "stopped", "another process runs it") in process.history, "it is fenced")
    found = await until_published(client, expected(6))
    assert found == expected(6)
    await process.leave()


async def test_what_is_taken_over_while_we_are_in_no_group_is_left_to_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(role, "TAKE_BACK", 0.01)
    log = MemoryLog()
    config = config_of(tmp_path)
    write(tmp_path, range(1))
    states = {}
    async with role.make_client(None) as http:
        sources = role._Sources(
            config,
            http,
            Metrics(),
            lambda name, state, _: states.update({name: state}),
            lambda name: MemoryPublisher(name, log),
        )
        await sources.run_only({"file-0", "file-1"})
        await until(lambda: len(log.mentions) == 2, "both run", 5)
        sources.lapse()
        await MemoryPublisher("file-0", log).start()
        write(tmp_path, range(1, 2))
        await until(lambda: states["file-0"] == "stopped", "the first is fenced", 5)
        await until(sources._tasks["file-0"].done, "and left", 5)
        await until(lambda: len(log.mentions) == 3, "the second goes on", 5)
        await sources.run_only({"file-0", "file-1"})
        await until(lambda: len(log.mentions) == 4, "both again", 5)
        await sources.run_only(set())
    assert sources._tasks == {}
    assert sources._leaving == set()
    assert set(states.values()) == {"stopped"}


async def test_a_source_with_wrong_settings_stops_no_other(tmp_path):
    log = MemoryLog()
    config = config_of(tmp_path, odd={"type": "jsonl", "pat": "x"}, none={"type": "nosuch"})
    write(tmp_path, range(1))
    told = {}
    async with role.make_client(None) as http:
        sources = role._Sources(
            config,
            http,
            Metrics(),
            lambda name, state, reason: told.update({name: (state, reason)}),
            lambda name: MemoryPublisher(name, log),
        )
        await sources.run_only(set(config.sources))
        await until(lambda: len(log.mentions) == SOURCES, "the others run", 5)
        assert told["odd"][0] == told["none"][0] == "refused"
        assert "sources.odd.pat: there is no such setting" in told["odd"][1]
        assert "there is no source 'nosuch'" in told["none"][1]
        await sources.run_only(set())


async def test_sources_with_one_credential_share_an_account_and_run_in_one_process(tmp_path, monkeypatch):
    for name in ("YELP_ONE", "YELP_TWO"):
        monkeypatch.setenv(name, f"key-of-{name}")

    def yelp(key):
        return {"type": "yelp", "businesses": ["kettles"], "key": {"env": key}}

    config = config_of(tmp_path, a=yelp("YELP_ONE"), b=yelp("YELP_TWO"), c=yelp("YELP_ONE"), d=yelp("NOT_SET"))
    async with make_client() as client:
        sources = role._Sources(config, client, Metrics(), None, MemoryPublisher)
        decides = sources.together()
        assert (decides["a"], decides["b"], decides["c"]) == ("a", "b", "a")
        assert decides["file-0"] == "file-0"
        assert "d" not in decides  # what is wrong with it is said when it is to run
        accounts = Accounts(MemoryPublisher)
        one, two, three = (role.build(config, name, client, None, accounts).http.account for name in ("a", "b", "c"))
        assert one is three is not two
        assert one.record.is_durable
