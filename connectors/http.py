"""The one way to ask a source: who we are, our turn, timeouts, a User-Agent with a contact, limits on bodies.

What an answer means, and which error it raises, is in `connectors.answers`.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import httpx
from pydantic import SecretStr

from connectors import pacing
from connectors.account import Account
from connectors.answers import (
    SAFE,
    Answer,
    CredentialError,
    Meaning,
    UnavailableError,
    as_json,
    error_for,
    hidden,
    place,
    said_by,
    without,
)
from connectors.auth import Signed
from connectors.bodies import Inflate, is_inside, words
from connectors.limits import REQUESTS, Cost
from connectors.tokens import Token
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.metrics import Metrics

__all__ = [
    "Answer",
    "Http",
    "Meaning",
    "UnavailableError",
    "as_json",
    "error_for",
    "hidden",
    "make_client",
    "place",
    "said_by",
    "user_agent",
]

TIMEOUT: Final = httpx.Timeout(10.0, read=30.0)
TOTAL_TIMEOUT: Final = 60.0  # of one request with its redirects: a source that sends a byte a second is not waited for
MAX_BODY: Final = 20_000_000  # bytes, after decompression
MAX_REDIRECTS: Final = 4
PATIENCE: Final = 600.0  # seconds that a request waits for its turn; what takes longer is the runner's to wait for
DEFAULT_HOLD: Final = 30.0  # seconds for which nobody asks a place that has asked to wait without saying how long
HOMEPAGE: Final = "https://github.com/earshot/earshot"

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SAME_METHOD: Final = (307, 308)


def user_agent(contact: str | None) -> str:
    """Return our User-Agent: who asks, and how to reach whoever runs it."""
    try:
        number = version("earshot")
    except PackageNotFoundError:
        number = "0"
    return f"earshot/{number} (+{SAFE.sub('', contact) if contact else HOMEPAGE})"


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
    """One connector's requests. What it shares with others of the same credential is its `account`."""

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
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.client = client
        self.account = Account(connector, clock=clock)
        self.judge: Callable[[Answer], EarshotError | None] = lambda _: None
        self.on_wait: Callable[[float, str], None] = lambda _seconds, _why: None
        self.max_body = max_body
        self.metrics = metrics
        self._connector = connector
        self._clock = clock
        self._secrets = [secret.get_secret_value() for secret in secrets]
        self._total_timeout = total_timeout
        self._wait = wait
        self._keys: dict[str, None] = {"": None}  # places it has asked, the last one at the end

    @property
    def quota(self) -> pacing.Quota | None:
        """Return what is left of the tightest rate limit among those the places it asks have told of."""
        now = self._clock()
        told = [quota for key in self._keys if (quota := self.account.quota(key)) is not None]
        valid = [quota for quota in told if quota.reset_at > now]
        if not valid:
            return told[-1] if told else None
        return min(valid, key=lambda one: (-pacing.allowed_in(one, now), 1.0 if one.share is None else one.share))

    @quota.setter
    def quota(self, value: pacing.Quota | None) -> None:
        self.account.told("", value)

    async def get_json(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """Return the answer to a GET with its JSON in `json`. `more` is what `request` takes; raises what it raises."""
        given = {"Accept": "application/json", **(headers or {})}
        answer = await self.request("GET", url, params=params, headers=given, **more)
        hide = [*self._secrets, *self.account.secrets]
        return answer if answer.is_unchanged else replace(answer, json=as_json(answer, hide))

    async def get_bytes(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        **more: Any,
    ) -> Answer:
        """Return the answer to a GET; with `etag` or `last_modified` it may be 304. Raises what `request` raises."""
        given = dict(headers or {})
        if etag:
            given["If-None-Match"] = etag
        if last_modified:
            given["If-Modified-Since"] = last_modified
        return await self.request("GET", url, params=params, headers=given, **more)

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        content: bytes | None = None,
        meaning: Meaning | None = None,
        cost: Cost | None = None,
        bucket: str = "",
        anonymous: bool = False,
        resends: bool = False,
    ) -> Answer:
        """Return the answer to any request.

        It carries the account's credential unless it is `anonymous`, and waits for its turn under the account's limits,
        of which it uses `cost` besides one request; `bucket` names a limit of its own. With `resends` its body may go on to
        where a 307 or 308 says; else redirects of a GET alone are followed. Raises what `meaning`, the
        connector's `judge` or the table in `connectors.answers` say, RateLimitedError when its turn is far off, and
        BrokerUnavailableError when what it uses cannot be written down.
        """
        key = _key(url, bucket)
        self._keys.pop(key, None)
        self._keys[key] = None
        is_renewed = False
        while True:
            signed = Signed() if anonymous else await self.account.signed(self.post)
            uses = {REQUESTS: 1.0, **(cost or {})}
            await self._until_our_turn(url, key, uses, bucket)
            try:
                return await self._asked(
                    *(method, url, signed, meaning, _Place(key, bucket, uses)),
                    params=params,
                    headers=headers,
                    json=json,
                    data=data,
                    content=content,
                    resends=resends,
                )
            except RateLimitedError as error:
                self.account.hold(DEFAULT_HOLD if error.retry_after is None else error.retry_after, key)
                raise
            except UnavailableError as error:
                if error.retry_after:
                    self.account.hold(error.retry_after, key)
                raise
            except _NotLetInError as error:
                if is_renewed or error.token is None:
                    raise SourceRefusedError(str(error)) from None
                self.account.spoil(error.token)
                is_renewed = True

    def _shown(self, url: str) -> str:
        """Return what may be shown of an address: in some the credential is a part of the path."""
        return hidden(place(url), [*self._secrets, *self.account.secrets])

    async def post(self, url: str, *, method: str = "POST", **given: Any) -> Answer:
        """Ask for a token: without credentials, outside the limits. Raises what is retriable, returns other answers."""
        return await self._asked(method, url, Signed(), None, None, **given)

    def refund(self, cost: Cost, bucket: str = "") -> None:
        """Give back what a request was said to cost and did not."""
        self.account.ledger.refund(cost, bucket)

    def hold(self, seconds: float, bucket: str = "") -> None:
        """Ask nothing for so long, in a bucket or at all, and neither do others with the same credential."""
        self.account.hold(seconds, bucket)

    async def _until_our_turn(self, url: str, key: str, cost: Cost, bucket: str) -> None:
        waited, has_waited = 0.0, False
        while True:
            turn = await self.account.turn(key, cost, bucket, has_waited=has_waited)
            if not turn.seconds:
                return
            if turn.seconds == float("inf"):
                raise SourceRefusedError(
                    f"{self._shown(url)} is not asked: {turn.why} — raise the limit in the settings"
                )
            if waited + turn.seconds > PATIENCE:
                raise RateLimitedError(f"{self._shown(url)} is not asked now: {turn.why}", turn.seconds)
            self.on_wait(turn.seconds, f"{self._shown(url)}: {turn.why}")
            await self._wait(turn.seconds)
            waited += turn.seconds
            has_waited = has_waited or not turn.is_ours

    async def _asked(
        self, method: str, url: str, signed: Signed, meaning: Meaning | None, where: _Place | None, **given: Any
    ) -> Answer:
        """Ask once, and count how it went. Without a place, for a token, a refusal is an answer as any other."""
        began, outcome, left = time.monotonic(), "unreachable", None
        if signed.headers:
            given["headers"] = {**(given.get("headers") or {}), **signed.headers}
        if signed.params:
            given["params"] = {**(given.get("params") or {}), **signed.params}
        try:
            async with asyncio.timeout(self._total_timeout):
                answer = await self._follow(method, url, where, **given)
            if signed.params:
                answer = replace(answer, url=without(answer.url, signed.params))
            left = pacing.quota(answer.headers, self._clock())
            outcome = "ok"
            error = self._meant(answer, meaning)
            if error is not None:
                outcome = _outcome(error)
                is_credential = isinstance(error, CredentialError) or answer.status == 401
                if where is not None and is_credential and isinstance(error, SourceRefusedError):
                    raise _NotLetInError(str(error), signed.token)
                if where is not None or not isinstance(error, SourceRefusedError):
                    raise error
            return answer
        except TimeoutError:
            raise SourceUnavailableError(f"{self._shown(url)} takes longer than {self._total_timeout:g} s") from None
        except httpx.TimeoutException:
            raise SourceUnavailableError(f"{self._shown(url)} does not answer in time") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise SourceRefusedError(f"{self._shown(url)} is no address that can be asked; write https://…") from None
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"{self._shown(url)} cannot be reached: {words(error)}") from None
        finally:
            if where is not None:
                self.account.ended(where.key, where.uses, where.bucket, left)
            if self.metrics is not None:
                self.metrics.source_requests.labels(self._connector, outcome).inc()
                self.metrics.source_request_seconds.labels(self._connector).observe(time.monotonic() - began)

    def _meant(self, answer: Answer, meaning: Meaning | None) -> EarshotError | None:
        now = self._clock()
        error = meaning(answer, now) if meaning is not None else None
        return error or self.judge(answer) or error_for(answer, now, [*self._secrets, *self.account.secrets])

    async def _follow(
        self, method: str, url: str, where: _Place | None, *, resends: bool = False, **given: Any
    ) -> Answer:
        """Follow redirects: never from https to http, never inwards, without our headers elsewhere."""
        followed = _REDIRECTS if method == "GET" else _SAME_METHOD if resends else ()
        permanent = True
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._once(method, url, **given)
            target = answer.headers.get("location")
            if answer.status not in followed or not target:
                return Answer(answer.status, answer.headers, answer.body, answer.url, url if permanent and _ else None)
            permanent = permanent and answer.status in (301, 308)
            old = httpx.URL(answer.url)
            try:
                new = old.join(target)
            except (httpx.InvalidURL, ValueError):
                raise SourceUnavailableError(f"{self._shown(url)} redirects to what is no address") from None
            if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
                raise SourceRefusedError(f"{self._shown(url)} redirects to {new.scheme}, which is not followed")
            if is_inside(new.host) and not is_inside(old.host):
                raise SourceRefusedError(f"{self._shown(url)} redirects into the local network, which is not followed")
            if where is not None:  # the place it leads to counts it too
                seconds, limit = await self.account.ledger.take({REQUESTS: 1.0}, where.bucket)
                if limit is not None:
                    shown = self._shown(url)
                    raise RateLimitedError(f"{shown} redirects, and {limit.most:g} requests are used up", seconds)
                self.account.ledger.ended({REQUESTS: 1.0}, where.bucket)
            given["params"] = None
            if (new.scheme, new.host, new.port) != (old.scheme, old.host, old.port):
                given["headers"] = None
            url = str(new)
        raise SourceUnavailableError(f"{self._shown(url)} redirects more than {MAX_REDIRECTS} times")

    async def _once(self, method: str, url: str, **given: Any) -> Answer:
        given = {key: value for key, value in given.items() if value is not None}
        request = self.client.build_request(method, url, **given)
        try:
            response = await self.client.send(request, stream=True)
        except httpx.InvalidURL:  # httpx looks at where an answer redirects to, although it is not to go there
            raise SourceUnavailableError(f"{self._shown(url)} redirects to what is no address") from None
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
            raise SourceUnavailableError(f"{self._shown(str(response.url))} compresses in a way that was not asked for")
        inflate = Inflate() if encoding not in ("", "identity") else None
        size = 0
        async for raw in response.aiter_raw():
            part = raw
            if inflate is not None:
                try:
                    part = inflate.some(raw, self.max_body - size + 1)
                except zlib.error:
                    raise SourceUnavailableError(f"{self._shown(str(response.url))} sends broken compression") from None
            size += len(part)
            if size > self.max_body:
                raise SourceUnavailableError(f"{self._shown(str(response.url))} sends more than {self.max_body} bytes")
            yield part
        if inflate is not None and not inflate.is_whole:
            raise SourceUnavailableError(f"{self._shown(str(response.url))} breaks off in the middle of its answer")


def _outcome(error: EarshotError) -> str:
    if isinstance(error, RateLimitedError):
        return "limited"
    return "unavailable" if isinstance(error, SourceUnavailableError) else "refused"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request goes, as limits know it."""

    key: str
    bucket: str
    uses: Cost


class _NotLetInError(Exception):
    """401: the credential is not taken, or not any more."""

    def __init__(self, message: str, token: Token | None) -> None:
        super().__init__(message)
        self.token = token


def _key(url: str, bucket: str) -> str:
    """Return under which name a place's rate limit is kept: its host, and the bucket."""
    try:
        parsed = httpx.URL(url)
        return f"{parsed.host}:{parsed.port or ''}/{bucket}"
    except (httpx.InvalidURL, TypeError, ValueError, UnicodeError):
        return f"/{bucket}"
