"""Many sources against one server that does everything wrong now and then: `python -m tests.connectors.soak --minutes 10`.

Twenty credentials, ten sources each; a fifth of all requests fails in one of a dozen ways; sources are killed and begun
anew all the time, and now and then the whole process's knowledge of credentials is thrown away, as a restart does. In
the end: no credential was used beyond its limit, every item is in `mentions` exactly once, and memory has not grown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from connectors import auth
from connectors.account import Accounts
from connectors.answers import Answer, as_json
from connectors.base import Page, PollingConnector, PollingSettings, mention, utc_now
from connectors.http import Http, make_client
from connectors.lasting import Lasting
from connectors.limits import Limit
from connectors.publisher import NOTHING, KafkaPublisher, MemoryLog, MemoryPublisher
from connectors.runner import Runner
from pipeline.contract import codec
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Mention
from pipeline.contract.metrics import Metrics
from pipeline.topology import MENTIONS

BORN = datetime(2026, 11, 1, tzinfo=UTC)
PAGE = 50
TIMEOUT = 2.0  # seconds a request may take: slow answers are left after it
SLACK = 1.0  # seconds by which a request may reach the server later than it was counted


@dataclass
class Plan:
    """How large a soak is."""

    seconds: float = 600.0
    sources: int = 200
    credentials: int = 20
    rate: float = 1.0  # new items of a source in a second
    per: float = 30.0  # seconds of the limit's window
    most: int = 150  # requests of a credential in it
    faults: float = 0.2
    poll: float = 1.0
    warm: float = 0.4  # share of the time until memory is first looked at


@dataclass
class Site:
    """The server: items that become more by themselves, tokens, limits that it watches, faults."""

    plan: Plan
    chance: random.Random
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    calm: bool = False
    requests: int = 0
    beyond: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    times: dict[str, deque[float]] = field(default_factory=dict)
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    asked_for_tokens: int = 0
    address: str = ""
    open: int = 0
    every: list[str] = field(init=False)  # each fault comes once before any comes by chance

    def __post_init__(self) -> None:
        self.every = self.chance.sample(FAULTS, len(FAULTS))

    def count(self) -> int:
        """Return how many items a source has by now."""
        return int(((self.ended or time.monotonic()) - self.began) * self.plan.rate)

    def run(self) -> Callable[[], None]:
        """Serve in a thread of its own, so that it counts what comes when it comes; return how to end it."""
        loop, ready = asyncio.new_event_loop(), threading.Event()
        stop = asyncio.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
            self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            ready.set()
            await stop.wait()
            server.close()
            while self.open:  # noqa: ASYNC110 - those who are still being answered
                await asyncio.sleep(0.05)

        def work() -> None:
            loop.run_until_complete(serve())
            loop.close()

        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()

        def end() -> None:
            loop.call_soon_threadsafe(stop.set)
            thread.join()

        return end

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ", 2)
                headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length") or 0))
                if not await self._answer(writer, method, target, headers, body):
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.open -= 1

    async def _answer(
        self, writer: asyncio.StreamWriter, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> bool:
        if method == "POST":
            return await self._send(writer, 200, self._token(parse_qs(body.decode())["client_id"][0]))
        self.requests += 1
        token = headers.get("authorization", "").removeprefix("Bearer ")
        client, ends = self.tokens.get(token, ("", 0.0))
        if ends < time.monotonic():
            return await self._send(writer, 401, {"error": "expired"})
        if self._is_beyond(client):
            return await self._send(writer, 429, {"error": "too many"}, "retry-after: 5")
        if target.startswith("/again"):
            return await self._send(writer, 302, {}, f"location: {self.address}/again")
        query = parse_qs(urlsplit(target).query)
        after, source = int(query["after"][0]), int(query["source"][0])
        numbers = list(range(after + 1, min(self.count(), after + 1 + PAGE)))
        answer = {"items": [{"id": f"{source}-{number}", "n": number} for number in numbers], "total": self.count()}
        if not self.calm and self.chance.random() < self.plan.faults:
            return await self._fail(writer, answer)
        return await self._send(writer, 200, answer)

    def _token(self, client: str) -> dict[str, Any]:
        self.asked_for_tokens += 1
        now = time.monotonic()
        self.tokens = {token: kept for token, kept in self.tokens.items() if kept[1] > now}
        token = f"token-{self.asked_for_tokens}"
        self.tokens[token] = (client, now + 25.0)
        return {"access_token": token, "expires_in": 20}

    def _is_beyond(self, client: str) -> bool:
        now, times = time.monotonic(), self.times.setdefault(client, deque())
        while times and times[0] < now - (self.plan.per - SLACK):
            times.popleft()
        times.append(now)
        if len(times) > self.plan.most:
            after = now - self.began
            self.beyond.append(
                f"{client}: {len(times)} in {self.plan.per - SLACK:g} s, {after:.0f} s after the beginning"
            )
            return True
        return False

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, answer: Any, *lines: str, raw: bytes | None = None
    ) -> bool:
        body = json.dumps(answer).encode() if raw is None else raw
        head = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(body)}", *lines]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()
        return True

    async def _fail(self, writer: asyncio.StreamWriter, answer: Any) -> bool:
        whole = json.dumps(answer).encode()
        kind = self.every.pop() if self.every else self.chance.choice(FAULTS)
        self.faults[kind] += 1
        match kind:
            case "500" | "502":
                return await self._send(writer, int(kind), {"error": "ours"})
            case "503 with a wait":
                return await self._send(writer, 503, {}, "retry-after: 1")
            case "an error inside":
                return await self._send(writer, 200, {"error": {"code": "temporarily_unavailable"}})
            case "a page of HTML":
                return await self._send(writer, 200, None, raw=b"<html><body>maintenance</body></html>")
            case "nothing":
                return await self._send(writer, 200, None, raw=b"")
            case "half of the JSON":
                return await self._send(writer, 200, None, raw=whole[: len(whole) // 2])
            case "a redirect without end":
                return await self._send(writer, 302, {}, f"location: {self.address}/again")
            case "half of the gzip":
                packed = gzip.compress(whole + os.urandom(2000))
                return await self._send(writer, 200, None, "content-encoding: gzip", raw=packed[: len(packed) // 2])
            case "a gzip bomb":
                return await self._send(writer, 200, None, "content-encoding: gzip", raw=BOMB)
            case "a body cut off":
                writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100000\r\n\r\n" + whole[:20])
                await writer.drain()
            case "a byte now and then":
                writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100000\r\n\r\n")
                for _ in range(8):
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(TIMEOUT / 4)
            case _:  # a reset
                writer.transport.abort()
        return False


FAULTS = (
    *("500", "502", "503 with a wait", "an error inside", "a page of HTML", "nothing", "half of the JSON"),
    *("a redirect without end", "half of the gzip", "a gzip bomb", "a body cut off", "a byte now and then", "a reset"),
)
BOMB = gzip.compress(b"[" * 3_000_000)


class SoakSettings(PollingSettings):
    """Which source, with which credential."""

    number: int
    client_id: str
    address: str
    most: int
    per: float


class Soak(PollingConnector[SoakSettings]):
    """A source of the server."""

    name = "soak"

    def auth(self) -> auth.Auth:
        given = self.settings
        return auth.ClientCredentials(f"{given.address}/token", given.client_id, SecretStr("secret"), basic=False)

    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.settings.most, per=self.settings.per),)

    def judge(self, answer: Answer) -> SourceUnavailableError | None:
        is_error = answer.status == 200 and answer.body.startswith(b'{"error"')
        return SourceUnavailableError("it says that it has an error") if is_error else None

    async def fetch(self, cursor: str | None) -> Page:
        params = {"after": cursor or "-1", "source": str(self.settings.number)}
        body = as_json(await self.http.request("GET", f"{self.settings.address}/items", params=params))
        if not isinstance(body, dict) or "items" not in body:
            raise SourceUnavailableError("no items")
        rows = body["items"]
        return self.page(rows, str(rows[-1]["n"]) if rows else cursor, is_full=len(rows) == PAGE)

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention:
        return mention("soak", row["id"], created_at=BORN, now=now, text=f"item {row['n']}")


class Counts:
    """How often every item came. Grows by a byte an item, nothing else is kept."""

    def __init__(self, plan: Plan) -> None:
        self._bytes = [bytearray(int(plan.seconds * plan.rate * 2) + 2000) for _ in range(plan.sources)]

    def add(self, native: str) -> None:
        source, number = native.split("-")
        self._bytes[int(source)][int(number)] += 1

    def wrong(self, until: int) -> list[str]:
        return [
            f"item {number} of {source} came {times} times"
            for source, kept in enumerate(self._bytes)
            for number, times in enumerate(kept)
            if times != (1 if number < until else 0)
        ]

    def have(self, until: int) -> bool:
        return all(kept.count(0, 0, until) == 0 for kept in self._bytes)


class Counting(MemoryPublisher):
    """A publisher that counts what is committed and keeps nothing of it."""

    counts: Counts

    async def publish(
        self, mentions: Any, checkpoint: Any, coverage: Any = (), rejected: Any = (), beside: Any = NOTHING
    ) -> None:
        await super().publish(mentions, checkpoint, (), rejected, beside)
        for one in mentions:
            self.counts.add(one.native_id)
        self.log.mentions.clear()


async def consume(bootstrap: str, counts: Counts, topic: str) -> None:
    """Count what a reader of committed records sees."""
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        async for record in reader:
            if record.value:
                counts.add(codec.decode(Mention, record.value).native_id)
    finally:
        await reader.stop()


def resident() -> int:
    """Return the bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def soak(plan: Plan, *, bootstrap: str | None = None, seed: int = 1, say: Any = lambda _: None) -> dict[str, Any]:
    """Run it; return its figures. Whoever calls judges them."""
    chance, site = random.Random(seed), Site(plan, random.Random(seed))
    ends = site.run()
    log, counts, metrics = MemoryLog(), Counts(plan), Metrics()
    reading = asyncio.create_task(consume(bootstrap, counts, MENTIONS)) if bootstrap else None

    lasting = Lasting({"bootstrap_servers": bootstrap})

    def publisher(name: str) -> Any:
        if bootstrap:
            return KafkaPublisher({"bootstrap_servers": bootstrap}, name, lasting=lasting)
        made = Counting(name, log)
        made.counts = counts
        return made

    accounts = Accounts(publisher)
    running: dict[int, asyncio.Task[None]] = {}
    kills = restarts = 0
    memory: list[int] = []
    async with make_client() as client:

        def start(number: int) -> None:
            settings = SoakSettings(
                number=number,
                client_id=f"client-{number % plan.credentials}",
                address=site.address,
                most=plan.most,
                per=plan.per,
                poll_interval=plan.poll,
                slowest_poll=plan.poll * 2,
            )
            name = f"soak-{number}"
            http = Http(
                client, connector=name, metrics=metrics, clock=utc_now, total_timeout=TIMEOUT, max_body=1_000_000
            )
            made = Soak(name, settings, http)
            http.account = accounts.shared(http.account)
            runner = Runner(made, publisher(name), metrics, log=_Silent())
            running[number] = asyncio.create_task(runner.run())

        async def kill(numbers: list[int]) -> None:
            tasks = [running[number] for number in numbers]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

        for number in range(plan.sources):
            start(number)
        site.began = time.monotonic()
        began = last = time.monotonic()
        while time.monotonic() - began < plan.seconds:
            await asyncio.sleep(min(1.0, plan.seconds / 20))
            [number] = chance.sample(range(plan.sources), 1)
            await kill([number])
            kills += 1
            start(number)
            if time.monotonic() - last > plan.seconds / 4:  # the process ends and another one begins
                last, restarts = time.monotonic(), restarts + 1
                await kill(list(running))
                await accounts.close()
                accounts = Accounts(publisher)
                for every in range(plan.sources):
                    start(every)
            if time.monotonic() - began > plan.seconds * plan.warm:
                memory.append(resident())
            say(f"{time.monotonic() - began:6.0f} s  {site.requests} requests  {resident() >> 20} MB")
        site.ended, site.calm = time.monotonic(), True
        until = site.count()
        deadline = time.monotonic() + 60 + plan.seconds / 2
        while not counts.have(until) and time.monotonic() < deadline:  # noqa: ASYNC110 - the counts have no event
            await asyncio.sleep(0.2)
        await asyncio.sleep(1.0 if bootstrap else 0.2)  # whatever comes twice comes now
        await kill(list(running))
        await accounts.close()
    if reading is not None:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await asyncio.to_thread(ends)
    third = max(1, len(memory) // 3)
    return {
        "seconds": round(site.ended - site.began, 1),
        "requests": site.requests,
        "faults": sum(site.faults.values()),
        "kinds_of_faults": len(site.faults),
        "items": until * plan.sources,
        "wrong": counts.wrong(until)[:10],
        "beyond": site.beyond[:10],
        "kills": kills,
        "restarts": restarts,
        "tokens": site.asked_for_tokens,
        "memory_first_mb": round(sum(memory[:third]) / third / 2**20, 1) if memory else 0.0,
        "memory_last_mb": round(sum(memory[-third:]) / third / 2**20, 1) if memory else 0.0,
    }


class _Silent:
    def bind(self, **_: Any) -> _Silent:
        return self

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


def verdict(found: dict[str, Any], *, growth: float = 1.10) -> list[str]:
    """Return what is wrong with the figures; nothing when all is well."""
    wrong = [*found["wrong"], *found["beyond"]]
    if found["memory_last_mb"] > growth * found["memory_first_mb"]:
        wrong.append(f"memory grew from {found['memory_first_mb']} to {found['memory_last_mb']} MB")
    return wrong


def main() -> int:
    """Run it from the command line, on embedded Kafka unless told otherwise."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--sources", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--without-kafka", action="store_true", help="count what is committed in memory")
    given = options.parse_args()
    plan = Plan(seconds=given.minutes * 60, sources=given.sources)

    def say(line: str) -> None:
        sys.stderr.write(f"\r{line}")

    if given.without_kafka:
        found = asyncio.run(soak(plan, seed=given.seed, say=say))
    else:
        from pipeline.broker import admin
        from pipeline.broker.embedded import EmbeddedKafka
        from pipeline.config.model import Config
        from pipeline.runtime.declared import declared

        with tempfile.TemporaryDirectory() as folder, EmbeddedKafka(Path(folder) / "kafka", port=None) as kafka:
            admin.apply({"bootstrap.servers": kafka.bootstrap}, declared(Config(version=1)))
            found = asyncio.run(soak(plan, bootstrap=kafka.bootstrap, seed=given.seed, say=say))
    wrong = verdict(found)
    sys.stderr.write("\n")
    sys.stdout.write(json.dumps({**found, "verdict": wrong or "all is well"}, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
