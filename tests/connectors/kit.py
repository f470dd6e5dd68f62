"""What tests of connectors share: an example of each, a source that answers as told, a clock that stands still."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors import registry
from connectors.base import Connector, PollingConnector, PushConnector, StreamingConnector, read_settings, secrets_of
from connectors.http import Http, make_client
from connectors.publisher import MemoryLog, MemoryPublisher
from connectors.runner import Runner
from pipeline.contract.metrics import Metrics

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECRET = "s3cr3t-of-the-test"


def clock() -> datetime:
    return NOW


async def no_time(seconds: float) -> None:
    """Wait as requests do for their turn, without the time."""


def folder_of(kind: type[Connector[Any]]) -> Path:
    return Path(inspect.getfile(kind)).parent


def all_kinds(extra: Iterable[str] = ("template",)) -> list[type[Connector[Any]]]:
    return [registry.find(name) for name in (*registry.names(), *extra)]


def kinds(form: type, *, over_http: bool | None = None) -> list[type[Connector[Any]]]:
    found = [kind for kind in all_kinds() if issubclass(kind, form)]
    return found if over_http is None else [kind for kind in found if asks_over_http(kind) is over_http]


def asks_over_http(kind: type[Connector[Any]]) -> bool:
    return issubclass(kind, PollingConnector) and "self.http" in inspect.getsource(inspect.getmodule(kind))


def example(kind: type[Connector[Any]], name: str) -> Path:
    return next(folder_of(kind).glob(f"example/{name}.*"))


@cache
def made(what: str) -> str:
    """A secret of the kind that an example's settings ask for: `{"env": …, "made": "service-account"}`."""
    if what == "word":
        return SECRET
    key = ec.generate_private_key(ec.SECP256R1()) if what == "private-key" else rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    if what == "private-key":
        return pem
    account = {"client_email": "earshot@example.org", "private_key": pem, "token_uri": "https://example.org/token"}
    return json.dumps(account)


def settings(kind: type[Connector[Any]], page: Path | None = None, **changes: Any) -> Any:
    """The example's settings; every secret it names is SECRET."""
    text = example(kind, "settings").read_text().replace("{page}", str(page or example(kind, "page")))
    given = {**json.loads(text), **changes}
    for value in given.values():
        if isinstance(value, dict) and "env" in value:
            os.environ[value["env"]] = made(value.pop("made", "word"))
    return read_settings(kind.settings_type, "example", given)


Answer = Callable[[httpx.Request], httpx.Response]


TOKEN_PATHS = ("/token", "/accessToken", "/access_token", "/com.atproto.server.createSession")


def with_tokens(answer: Answer) -> Answer:
    """The same source, with a token endpoint that gives whoever asks a token of an hour."""

    def answered(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.rstrip("/").endswith(TOKEN_PATHS):
            given = {"access_token": "token-of-the-test", "expires_in": 3600, "accessJwt": "token-of-the-test"}
            return httpx.Response(200, json=given)
        return answer(request)

    return answered


def answering(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return lambda request: httpx.Response(status, content=body, headers=headers or {}, request=request)


def make(
    kind: type[Connector[Any]],
    answer: Answer | None = None,
    *,
    given: Any = None,
    metrics: Metrics | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    page: Path | None = None,
    **changes: Any,
) -> Connector[Any]:
    if answer is not None:
        transport = httpx.MockTransport(with_tokens(answer))
    elif issubclass(kind, StreamingConnector):
        once = httpx.Limits(max_keepalive_connections=0)  # nobody closes the client
        transport = transport or httpx.AsyncHTTPTransport(limits=once)
    found = given if given is not None else settings(kind, page, **changes)
    client = make_client("ops@example.org", transport or httpx.MockTransport(refuse))
    http = Http(client, connector="example", metrics=metrics, clock=clock, secrets=secrets_of(found), wait=no_time)
    return kind("example", found, http, clock)


def refuse(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"nobody should have asked {request.url}")


class Steps:
    """Waits that take no time; ends the runner after so many."""

    class End(BaseException):
        pass

    def __init__(self, count: int) -> None:
        self.count = count
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)
        if len(self.waited) >= self.count:
            raise Steps.End


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def bind(self, **_: Any) -> Lines:
        return self

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **facts: self.lines.append((level, event, facts))


async def run(
    connector: Connector[Any], steps: int, *, log: MemoryLog | None = None, lines: Lines | None = None, **more: Any
) -> tuple[Steps, list[tuple[str, str | None]]]:
    """Run a connector for so many waits; return them and the states it went through."""
    wait, states = Steps(steps), []
    runner = Runner(
        connector,
        MemoryPublisher(connector.instance, log or MemoryLog()),
        more.pop("metrics", None) or Metrics(),
        on_state=lambda _, state, reason: states.append((state, reason)),
        clock=clock,
        chance=lambda: 0.5,
        wait=wait,
        log=lines or Lines(),
        **more,
    )
    with contextlib.suppress(Steps.End):
        await runner.run()
    return wait, states


FORMS = (PollingConnector, StreamingConnector, PushConnector)


def reveal_all(kind: type[Connector[Any]]) -> list[str]:
    return [secret.get_secret_value() for secret in secrets_of(settings(kind))]
