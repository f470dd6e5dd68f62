"""The one HTTP client of all connectors: timeouts, a User-Agent with a contact, limits, and errors that are ours.

An error names the host and the status, never the address: paths and queries may hold a token.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx

from connectors.base import Clock, utc_now
from connectors.pacing import Quota, quota, seconds_until
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError

MAX_BODY: Final = 20_000_000  # bytes after decompression
MAX_REDIRECTS: Final = 5
TOTAL_SECONDS: Final = 60.0  # for one answer, so that a source that drips bytes holds nobody up
TIMEOUT: Final = httpx.Timeout(20.0, connect=10.0)
Observe = Callable[[str, float, Quota | None], None]
"""Told of every request: its outcome (ok, unchanged, limited, refused, unavailable), its seconds, the quota left."""

_ADVICE: Final = {
    400: "look at the source's settings: the request is not understood",
    401: "the credentials are missing or wrong: set them and start again",
    403: "access is denied: look at the credentials and what they permit",
    404: "there is nothing at this address: look at names and addresses in the settings",
    410: "this source has gone for good: take it out of the configuration",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answered. `headers` have lower-case names. `json` is None unless asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    json: Any = field(default=None, repr=False)
    url: str = field(default="", repr=False)
    moved_to: str | None = field(default=None, repr=False)  # after a permanent redirect

    @property
    def is_unchanged(self) -> bool:
        """Whether the source says that nothing is new since `etag` and `last_modified`."""
        return self.status == httpx.codes.NOT_MODIFIED


class Http:
    """GET requests of one connector instance. Opens nothing until the first request; close it at the end."""

    def __init__(
        self,
        *,
        contact: str | None = None,
        observe: Observe | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        max_body: int = MAX_BODY,
        clock: Clock = utc_now,
    ) -> None:
        self.user_agent = f"earshot/0.1 (+{contact or 'https://github.com/earshot/earshot'})"
        self.quota: Quota | None = None
        self._observe = observe or (lambda *_: None)
        self._transport = transport
        self._max_body = max_body
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def get_json(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer with `json` read. Raises as `get_bytes`, and SourceUnavailableError when it is no JSON."""
        answer = await self.get_bytes(url, params, {"Accept": "application/json", **(headers or {})})
        if answer.is_unchanged:
            return answer
        try:
            content = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise SourceUnavailableError(f"{_host(url)} answered with something that is not JSON") from None
        return Answer(answer.status, answer.headers, answer.body, content, answer.url, answer.moved_to)

    async def get_bytes(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
    ) -> Answer:
        """Return a 2xx answer, or 304 where `etag` or `last_modified` still hold.

        Raises RateLimitedError (429, or a wait is asked for), SourceUnavailableError (no answer, 5xx, larger than
        `max_body`), SourceRefusedError (other 4xx, endless redirects, a malformed address).
        """
        sent = dict(headers or {})
        if etag:
            sent["If-None-Match"] = etag
        if last_modified:
            sent["If-Modified-Since"] = last_modified
        began = time.monotonic()
        outcome = "unavailable"
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                answer = await self._get(url, params, sent)
            outcome = "unchanged" if answer.is_unchanged else "ok"
        except RateLimitedError:
            outcome = "limited"
            raise
        except SourceRefusedError:
            outcome = "refused"
            raise
        except TimeoutError:
            raise SourceUnavailableError(f"{_host(url)} did not answer within {TOTAL_SECONDS:.0f} s") from None
        finally:
            self._observe(outcome, time.monotonic() - began, self.quota)
        return answer

    async def _get(self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]) -> Answer:
        try:
            async with self._opened().stream("GET", url, params=dict(params or {}) or None, headers=headers) as got:
                self.quota = quota(got.headers, self._clock())
                self._check(_host(url), got)
                body = await self._body(_host(url), got)
                moved = [hop for hop in got.history if hop.status_code in (301, 308)]
                is_permanent = bool(moved) and len(moved) == len(got.history)
                return Answer(
                    got.status_code,
                    got.headers,
                    body,
                    url=str(got.url),
                    moved_to=str(got.url) if is_permanent else None,
                )
        except httpx.TimeoutException:
            raise SourceUnavailableError(f"{_host(url)} did not answer in time") from None
        except httpx.TooManyRedirects:
            raise SourceRefusedError(f"{_host(url)} redirects in a circle: look at the address") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise SourceRefusedError("the address is malformed: write it as https://host/path") from None
        except httpx.TransportError as error:
            raise SourceUnavailableError(f"{_host(url)} cannot be reached ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"{_host(url)}: the answer is unreadable ({type(error).__name__})") from None

    def _check(self, host: str, got: httpx.Response) -> None:
        status = got.status_code
        if status < 300 or status == httpx.codes.NOT_MODIFIED:
            return
        wait = seconds_until(got.headers.get("retry-after"), self._clock())
        is_used_up = status == 403 and self.quota is not None and self.quota.remaining == 0
        if status == 429 or is_used_up or (status == 503 and wait is not None):
            if wait is None and self.quota is not None:
                wait = self.quota.resets_in
            asked = "" if wait is None else f" for {wait:.0f} s"
            raise RateLimitedError(f"{host} asks to wait{asked} ({status})", wait)
        if status >= 500 or status in (408, 425):
            raise SourceUnavailableError(f"{host} has trouble of its own ({status})")
        advice = _ADVICE.get(status, "look at the source's settings and credentials")
        raise SourceRefusedError(f"{host} refuses with {status}: {advice}")

    async def _body(self, host: str, got: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in got.aiter_bytes():
            size += len(part)
            if size > self._max_body:
                raise SourceUnavailableError(f"{host} answered with more than {self._max_body} bytes")
            parts.append(part)
        return b"".join(parts)

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={"User-Agent": self.user_agent},
                timeout=TIMEOUT,
                follow_redirects=True,
                max_redirects=MAX_REDIRECTS,
                transport=self._transport,
            )
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _host(url: str) -> str:
    """Return the host of an address: all of it that may be shown."""
    try:
        return httpx.URL(url).host or "the source"
    except (httpx.InvalidURL, TypeError):
        return "the source"
