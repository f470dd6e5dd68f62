"""The one way to ask a source: timeouts, a User-Agent with a contact, limits on bodies, and errors by what to do next.

| answer                                   | raised                                        |
|------------------------------------------|-----------------------------------------------|
| 429; 403 that says until when to wait    | RateLimitedError(retry_after)                 |
| 408, 425, 5xx                            | UnavailableError, with `retry_after` if given |
| other 4xx                                | SourceRefusedError                            |
| no answer, too slow, too large, not JSON | SourceUnavailableError                        |

An error names the host and the path, never the query, a header or the body: tokens travel in those. A platform that
says in the body what it means, under whatever status, is read by a `Meaning` that is asked before the table.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from connectors import pacing, reading
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.metrics import Metrics

TIMEOUT: Final = httpx.Timeout(10.0, read=30.0)
TOTAL_TIMEOUT: Final = 60.0  # of one request with its redirects: a source that sends a byte a second is not waited for
MAX_BODY: Final = 20_000_000  # bytes, after decompression
MAX_REDIRECTS: Final = 4
HOMEPAGE: Final = "https://github.com/earshot/earshot"

_ADVICE: Final = {
    400: "the request is wrong; look at this source's settings",
    401: "the credentials are wrong or have expired; renew them",
    402: "the account has to be paid for",
    403: "access is forbidden; look at the credentials' permissions and the source's terms",
    404: "there is nothing at this address; look at names and addresses in the settings",
    410: "it is gone for good; take it out of the settings",
    451: "it is withheld for legal reasons",
}
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SAFE: Final = re.compile(r"[^\x20-\x7e\u00a1-\u024f]")


Meaning = Callable[["Answer", datetime], EarshotError | None]
"""What an answer means by what it says itself; None where the table at the top is to say. Quotes no body."""


class UnavailableError(SourceUnavailableError):
    """A source answers with an error of its own. `retry_after` is in seconds, None when it did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answered. Header names are lower-case; `url` is where it was found after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    moved_to: str | None = field(default=None, repr=False)  # set when every redirect on the way was a permanent one
    json: Any = field(default=None, repr=False)  # where it was asked for

    @property
    def is_unchanged(self) -> bool:
        """Whether the source says that nothing has changed since the given ETag or time."""
        return self.status == 304


def user_agent(contact: str | None) -> str:
    """Return our User-Agent: who asks, and how to reach whoever runs it."""
    try:
        number = version("earshot")
    except PackageNotFoundError:
        number = "0"
    return f"earshot/{number} (+{_SAFE.sub('', contact) if contact else HOMEPAGE})"


def make_client(contact: str | None = None, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return the client that all connectors of a process share. It connects with its first request."""
    return httpx.AsyncClient(
        # gzip only: others can grow a thousandfold beyond what our bounded decompression understands
        headers={"User-Agent": user_agent(contact), "Accept-Encoding": "gzip"},
        # no cookies: sources of one site would share a session, and a site could fill our memory with them
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        timeout=TIMEOUT,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=30.0),
        transport=transport,
        trust_env=transport is None,
    )


class Http:
    """One connector's requests. Remembers what the source last said about its rate limit in `quota`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        connector: str,
        metrics: Metrics | None = None,
        clock: Callable[[], datetime],
        secrets: Iterable[SecretStr] = (),
        max_body: int = MAX_BODY,
        total_timeout: float = TOTAL_TIMEOUT,
    ) -> None:
        self.client = client
        self.quota: pacing.Quota | None = None
        self.max_body = max_body
        self._connector = connector
        self.metrics = metrics
        self._clock = clock
        self._secrets = [secret.get_secret_value() for secret in secrets]
        self._total_timeout = total_timeout

    async def get_json(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        meaning: Meaning | None = None,
    ) -> Answer:
        """Return the answer to a GET with its JSON in `json`. Raises what `meaning` or the table at the top say."""
        given = {"Accept": "application/json", **(headers or {})}
        answer = await self.request("GET", url, params=params, headers=given, meaning=meaning)
        return answer if answer.is_unchanged else replace(answer, json=as_json(answer))

    async def get_bytes(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
    ) -> Answer:
        """Return the answer to a GET; with `etag` or `last_modified` it may be 304. Raises what the table says."""
        given = dict(headers or {})
        if etag:
            given["If-None-Match"] = etag
        if last_modified:
            given["If-Modified-Since"] = last_modified
        return await self.request("GET", url, params=params, headers=given)

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        meaning: Meaning | None = None,
    ) -> Answer:
        """Return the answer to any request. Raises what `meaning` or the table say."""
        began, outcome = time.monotonic(), "unreachable"
        try:
            async with asyncio.timeout(self._total_timeout):
                answer = await self._follow(method, url, params=params, headers=headers, json=json, data=data)
            self.quota = pacing.quota(answer.headers, self._clock()) or self.quota
            outcome = "ok"
            error = meaning(answer, self._clock()) if meaning is not None else None
            error = error or error_for(answer, self._clock(), self._secrets)
            if error is not None:
                outcome = _outcome(error)
                raise error
            return answer
        except TimeoutError:
            raise SourceUnavailableError(f"{place(url)} takes longer than {self._total_timeout:g} s") from None
        except httpx.TimeoutException:
            raise SourceUnavailableError(f"{place(url)} does not answer in time") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise SourceRefusedError(f"{place(url)} is no address that can be asked; write https://…") from None
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"{place(url)} cannot be reached: {_words(error)}") from None
        finally:
            if self.metrics is not None:
                self.metrics.source_requests.labels(self._connector, outcome).inc()
                self.metrics.source_request_seconds.labels(self._connector).observe(time.monotonic() - began)

    async def _follow(self, method: str, url: str, **given: Any) -> Answer:
        """Follow redirects of GET requests: never from https to http, never inwards, without our headers elsewhere."""
        permanent = True
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._once(method, url, **given)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not target or method != "GET":
                return Answer(answer.status, answer.headers, answer.body, answer.url, url if permanent and _ else None)
            permanent = permanent and answer.status in (301, 308)
            old = httpx.URL(answer.url)
            try:
                new = old.join(target)
            except (httpx.InvalidURL, ValueError):
                raise SourceUnavailableError(f"{place(url)} redirects to what is no address") from None
            if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
                raise SourceRefusedError(f"{place(url)} redirects to {new.scheme}, which is not followed")
            if _is_inside(new.host) and not _is_inside(old.host):
                raise SourceRefusedError(f"{place(url)} redirects into the local network, which is not followed")
            given["params"] = None
            if (new.scheme, new.host, new.port) != (old.scheme, old.host, old.port):
                given["headers"] = None
            url = str(new)
        raise SourceUnavailableError(f"{place(url)} redirects more than {MAX_REDIRECTS} times")

    async def _once(self, method: str, url: str, **given: Any) -> Answer:
        given = {key: value for key, value in given.items() if value is not None}
        request = self.client.build_request(method, url, **given)
        try:
            response = await self.client.send(request, stream=True)
        except httpx.InvalidURL:  # httpx looks at where an answer redirects to, although it is not to go there
            raise SourceUnavailableError(f"{place(url)} redirects to what is no address") from None
        try:
            headers = {key.lower(): value for key, value in response.headers.items()}
            encoding = headers.get("content-encoding", "").lower()
            if response.is_stream_consumed:  # a transport that has read it all itself, as those of tests do
                return Answer(response.status_code, headers, response.content[: self.max_body], str(response.url))
            body = b"".join([part async for part in self._bounded(response, encoding)])
            return Answer(response.status_code, headers, body, str(response.url))
        finally:
            await response.aclose()

    async def _bounded(self, response: httpx.Response, encoding: str) -> AsyncIterator[bytes]:
        """Yield the body decompressed, never more than `max_body` bytes of it in memory."""
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise SourceUnavailableError(f"{place(str(response.url))} compresses in a way that was not asked for")
        inflate = _Inflate() if encoding not in ("", "identity") else None
        size = 0
        async for raw in response.aiter_raw():
            part = raw
            if inflate is not None:
                try:
                    part = inflate.some(raw, self.max_body - size + 1)
                except zlib.error:
                    raise SourceUnavailableError(f"{place(str(response.url))} sends broken compression") from None
            size += len(part)
            if size > self.max_body:
                raise SourceUnavailableError(f"{place(str(response.url))} sends more than {self.max_body} bytes")
            yield part
        if inflate is not None and not inflate.is_whole:
            raise SourceUnavailableError(f"{place(str(response.url))} breaks off in the middle of its answer")


class _Inflate:
    """Decompression that never makes more bytes than it is allowed. A gzip body may have several members (RFC 1952)."""

    def __init__(self) -> None:
        self._one = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False
        self._held = b""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end."""
        return self._one.eof or not self._begun

    def some(self, raw: bytes, most: int) -> bytes:
        """Return what is in these bytes, at most `most` bytes of it. Raises zlib.error."""
        parts: list[bytes] = []
        raw, self._held = self._held + raw, b""
        while raw and most > 0:
            if self._one.eof:
                if raw == b"\x1f":  # half of the sign that another member begins
                    self._held = raw
                    break
                if not raw.startswith(b"\x1f\x8b"):  # what follows is padding, not another member
                    break
                self._one = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._begun = True
            parts.append(self._one.decompress(raw, most))
            most -= len(parts[-1])
            raw = self._one.unused_data
        return b"".join(parts)


def as_json(answer: Answer) -> Any:
    """Return the JSON in an answer. Raises SourceUnavailableError when it is something else."""
    try:
        return reading.json_value(answer.body)
    except ValueError:
        kind = _SAFE.sub("", answer.headers.get("content-type", "no content type"))[:60]
        what = f"{len(answer.body)} bytes of {kind}" if answer.body else "an empty body"
        raise SourceUnavailableError(f"{place(answer.url)} sends {what} instead of JSON") from None


def error_for(answer: Answer, now: datetime, secrets: Iterable[str] = ()) -> EarshotError | None:
    """Return the error an answer means, None where it means none. A pure function: the table at the top."""
    status, headers = answer.status, answer.headers
    if status < 300 or status == 304:
        return None
    where = place(answer.url)
    wait = pacing.seconds_until(headers.get("retry-after"), now)
    known = pacing.quota(headers, now)
    asks_to_wait = wait is not None or (known is not None and known.remaining < 1)
    if status == 429 or (status == 403 and asks_to_wait):  # GitHub's secondary limits are a 403 with Retry-After
        if wait is None and known is not None and known.remaining < 1:
            wait = pacing.allowed_in(known, now)
        return RateLimitedError(f"{where} asks to wait ({status})", wait)
    if status in (408, 425) or status >= 500:
        return UnavailableError(f"{where} answers with an error of its own ({status})", wait)
    if status < 400:
        return SourceUnavailableError(f"{where} redirects in a way that cannot be followed ({status})")
    said = said_by(answer.body, secrets)
    advice = _ADVICE.get(status, "look at this source's settings")
    return SourceRefusedError(f"{where} refuses ({status}){f': {said}' if said else ''} — {advice}")


def said_by(body: bytes, secrets: Iterable[str] = ()) -> str:
    """Return what a JSON error body says in words, short and harmless to show; empty where it says nothing."""
    try:
        value = reading.json_value(body[:20_000])
    except ValueError:
        return ""
    found = value
    for key in ("error", "errors", "message", "detail", "error_description", "title"):
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and key in found:
            inner = found[key]
            if isinstance(inner, dict | list) and inner:
                found = inner
            elif isinstance(inner, str):
                found = inner
                break
    if not isinstance(found, str):
        return ""
    return _SAFE.sub(" ", hidden(found, secrets))[:160].strip()


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return the text with stars for every secret in it, also percent-encoded and in base64."""
    forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), _base64(secret))}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _base64(secret: str) -> str:
    return b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")


def place(url: str) -> str:
    """Return host and path of an address: what may be shown of it."""
    try:
        parsed = httpx.URL(url)
        return _SAFE.sub("", f"{parsed.host}{f':{parsed.port}' if parsed.port else ''}{parsed.path}")[:200] or "?"
    except (httpx.InvalidURL, TypeError, ValueError, UnicodeError):
        return "the address"


def _outcome(error: EarshotError) -> str:
    if isinstance(error, RateLimitedError):
        return "limited"
    return "unavailable" if isinstance(error, SourceUnavailableError) else "refused"


def _words(error: Exception) -> str:
    """Say what happened to a connection without repeating an address."""
    text = str(error).lower()
    for sign, words in (
        ("name or service not known", "its name is not known (DNS)"),
        ("nodename nor servname", "its name is not known (DNS)"),
        ("temporary failure in name resolution", "names cannot be looked up (DNS); is this machine online?"),
        ("no address associated", "its name is not known (DNS)"),
        ("certificate", "its certificate is not trusted"),
        ("connection refused", "the connection is refused"),
        ("all connection attempts failed", "no connection can be made; is this machine online?"),
    ):
        if sign in text:
            return words
    return f"the connection breaks ({type(error).__name__})"


def _is_inside(host: str) -> bool:
    """Whether a host is written as an address of this machine or a private network."""
    if host in ("localhost", ""):
        return True
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return host.endswith((".local", ".internal", ".localhost"))
