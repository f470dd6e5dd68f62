"""One POST over HTTP: its limits, and what each answer means.

2xx                            the receiver has it
408, 425, 429, 5xx, no answer  ReceiverUnavailableError, with `Retry-After` where it is given
all others                     ReceiverRefusedError; redirects too: a signed notification goes nowhere else by itself
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from pipeline.contract.errors import ConfigError, EarshotError, ReceiverRefusedError, ReceiverUnavailableError
from pipeline.notifiers.base import Clock
from pipeline.notifiers.settings import HttpSettings

CONNECT_TIMEOUT: Final = 5.0
AGENT: Final = "earshot-notify"
_LATER: Final = frozenset({408, 425, 429})
_ADVICE: Final = {
    400: "it does not understand the notification; is the address right?",
    401: "the credentials are missing or wrong",
    403: "the credentials do not allow it",
    404: "there is nothing at this path; look at the address",
    405: "it takes no POST at this path; look at the address",
    410: "it is gone for good; remove the notifier",
    413: "the notification is too large for it",
}


class Poster:
    """Posts to receivers. `transport` is for tests."""

    def __init__(
        self, name: str, settings: HttpSettings, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._name = name
        self._timeout = settings.timeout
        self._clock = clock
        self._transport = transport
        self._verify = _context(name, settings.ca_file)
        self._client: httpx.AsyncClient | None = None

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport,
                verify=self._verify,
                timeout=httpx.Timeout(self._timeout, connect=min(CONNECT_TIMEOUT, self._timeout)),
                follow_redirects=False,
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=30),
                headers={"User-Agent": AGENT},
            )
        return self._client

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], auth: httpx.BasicAuth | None = None
    ) -> None:
        """Post JSON; return when it was accepted. Raises as the table above says; the answer's body is not read."""
        where = place(url)
        try:
            async with asyncio.timeout(self._timeout):
                request = self._open().build_request(
                    "POST", url, content=body, headers={"Content-Type": "application/json", **headers}
                )
                answer = await self._open().send(request, auth=auth, stream=True)
                await answer.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise ReceiverUnavailableError(f"{where} does not answer within {self._timeout:g} s") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise ReceiverRefusedError(f"{where} is no address that can be called; write https://host/path") from None
        except (httpx.HTTPError, OSError) as error:
            raise ReceiverUnavailableError(f"{where} cannot be reached ({type(error).__name__})") from None
        problem = error_for(answer.status_code, answer.headers.get("retry-after"), where, self._clock())
        if problem is not None:
            raise problem

    async def close(self) -> None:
        """Close what is open."""
        if self._client is not None:
            with contextlib.suppress(Exception):
                await self._client.aclose()
            self._client = None


def error_for(status: int, retry_after: str | None, where: str, now: datetime) -> EarshotError | None:
    """Return the error that an answer means, None where it means none."""
    if 200 <= status < 300:
        return None
    if status in _LATER or status >= 500:
        wait = wait_in(retry_after, now)
        if status == 429:
            return ReceiverUnavailableError(f"{where} asks to wait (429)", wait)
        return ReceiverUnavailableError(f"{where} answers with an error of its own ({status})", wait)
    if 300 <= status < 400:
        return ReceiverRefusedError(f"{where} redirects ({status}), which is not followed; write the final address")
    advice = _ADVICE.get(status, "look at this receiver's settings")
    return ReceiverRefusedError(f"{where} refuses ({status}): {advice}")


def wait_in(retry_after: str | None, now: datetime) -> float | None:
    """Return the seconds a `Retry-After` asks for, as a number or a date (RFC 9110, 10.2.3); None when it says none."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return max(0.0, (at - now).total_seconds())


def place(url: str) -> str:
    """Return host and port of an address: what may be shown of it. Paths of webhooks are often secrets."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or "the address"
    except ValueError:
        return "the address"


@functools.cache
def _public() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _context(name: str, ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return _public()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError:  # ssl.SSLError is one
        raise ConfigError(
            f"notifiers.{name}.ca_file: cannot be read as certificates; name a PEM file this user may read"
        ) from None
