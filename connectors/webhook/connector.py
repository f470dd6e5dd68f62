"""An address to which other programs send mentions: signed as Standard Webhooks says, answered once Kafka has them."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Final

from aiohttp import ClientConnectionError, web
from pydantic import Field, SecretStr, field_validator

from connectors.base import Facts, Listening, Page, Publish, PushConnector, Settings, reveal
from connectors.webhook.body import InvalidBodyError, mentions_of, rows_of
from connectors.webhook.signature import SignatureError, delivery_of, keys_of
from pipeline.config.model import Duration
from pipeline.contract import codec
from pipeline.contract.errors import ConfigError, InvalidMessageError, RetriableError
from pipeline.contract.events import Mention

OUTCOMES: Final = ("accepted", "unsigned", "invalid", "too_large", "slow", "unavailable", "failed")
"""The values of the label `outcome` of earshot_webhook_requests_total."""
RETRY_AFTER: Final = 5  # seconds a sender is asked to wait
READ_TIMEOUT: Final = 30.0  # seconds for a body
COMMIT_TIMEOUT: Final = 20.0  # seconds until a sender is told to come again
MAX_WAITING: Final = 100  # requests at once: each may hold a whole body
CLOSING: Final = 3.0  # seconds that those who are in have left when we stop
PORT_PATIENCE: Final = 10.0  # seconds a port may be taken: by who had this source before


class WebhookSettings(Settings):
    """Where to listen, and who may send."""

    secret: SecretStr
    """The secret senders sign with: whsec_ and base64."""
    previous_secret: SecretStr | None = None
    """The secret before, while senders change over; take it out afterwards."""
    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for all. Put a proxy with TLS in front."""
    port: int = Field(default=9478, ge=0, le=65_535)
    """The port to listen at; 0 takes any that is free."""
    path: str = Field(default="/mentions", pattern=r"^/[A-Za-z0-9._~/-]*$")
    """The path requests are sent to."""
    source: str = Field(default="webhook", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    """The source of mentions that name none."""
    tolerance: Duration = Field(default=300.0, gt=0)
    """How far the time of signing may be from now."""
    max_body: int = Field(default=1_000_000, ge=1_000, le=50_000_000)
    """Bytes that a request may have."""

    @field_validator("secret", "previous_secret")
    @classmethod
    def _is_a_secret(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            try:
                keys_of(given.get_secret_value())
            except ValueError as error:
                advice = """python -c 'import base64, secrets; print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())'"""
                raise ValueError(f"{error}; make one with: {advice}") from None
        return given

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, given: str) -> str:
        if given != "localhost":
            try:
                ipaddress.ip_address(given)
            except ValueError:
                raise ValueError("write an address of this machine, such as 127.0.0.1 or 0.0.0.0") from None
        return given


class Webhook(PushConnector[WebhookSettings]):
    """There is no cursor: what was delivered is remembered by the senders' `webhook-id` and the mentions' ids."""

    name = "webhook"
    settings_type = WebhookSettings
    facts = Facts(
        auth="a secret shared with the sender",
        cursor="none: deliveries seen",
        changes="as the sender says",
        tested="requests over loopback, the standard's own library",
    )
    seen_limit: ClassVar[int] = 2_000

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._waiting = 0

    def _keys(self) -> list[bytes]:
        secrets = (reveal(self.settings.secret), reveal(self.settings.previous_secret))
        return [key for secret in secrets if secret for key in keys_of(secret)]

    async def serve(self, publish: Publish, listening: Listening) -> None:
        for outcome in OUTCOMES:
            self._count(outcome, 0)

        async def answer(request: web.Request) -> web.Response:
            return await self._answer(request, publish)

        app = web.Application(client_max_size=self.settings.max_body)
        app.router.add_post(self.settings.path, answer)
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

    async def _answer(self, request: web.Request, publish: Publish) -> web.Response:
        """Answer one request; whatever is sent, this raises nothing but a lost connection's cancelling."""
        if self._waiting >= MAX_WAITING:
            return self._respond("unavailable", 503, "too many requests at once")
        self._waiting += 1
        try:
            return await self._take(request, publish)
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
            delivery = delivery_of(
                request.headers, body, self._keys(), now=now.timestamp(), tolerance=self.settings.tolerance
            )
        except SignatureError as error:
            return self._respond("unsigned", 401, str(error))
        try:
            mentions = mentions_of(body, now=now, source=self.settings.source)
        except InvalidBodyError as error:
            return self._respond("invalid", 400, "nothing was taken", mistakes=error.mistakes, count=error.count)
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await publish(Page(mentions, delivery=delivery))
        except TimeoutError:  # it may be kept yet; when it comes again it is known by its id
            return self._respond("unavailable", 503, "the mentions are not kept yet; send them again")
        return self._respond("accepted", 200, accepted=len(mentions))

    def _respond(self, outcome: str, status: int, error: str | None = None, **more: Any) -> web.Response:
        self._count(outcome)
        said = {**({"error": error} if error else {}), **more}
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
        response = web.json_response(said, status=status, headers=headers)
        if outcome != "accepted":  # what is left of the body is not waited for
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

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        for _, row in rows_of(body):
            found = cls.attempt(row, now)
            if isinstance(found, Mention):
                yield found

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        if isinstance(row, Exception):
            raise InvalidMessageError(str(row))
        return codec.mention_from_json(row, now=now, source=cls.name)


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} at {host} is taken by another program: end it, or set `port` to another one"
    if error.errno == errno.EACCES:
        return f"port {port} needs rights this user does not have: set `port` to one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: set `host` to 127.0.0.1 or 0.0.0.0"
    return f"port {port} at {host} cannot be listened at ({os.strerror(error.errno or 0)})"
