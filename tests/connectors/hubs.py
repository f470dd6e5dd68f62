"""A publisher and its hub, written after https://www.w3.org/TR/websub/, as real servers on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import random
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from tests.connectors.serving import serving

ATOM = "application/atom+xml"


def free_port() -> int:
    """A port that is free, of those that no outgoing connection is given."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def entry(number: int, *, title: str = "Acme", updated: str = "", minute: int = 0) -> str:
    published = f"2026-11-20T10:{minute:02d}:00Z"
    return (
        f"<entry><id>tag:blog.example.org,2026:{number}</id><title>{title} {number}</title>"
        f"<published>{published}</published><updated>{updated or published}</updated></entry>"
    )


class Site:
    """Feeds at `/feed/NAME` and a hub at `/hub`. What the hub is to do differently is set in its fields."""

    def __init__(self) -> None:
        self.entries: dict[str, list[str]] = {}
        self.links_in_header = False
        self.names_hub = True
        self.asked: list[tuple[str, str | None]] = []
        self.feed_status = 200
        self.requests: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.moves = False
        self.verifies = True
        self.denies = False
        self.lease: int | None = None
        self.method = "sha256"
        self.subscriptions: dict[tuple[str, str], dict[str, str]] = {}
        self.answers: list[tuple[int, str]] = []
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._challenges = 0

    def topic(self, name: str) -> str:
        return f"{self.url}/feed/{name}?full=yes&page=1"

    def body(self, name: str, entries: list[str] | None = None) -> bytes:
        found = self.entries.get(name, []) if entries is None else entries
        links = f'<link rel="hub" href="/hub"/><link rel="self" href="{self.topic(name).replace("&", "&amp;")}"/>'
        return (
            f'<feed xmlns="http://www.w3.org/2005/Atom"><title>{name}</title><id>tag:blog.example.org,2026:{name}</id>'
            f"{links if self.names_hub and not self.links_in_header else ''}{''.join(found)}</feed>"
        ).encode()

    async def _feed(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = self.body(name)
        etag = f'"{hashlib.sha256(body).hexdigest()[:12]}"'
        self.asked.append((name, request.headers.get("If-None-Match")))
        if self.feed_status != 200:
            return web.Response(status=self.feed_status)
        headers = {"ETag": etag}
        if self.links_in_header:
            headers["Link"] = f'</hub>; rel="hub", <{self.topic(name)}>; rel="self"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=ATOM, headers=headers)

    async def _hub(self, request: web.Request) -> web.Response:
        if self.moves and request.path == "/hub":
            return web.Response(status=307, headers={"Location": "/hub/moved"})
        assert request.content_type == "application/x-www-form-urlencoded"
        form = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        self.requests.append(form)
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), text=f"no: {form.get('hub.secret', '')}")
        if self.verifies or self.denies:
            task = asyncio.create_task(self._verify(form))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return web.Response(status=202)

    async def _verify(self, form: dict[str, str]) -> None:
        query = {"hub.topic": form["hub.topic"]}
        if self.denies:
            await self.call(form["hub.callback"], {**query, "hub.mode": "denied", "hub.reason": "no more than ten"})
            return
        self._challenges += 1
        challenge = f"challenge-{self._challenges}"
        lease = str(self.lease if self.lease is not None else form.get("hub.lease_seconds", ""))
        query |= {"hub.mode": form["hub.mode"], "hub.challenge": challenge, "hub.lease_seconds": lease}
        status, text = await self.call(form["hub.callback"], query)
        key = (form["hub.topic"], form["hub.callback"])
        if status // 100 == 2 and text == challenge:
            if form["hub.mode"] == "subscribe":
                self.subscriptions[key] = form
            else:
                self.subscriptions.pop(key, None)

    async def call(self, callback: str, query: dict[str, str]) -> tuple[int, str]:
        """Ask a subscriber, and remember what it answered."""
        async with aiohttp.ClientSession() as session, session.get(callback, params=query) as answer:
            found = answer.status, await answer.text()
        self.answers.append(found)
        return found

    async def distribute(self, name: str, body: bytes | None = None, **more: Any) -> list[int]:
        """Push a feed to all of its subscribers; return what they answered."""
        subscribers = [(key[1], form) for key, form in self.subscriptions.items() if key[0] == self.topic(name)]
        return [(await self.push(callback, form, body or self.body(name), **more))[0] for callback, form in subscribers]

    async def push(
        self, callback: str, form: dict[str, str], body: bytes, *, sign: bool = True, secret: str | None = None
    ) -> tuple[int, str, dict[str, str]]:
        headers = {"Content-Type": ATOM, "Link": f'<{self.url}/hub>; rel="hub", <{form["hub.topic"]}>; rel="self"'}
        if sign:
            key = (secret or form["hub.secret"]).encode()
            headers["X-Hub-Signature"] = f"{self.method}={hmac.new(key, body, self.method).hexdigest()}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(callback, data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.text(), dict(answer.headers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        app = web.Application()
        app.router.add_get("/feed/{name}", self._feed)
        app.router.add_post("/hub", self._hub)
        app.router.add_post("/hub/moved", self._hub)
        async with serving(app) as self.url:
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
