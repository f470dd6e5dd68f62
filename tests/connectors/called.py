"""A connector that is called, at work, and who calls it over loopback."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from connectors.publisher import MemoryLog
from tests.connectors.streams import Running, running, until


class Caller:
    """Calls the address of a connector, as its source does."""

    def __init__(self, run: Running, session: aiohttp.ClientSession) -> None:
        self.run, self._session = run, session
        self._url = str(run.states[-1][1])

    async def post(self, body: Any, headers: Mapping[str, str], name: str = "") -> int:
        """Send a body, bytes or what becomes JSON, to the address of this name; return the status."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._session.post(self._at(name), data=data, headers=headers) as answer:
            return answer.status

    def _at(self, name: str) -> str:
        return f"{self._url}/{name}" if name else self._url

    async def get(self, name: str = "", /, **query: str) -> tuple[int, str, str]:
        """Ask with a query; return the status, the kind of content, and the text."""
        async with self._session.get(self._at(name), params=query) as answer:
            return answer.status, answer.content_type, await answer.text()


@contextlib.asynccontextmanager
async def called(made: Any, log: MemoryLog | None = None) -> AsyncIterator[Caller]:
    """Run a connector that listens while the block runs."""
    async with running(made, log) as run:
        await until(lambda: run.states and run.states[-1][0] == "listening", "it listens")
        async with aiohttp.ClientSession() as session:
            yield Caller(run, session)
