"""Feedback over HTTP: signed as Standard Webhooks says, answered once Kafka has it.

One object, a list, or one a line; all of it is taken, or nothing. The server has a thread of its own; what it accepts
is learned by whichever worker learns. A delivery that comes again, by its `webhook-id`, is answered again and not
written twice; and the same word by the same person about the same mention counts once anyway.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiohttp import ClientConnectionError, web

from connectors.webhook.body import rows_of
from connectors.webhook.signature import SignatureError, delivery_of, keys_of
from pipeline.config.model import Config, FeedbackWebhook
from pipeline.config.secrets import resolve
from pipeline.contract.errors import BrokerUnavailableError, ConfigError, InvalidMessageError
from pipeline.contract.events import Feedback
from pipeline.contract.feedback import feedback_from_json
from pipeline.contract.metrics import Metrics
from pipeline.runtime.learning.giving import Giver
from pipeline.topology import REVIEW

OUTCOMES: Final = ("accepted", "repeated", "unsigned", "invalid", "too_large", "slow", "unavailable", "failed")
"""The values of the label `outcome` of earshot_feedback_requests_total."""
SOURCE: Final = "/earshot/feedback/webhook"
READ_TIMEOUT: Final = 30.0  # seconds for a body
RETRY_AFTER: Final = 5  # seconds a sender is asked to wait
MAX_WAITING: Final = 50  # requests at once: each may hold a whole body
MAX_NAMED: Final = 20  # mistakes that are named in one answer
MAX_MANY: Final = 1000  # feedbacks in one request
SEEN: Final = 10_000  # deliveries that are known when they come again
CLOSING: Final = 3.0
PORT_PATIENCE: Final = 10.0  # seconds a port may be taken: by who had it before

Answer = tuple[str, int, dict[str, Any]]
Give = Callable[[Sequence[Feedback], str], None]
"""Returns when Kafka has them; raises BrokerUnavailableError."""

log = structlog.get_logger(__name__)


class _RefusedError(Exception):
    """A request that is not taken. The message is for the sender."""

    def __init__(self, outcome: str, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.outcome, self.status, self.more = outcome, status, more


class FeedbackServer:
    """The endpoint. `start()` returns when it listens; raises ConfigError when it cannot, or when a secret is wrong.

    `give` and `clock` are for tests.
    """

    def __init__(
        self,
        settings: FeedbackWebhook,
        config: Config,
        client: Mapping[str, Any],
        metrics: Metrics,
        *,
        give: Give | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._departments = frozenset((*config.departments, REVIEW))
        self._metrics = metrics
        self._keys = _keys(settings)
        self._giver = None if give is not None else Giver(client, SOURCE)
        self._give: Give = give if give is not None else self._giver.give  # type: ignore[union-attr]
        self._clock = clock
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._waiting = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._writing = concurrent.futures.ThreadPoolExecutor(8, "feedback")
        self.url = ""
        for outcome in OUTCOMES:
            metrics.feedback_requests.labels(outcome)

    def start(self) -> None:
        """Listen."""
        began: concurrent.futures.Future[str] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(began,), name="feedback", daemon=True)
        self._thread.start()
        self.url = began.result(PORT_PATIENCE + 10)

    def close(self) -> None:
        """Let nobody in any more, finish what is in, and end."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(CLOSING + 2)
        self._writing.shutdown(wait=False)
        if self._giver is not None:
            self._giver.close()

    def _run(self, began: concurrent.futures.Future[str]) -> None:
        try:
            self._loop.run_until_complete(self._serve(began))
        except BaseException as error:
            if not began.done():
                began.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self, began: concurrent.futures.Future[str]) -> None:
        app = web.Application(client_max_size=self._settings.max_body)
        app.router.add_post(self._settings.path, self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING)
        await runner.setup()
        try:
            await self._bind(runner)
            host, port = runner.addresses[0][:2]
            began.set_result(f"http://{f'[{host}]' if ':' in host else host}:{port}{self._settings.path}")
            await self._stop.wait()
        finally:
            await runner.cleanup()

    async def _bind(self, runner: web.AppRunner) -> None:
        host, port = self._settings.host, self._settings.port
        until = time.monotonic() + PORT_PATIENCE
        while True:
            site = web.TCPSite(runner, host, port)
            try:
                await site.start()
                return
            except OSError as error:
                if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                    await asyncio.sleep(0.2)
                    continue
                raise ConfigError(
                    f"learning.webhook: {host}:{port} cannot be listened at ({error.strerror}): end the program that "
                    "has it, or set `port` to another one; of several learning workers on one machine only one can"
                ) from None

    # ---------------------------------------------------------------------------------------------- one request

    async def _answer(self, request: web.Request) -> web.Response:
        """Answer one request; whatever is sent, this raises nothing but a lost connection's cancelling."""
        if self._waiting >= MAX_WAITING:
            return self._respond("unavailable", 503, error="too many requests at once")
        self._waiting += 1
        try:
            outcome, status, said = await self._take(request)
            return self._respond(outcome, status, **said)
        except _RefusedError as error:
            return self._respond(error.outcome, error.status, error=str(error), **error.more)
        except BrokerUnavailableError:
            return self._respond("unavailable", 503, error="the feedback cannot be kept now; send it again")
        except (ClientConnectionError, ConnectionError):
            return self._respond("slow", 400, error="the connection broke before the body was complete")
        except web.HTTPRequestEntityTooLarge:
            most = self._settings.max_body
            return self._respond("too_large", 413, error=f"at most {most} bytes; send smaller batches")
        except web.RequestPayloadError:
            return self._respond("invalid", 400, error="the body is not what its headers say")
        except web.HTTPException as error:
            return self._respond("invalid", error.status, error=error.reason or "not accepted")
        except Exception as error:
            log.error("feedback failed", error=type(error).__name__)
            return self._respond("failed", 500, error="an error in earshot")
        finally:
            self._waiting -= 1

    async def _take(self, request: web.Request) -> Answer:
        now = self._clock()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                body = await request.read()
        except TimeoutError:
            raise _RefusedError("slow", 408, f"the body took longer than {READ_TIMEOUT:g} s") from None
        try:
            delivery = delivery_of(
                request.headers, body, self._keys, now=now.timestamp(), tolerance=self._settings.tolerance
            )
        except SignatureError as error:
            raise _RefusedError("unsigned", 401, str(error)) from None
        found = self._read(body, now)
        if delivery in self._seen:
            return "repeated", 200, {"accepted": len(found), "repeated": True}
        await self._loop.run_in_executor(self._writing, self._give, found, delivery)
        self._seen[delivery] = None
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return "accepted", 200, {"accepted": len(found)}

    def _read(self, body: bytes, now: datetime) -> list[Feedback]:
        found: list[Feedback] = []
        mistakes: list[str] = []
        count = 0
        for number, (place, row) in enumerate(rows_of(body)):
            if number >= MAX_MANY:
                raise _RefusedError("too_large", 413, f"at most {MAX_MANY} in one request; send smaller batches")
            try:
                found.append(self._one(row, now))
            except InvalidMessageError as error:
                count += 1
                if len(mistakes) < MAX_NAMED:
                    mistakes.append(f"{place.replace('mention ', 'feedback ')}{error}")
        if count:
            raise _RefusedError("invalid", 400, "nothing was taken", mistakes=mistakes, count=count)
        return found

    def _one(self, row: Any, now: datetime) -> Feedback:
        if isinstance(row, Exception):
            raise InvalidMessageError(str(row))
        try:
            feedback = feedback_from_json(row, now=now)
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise InvalidMessageError(f"not readable ({type(error).__name__})") from None
        if feedback.department is not None and feedback.department not in self._departments:
            known = ", ".join(sorted(self._departments))
            raise InvalidMessageError(f"`department` is none of {known}")
        return feedback

    def _respond(self, outcome: str, status: int, **said: Any) -> web.Response:
        self._metrics.feedback_requests.labels(outcome).inc()
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
        response = web.json_response(said, status=status, headers=headers)
        if outcome not in ("accepted", "repeated"):  # what is left of the body is not waited for
            response.force_close()
        return response


def _keys(settings: FeedbackWebhook) -> list[bytes]:
    """Return the keys that a sender may sign with. Raises ConfigError that says how to make one."""
    keys: list[bytes] = []
    for name, secret in (("secret", settings.secret), ("previous_secret", settings.previous_secret)):
        if secret is not None:
            where = f"learning.webhook.{name}"
            try:
                keys.extend(keys_of(resolve(secret, where=where).get_secret_value()))
            except ValueError as error:
                advice = """python -c 'import base64, secrets; print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())'"""
                raise ConfigError(f"{where}: {error}; make one with: {advice}") from None
    return keys
