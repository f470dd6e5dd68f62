"""Being called by a source: an address to listen at, a bounded number of requests, an answer once Kafka has it.

What differs between sources is a connector's own: how a request proves who sent it, what it brings (`taken`), and how
a source makes sure of the address with a GET (`challenge`).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import ipaddress
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, TypeVar

from aiohttp import ClientConnectionError, web
from pydantic import Field, field_validator

from connectors import reading
from connectors.base import Listening, Page, Publish, PushConnector, Settings
from pipeline.contract.errors import ConfigError, RetriableError

OUTCOMES: Final = ("accepted", "unsigned", "invalid", "too_large", "slow", "unavailable", "failed")
"""The values of the label `outcome` of earshot_webhook_requests_total."""
RETRY_AFTER: Final = 5  # seconds a sender is asked to wait
READ_TIMEOUT: Final = 30.0  # seconds for a body
COMMIT_TIMEOUT: Final = 20.0  # seconds until a sender is told to come again
MAX_WAITING: Final = 100  # requests at once: each may hold a whole body
CLOSING: Final = 3.0  # seconds that those who are in have left when we stop
PORT_PATIENCE: Final = 10.0  # seconds a port may be taken: by who had this source before
UNSIGNED: Final = (401, 403)  # statuses for who has not proved to be the source


class NotAcceptedError(Exception):
    """A request that is not taken. The message is for the sender; `more` goes into the answer beside it."""

    def __init__(self, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.more = more


class IgnoredError(Exception):
    """A request whose sender has not proved to be the source, and is not to learn so: answered as one that is taken."""


def is_same(wanted: str, given: str) -> bool:
    """Whether a proof is the wanted one. Takes the same time however much of it is right; no proof is never right."""
    return bool(wanted) and hmac.compare_digest(wanted.encode("utf-8", "replace"), given.encode("utf-8", "replace"))


def delivery_of(body: bytes) -> str:
    """Return what a request is known by when it comes again, where its source gives it no name: its bytes."""
    return f"sha256-{hashlib.sha256(body).hexdigest()}"


def json_of(body: bytes) -> Any:
    """Return what a request holds. Raises NotAcceptedError when it is no JSON."""
    try:
        return reading.json_value(body)
    except ValueError:
        raise NotAcceptedError("the body is no JSON") from None


Port = Annotated[int, Field(ge=0, le=65_535, description="The port to listen at; 0 takes any that is free.")]
Path = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", description="The path requests are sent to.")]


class InboundSettings(Settings):
    """Where to listen. A connector gives `port` and `path` defaults of its own."""

    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for all. Put a proxy with TLS in front."""
    port: Port = 9478
    path: Path = "/mentions"
    max_body: int = Field(default=1_000_000, ge=1_000, le=50_000_000)
    """Bytes that a request may have."""

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, given: str) -> str:
        if given != "localhost":
            try:
                ipaddress.ip_address(given)
            except ValueError:
                raise ValueError("write an address of this machine, such as 127.0.0.1 or 0.0.0.0") from None
        return given


InboundT = TypeVar("InboundT", bound=InboundSettings)


class Inbound(PushConnector[InboundT]):
    """A source that calls us over HTTP."""

    is_named: ClassVar[bool] = False
    """Whether requests also come to addresses right below `path`, whose last part says what each is about."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._waiting = 0

    async def taken(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:
        """Return what a request brings. `headers` are found whatever the case of their names.

        Raises NotAcceptedError, with status 401 or 403 where the sender has not proved to be the source, and
        RetriableError where it is to come again.
        """
        raise NotImplementedError

    async def taken_at(self, name: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:  # noqa: ARG002 - most have one address
        """Return the same of a request to `path` and `name`, which is empty at `path` itself."""
        return await self.taken(headers, body, now)

    def challenge(self, query: Mapping[str, str]) -> str:
        """Return what to answer to a GET with which a source makes sure of the address; an object in JSON goes as JSON.

        Raises NotAcceptedError.
        """
        raise NotImplementedError

    def challenge_at(self, name: str, query: Mapping[str, str]) -> str:  # noqa: ARG002 - most have one address
        """Return the same of a GET to `path` and `name`."""
        return self.challenge(query)

    def receipt(self, page: Page) -> dict[str, Any]:
        """Return what a sender is told of what was taken."""
        return {"accepted": len(page.mentions)}

    async def serve(self, publish: Publish, listening: Listening) -> None:
        for outcome in OUTCOMES:
            self._count(outcome, 0)

        async def answer(request: web.Request) -> web.Response:
            return await self._answer(request, publish)

        app = web.Application(client_max_size=self.settings.max_body)
        paths = [self.settings.path, *([f"{self.settings.path.rstrip('/')}/{{name}}"] if self.is_named else [])]
        for path in paths:
            app.router.add_post(path, answer)
            if self._is_challenged:
                app.router.add_get(path, self._meet, allow_head=False)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING)
        await runner.setup()
        try:
            await self._bind(runner)
            host, port = runner.addresses[0][:2]
            listening(f"http://{f'[{host}]' if ':' in host else host}:{port}{self.settings.path}")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            await asyncio.sleep(0)  # what was closed is gone in the loop's next turn

    @property
    def _is_challenged(self) -> bool:
        kind = type(self)
        return kind.challenge is not Inbound.challenge or kind.challenge_at is not Inbound.challenge_at

    async def _bind(self, runner: web.AppRunner) -> None:
        """Begin to accept requests. Raises ConfigError when the address cannot be had."""
        host, port = self.settings.host, self.settings.port
        until = asyncio.get_running_loop().time() + PORT_PATIENCE
        while True:
            site = web.TCPSite(runner, host, port)
            try:
                await site.start()
                return
            except OSError as error:
                await site.stop()
                if error.errno == errno.EADDRINUSE and asyncio.get_running_loop().time() < until:
                    await asyncio.sleep(0.2)
                    continue
                raise ConfigError(f"sources.{self.instance}: {_advice(error, host, port)}") from None

    async def _meet(self, request: web.Request) -> web.Response:
        try:
            text = self.challenge_at(request.match_info.get("name", ""), request.query)
            kind = "application/json" if text.startswith("{") else "text/plain"
            return web.Response(text=text, content_type=kind)
        except NotAcceptedError as error:
            return self._respond("unsigned", error.status, str(error))

    async def _answer(self, request: web.Request, publish: Publish) -> web.Response:
        """Answer one request; whatever is sent, this raises nothing but a lost connection's cancelling."""
        if self._waiting >= MAX_WAITING:
            return self._respond("unavailable", 503, "too many requests at once")
        self._waiting += 1
        try:
            return await self._take(request, publish)
        except NotAcceptedError as error:
            outcome = "unsigned" if error.status in UNSIGNED else "invalid"
            return self._respond(outcome, error.status, str(error), **error.more)
        except IgnoredError:
            return self._respond("unsigned", 200, **self.receipt(Page()))
        except RetriableError:
            return self._respond("unavailable", 503, "the mentions cannot be kept now; send them again")
        except (ClientConnectionError, ConnectionError):
            return self._respond("slow", 400, "the connection broke before the body was complete")
        except web.HTTPRequestEntityTooLarge:
            return self._respond("too_large", 413, f"at most {self.settings.max_body} bytes; send smaller batches")
        except web.RequestPayloadError:
            return self._respond("invalid", 400, "the body is not what Content-Encoding or Content-Length say")
        except web.HTTPException as error:
            return self._respond("invalid", error.status, error.reason or "not accepted")
        except Exception:
            return self._respond("failed", 500, "an error in earshot")
        finally:
            self._waiting -= 1

    async def _take(self, request: web.Request, publish: Publish) -> web.Response:
        now = self.clock()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                body = await request.read()
        except TimeoutError:
            return self._respond("slow", 408, f"the body took longer than {READ_TIMEOUT:g} s")
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                page = await self.taken_at(request.match_info.get("name", ""), request.headers, body, now)
                await publish(page)
        except TimeoutError:  # it may be kept yet; when it comes again it is known by its id
            return self._respond("unavailable", 503, "the mentions are not kept yet; send them again")
        return self._respond("accepted", 200, **self.receipt(page))

    def _respond(self, outcome: str, status: int, error: str | None = None, **more: Any) -> web.Response:
        self._count(outcome)
        said = {**({"error": error} if error else {}), **more}
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
        response = web.json_response(said, status=status, headers=headers)
        if status != 200:  # what is left of the body is not waited for
            response.force_close()
        return response

    def _count(self, outcome: str, by: int = 1) -> None:
        if self.http.metrics is not None:
            self.http.metrics.webhook_requests.labels(self.instance, outcome).inc(by)

    async def check(self) -> str:
        host, port = self.settings.host, self.settings.port
        runner = web.AppRunner(web.Application())
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {port} at {host} is taken: by this source, if it is running"
            raise ConfigError(f"sources.{self.instance}: {_advice(error, host, port)}") from None
        finally:
            await runner.cleanup()
        return f"port {port} at {host} is free to listen at"


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} at {host} is taken by another program: end it, or set `port` to another one"
    if error.errno == errno.EACCES:
        return f"port {port} needs rights this user does not have: set `port` to one above 1023"
    if error.errno in (errno.EADDRNOTAVAIL, None):  # CPython 3.13 says so without a number
        return f"{host} is no address of this machine: set `host` to 127.0.0.1 or 0.0.0.0"
    return f"port {port} at {host} cannot be listened at ({os.strerror(error.errno or 0)})"
