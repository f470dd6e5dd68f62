"""Several streams of one server, held open together and heard in the order in which they speak."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx

from connectors import held, one_by_one, reading
from connectors.answers import place as shown
from connectors.base import Connector
from connectors.bodies import is_inside
from connectors.http import Http
from connectors.mastodon_stream.events import Event, Events
from connectors.one_by_one import GoneError
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError

OPENING: Final = 10.0  # seconds, besides the silence that is allowed, until every stream has given a sign of life
QUEUE: Final = 64  # parts read ahead of a page; beyond that the server waits for us


class Part(NamedTuple):
    """What has arrived of one stream together, maybe no event and only a sign of life; or why it has ended."""

    tag: str
    events: Sequence[Event] = ()
    lost: Exception | None = None


async def found_at(http: Http, server: str) -> str:
    """Return where a server streams, which may be another host. Raises what requests raise.

    The host gets the token: SourceRefusedError where it would go in the clear, or into the local network.
    """
    try:
        body = (await http.get_json(f"{server}/api/v2/instance", meaning=one_by_one.gone)).json
    except GoneError:  # before Mastodon 4.0
        body = None
    urls = reading.mapping(reading.mapping(reading.mapping(body).get("configuration")).get("urls"))
    there, here = _address(str(urls.get("streaming") or server)), urlsplit(server)
    scheme = {"wss": "https", "ws": "http"}.get(there.scheme, there.scheme) if there is not None else ""
    is_in_the_clear = scheme != "https" and here.scheme == "https"
    is_inwards = there is not None and is_inside(there.host) and not is_inside(here.hostname or "")
    if there is None or scheme not in ("http", "https") or is_in_the_clear or is_inwards:
        raise SourceRefusedError(
            f"{shown(server)} streams from an address that is not safe to ask — it has to be https://… and not a "
            "private one: tell the server's administrators, or hear it with the source `mastodon`"
        )
    return f"{scheme}://{there.netloc.decode('ascii')}"


def _address(said: str) -> httpx.URL | None:
    """Return an address that a server names; None for what is none, and for one with a name and a password in it.

    Those would take the place of the token.
    """
    try:
        found = httpx.URL(said)
    except (httpx.InvalidURL, ValueError):
        return None
    return None if found.userinfo or "%" in found.host else found


class Streams:
    """The streams of some tags; an empty tag is the whole public one."""

    def __init__(self, tags: Sequence[str]) -> None:
        self._tags = set(tags)
        self._queue: asyncio.Queue[Part] = asyncio.Queue(QUEUE)
        self._first: list[Part] = []

    async def read(self, connector: Connector[Any], url: str, tag: str, silence: float) -> None:
        """Put what arrives of one stream where `next` takes it from, and at last why it has ended."""
        events = Events(shown(url))
        params, headers = {"tag": tag} if tag else None, {"Accept": "text/event-stream"}
        parts = held.parts(connector, url, silence=silence, params=params, headers=headers)
        try:
            async with contextlib.aclosing(parts):
                async for part in parts:
                    await self._queue.put(Part(tag, events.fed(part)))
            raise SourceUnavailableError(f"{shown(url)} has ended the connection")
        except Exception as error:  # it belongs to whoever listens
            await self._queue.put(Part(tag, lost=error))

    async def until_open(self) -> None:
        """Wait until every stream has given a sign of life. Raises why one has not."""
        while {part.tag for part in self._first} != self._tags:
            part = await self._queue.get()
            if part.lost is not None:
                raise part.lost
            self._first.append(part)

    async def next(self, until: float | None = None) -> Part | None:
        """Return what comes next; None when nothing has come by this time of the loop's clock."""
        if self._first:
            return self._first.pop(0)
        try:
            async with asyncio.timeout_at(until):
                return await self._queue.get()
        except TimeoutError:
            return None


@contextlib.asynccontextmanager
async def opened(
    connector: Connector[Any], base: str, tags: Sequence[str], path: str, silence: float
) -> AsyncIterator[Streams]:
    """Hold the streams of these tags open while the block runs. Raises why one of them cannot be."""
    found = Streams(tags)
    url = f"{base}/api/v1/streaming/{path}"
    readers = [asyncio.create_task(found.read(connector, url, tag, silence)) for tag in tags]
    try:
        try:
            async with asyncio.timeout(silence + OPENING):
                await found.until_open()
        except TimeoutError:
            raise SourceUnavailableError(f"{shown(url)} does not open in time") from None
        yield found
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
