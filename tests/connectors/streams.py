"""What tests of streaming and push connectors share: a Jetstream of our own, and a runner that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from connectors.publisher import MemoryLog, MemoryPublisher, Publisher
from connectors.runner import Runner
from pipeline.contract.metrics import Metrics
from tests.connectors import kit
from tests.connectors.serving import serving

DEADLINE = 10.0
US = 1_000_000


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition; a deadline fails the test."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - what is waited for is anything
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


class Stream:
    """A WebSocket that sends frames as Jetstream does: those at or after the cursor, then what is added.

    `misbehave` is called with each connection's number before a frame is sent, and may close, wait or change it.
    """

    def __init__(self, frames: list[str | bytes] | None = None) -> None:
        self.frames: list[str | bytes] = list(frames or [])
        self.asked: list[dict[str, str]] = []
        self.headers: list[Any] = []
        self.misbehave: Callable[[Stream, ServerConnection, int, int], Any] | None = None
        self.open = 0
        self.sent = 0
        self.url = ""

    def add(self, *frames: str | bytes) -> None:
        self.frames += frames

    async def _serve(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._send(connection)

    async def _send(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = {key: value[0] for key, value in parse_qs(urlsplit(connection.request.path).query).items()}
        self.asked.append(query)
        self.headers.append(connection.request.headers)
        number, sent = len(self.asked), 0
        cursor = int(query["cursor"]) if "cursor" in query else None
        position = 0 if cursor is not None else self.live
        self.open += 1
        try:
            while True:
                while position < len(self.frames):
                    frame = self.frames[position]
                    position += 1
                    at = self.time_of(frame)
                    if cursor is not None and at is not None and at < cursor:
                        continue
                    if self.misbehave is not None:
                        await self.misbehave(self, connection, number, sent)
                    await connection.send(self.sent_as(frame, query))
                    sent += 1
                    self.sent += 1
                waiting = asyncio.create_task(connection.wait_closed())
                done, _ = await asyncio.wait((waiting,), timeout=0.005)
                waiting.cancel()
                if done:
                    return
        finally:
            self.open -= 1

    live = 0  # frame from which a connection without a cursor begins

    def time_of(self, frame: str | bytes) -> int | None:
        """When a frame is from, in microseconds."""
        return _time(frame)

    def sent_as(self, frame: str | bytes, query: dict[str, str]) -> str | bytes:
        """How a frame is sent to whoever asked so."""
        return frame

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        async with serve(self._serve, "127.0.0.1", 0, ping_interval=None) as server:
            port = server.sockets[0].getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}/subscribe"
            try:
                yield self
            finally:
                server.close(close_connections=True)


class _Response:
    """What `misbehave` gets of an HTTP stream: it can be closed, as a WebSocket can."""

    def __init__(self, request: web.Request) -> None:
        self._request = request

    async def close(self) -> None:
        assert self._request.transport is not None
        self._request.transport.close()
        raise ConnectionResetError


class HttpStream(Stream):
    """The filtered stream of X: a line of JSON a post, its rules, and a search for what was missed.

    Everything is sent to whoever comes, since such a stream has no memory; `missed` is what the search answers.
    """

    def __init__(self, frames: list[str | bytes] | None = None) -> None:
        super().__init__(frames)
        self.rules: list[dict[str, str]] = []
        self.missed: list[dict[str, Any]] = []
        self.searched: list[dict[str, str]] = []
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.rule_error: dict[str, Any] | None = None
        self.beat: float | None = None  # seconds between two signs of life
        self.beats = 0

    async def _rules(self, request: web.Request) -> web.Response:
        given = await request.json() if request.method == "POST" else {}
        if self.rule_error is not None and "add" in given:
            return web.json_response({"errors": [self.rule_error]})
        for one in given.get("add", ()):
            self.rules.append({"id": str(len(self.rules) + 1), **one})
        self.rules = [one for one in self.rules if one["id"] not in given.get("delete", {}).get("ids", ())]
        return web.json_response({"data": self.rules, "meta": {}})

    async def _search(self, request: web.Request) -> web.Response:
        self.searched.append(dict(request.query))
        since = int(request.query["since_id"])
        found = [one for one in self.missed if int(one["id"]) > since]
        return web.json_response({"data": found, "meta": {"result_count": len(found)}})

    async def _lines(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.headers.append(request.headers)
        if self.refusal is not None:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        number, sent, position = len(self.asked), 0, self.begins_at(request)
        response = web.StreamResponse()
        await response.prepare(request)
        self.open += 1
        if self.frames or self.beat is not None:
            await response.write(self.greeting)
        beaten = asyncio.get_running_loop().time()
        try:
            while request.transport is not None and not request.transport.is_closing():
                while position < len(frames := self.frames_for(request)):
                    frame = frames[position]
                    position += 1
                    if self.misbehave is not None:
                        await self.misbehave(self, _Response(request), number, sent)  # type: ignore[arg-type]  # closes
                    await response.write(self.wire(frame.encode() if isinstance(frame, str) else frame))
                    sent += 1
                    self.sent += 1
                if self.beat is not None and asyncio.get_running_loop().time() - beaten >= self.beat:
                    beaten = asyncio.get_running_loop().time()
                    await response.write(self.sign_of_life)
                    self.beats += 1
                await asyncio.sleep(0.005)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
        return response

    greeting = b""
    sign_of_life = b"\r\n"

    def wire(self, frame: bytes) -> bytes:
        """How a frame is written."""
        return frame + b"\r\n"

    def frames_for(self, request: web.Request) -> list[str | bytes]:
        """What this request is sent."""
        return self.frames

    def begins_at(self, request: web.Request) -> int:
        """From which frame on this request is sent them."""
        return 0

    def route(self, router: web.UrlDispatcher) -> None:
        router.add_get("/2/tweets/search/stream", self._lines)
        router.add_route("*", "/2/tweets/search/stream/rules", self._rules)
        router.add_get("/2/tweets/search/recent", self._search)

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        app = web.Application()
        self.route(app.router)
        async with serving(app) as self.url:
            yield self


class EventStream(HttpStream):
    """The streams of Mastodon as server-sent events, and its timelines, which are asked for what was missed.

    Frames are written here as its WebSocket has them, `{"event": …, "payload": …}`; one that is no such thing is sent as
    the data of an update. With `by_tag` each tag has frames of its own. `timelines` has rows by tag, oldest first.
    """

    greeting = b":)\n"
    sign_of_life = b":thump\n"

    def __init__(self, frames: list[str | bytes] | None = None) -> None:
        super().__init__(frames)
        self.by_tag: dict[str, list[str | bytes]] | None = None
        self.repeats = True  # whether a new connection is sent what others were: no server does
        self.timelines: dict[str, list[dict[str, Any]]] = {}
        self.knows_min_id = True
        self.statuses: dict[str, dict[str, Any]] = {}
        self.streaming: str | None = None  # where the server says that it streams; None: it is too old to say
        self.fetched: list[tuple[str, dict[str, str]]] = []

    def frames_for(self, request: web.Request) -> list[str | bytes]:
        return self.frames if self.by_tag is None else self.by_tag[request.query.get("tag", "")]

    def begins_at(self, request: web.Request) -> int:
        return 0 if self.repeats else len(self.frames_for(request))

    def wire(self, frame: bytes) -> bytes:
        try:
            found = json.loads(frame)
            event, payload = found["event"], found["payload"].encode()
        except (ValueError, KeyError, TypeError):
            event, payload = "update", frame
        return f"event: {event}\n".encode() + b"data: " + payload + b"\n\n"

    async def _timeline(self, request: web.Request) -> web.Response:
        self.fetched.append((request.path, dict(request.query)))
        rows = self.timelines.get(request.match_info.get("tag", ""), [])
        above, limit = request.query.get("min_id"), int(request.query["limit"])
        if above is not None and self.knows_min_id:
            rows = [row for row in rows if (len(row["id"]), row["id"]) > (len(above), above)][:limit]
        return web.json_response(rows[-limit:][::-1])

    async def _status(self, request: web.Request) -> web.Response:
        self.fetched.append((request.path, {}))
        row = self.statuses.get(request.match_info["number"])
        return web.json_response(row or {"error": "Record not found"}, status=200 if row else 404)

    async def _instance(self, _: web.Request) -> web.Response:
        if self.streaming is None:
            return web.json_response({"error": "Not Found"}, status=404)
        return web.json_response({"configuration": {"urls": {"streaming": self.streaming}}})

    def route(self, router: web.UrlDispatcher) -> None:
        router.add_get("/api/v1/streaming/{path:.*}", self._lines)
        router.add_get("/api/v1/timelines/tag/{tag}", self._timeline)
        router.add_get("/api/v1/timelines/public", self._timeline)
        router.add_get("/api/v1/statuses/{number}", self._status)
        router.add_get("/api/v2/instance", self._instance)


def stream_of(kind: Any, frames: list[str | bytes] | None = None) -> Stream:
    """The server for a streaming connector: over a WebSocket, or over HTTP where its addresses say so."""
    if kind.name == "mastodon-stream":
        return EventStream(frames)
    is_http = str(kind.settings_type.model_fields["endpoints"].default[0]).startswith("http")
    return HttpStream(frames) if is_http else Stream(frames)


def nowhere(kind: Any) -> str:
    """An address of that kind at which nobody listens."""
    return "http://127.0.0.1:1" if isinstance(stream_of(kind), HttpStream) else "ws://127.0.0.1:1/subscribe"


def _time(frame: str | bytes) -> int | None:
    try:
        at = json.loads(frame)["time_us"]
    except (ValueError, KeyError, TypeError):
        return None
    return at if isinstance(at, int) else None


class Running:
    """A runner at work, and what is seen of it."""

    def __init__(self, connector: Any, log: MemoryLog, publisher: Publisher | None, clock: Any) -> None:
        self.connector = connector
        self.log = log
        self.metrics = Metrics()
        self.connector.http.metrics = self.metrics
        self.states: list[tuple[str, str | None]] = []
        self.waits: list[float] = []
        self.lines = kit.Lines()
        self.runner = Runner(
            connector,
            publisher or MemoryPublisher(connector.instance, log),
            self.metrics,
            on_state=lambda _, state, reason: self.states.append((state, reason)),
            clock=clock,
            chance=lambda: 0.5,
            wait=self._wait,
            log=self.lines,
        )
        self.task = asyncio.create_task(self.runner.run())

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0.01)

    @property
    def texts(self) -> list[str]:
        return [mention.text for mention in self.log.mentions]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"connector": "example", **labels}) or 0.0

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait((self.task,))


@contextlib.asynccontextmanager
async def running(
    connector: Any, log: MemoryLog | None = None, publisher: Publisher | None = None, clock: Any = kit.clock
) -> Any:
    """A runner at work while the block runs; cancelled after it, and all of its tasks gone."""
    before = asyncio.all_tasks()
    found = Running(connector, log or MemoryLog(), publisher, clock)
    try:
        yield found
    finally:
        await found.stop()
        left = {task for task in asyncio.all_tasks() - before if "connectors" in repr(task.get_coro())}
        assert not left, f"tasks that were left: {left}"
