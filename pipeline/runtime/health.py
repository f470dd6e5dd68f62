"""HTTP of every role: is it alive, is it ready, what does it count.

`/healthz` 200, or 503 with the reasons when a restart would help; `/readyz` 200, or 503 while work cannot be done;
`/metrics` for Prometheus, in the format it asks for; `/sources` what each source is doing and why. The server runs in daemon threads and never writes anything.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.registry import Collector

from pipeline.contract.errors import ConfigError

Check = Callable[[], str | None]
Source = CollectorRegistry | Callable[[], bytes]

PATHS: Final = ("/healthz", "/readyz", "/metrics", "/sources")
IDLE_TIMEOUT: Final = 10.0  # seconds a client may take to send its request
CHILD_TIMEOUT: Final = 2.0  # seconds; below Prometheus' scrape timeout, so that one hanging child hides no other
MAX_PAGE: Final = 16_000_000  # bytes read of one child's metrics


class Health:
    """Named checks. A check returns None when all is well, else the reason, for a person."""

    def __init__(self) -> None:
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self._sources: dict[str, dict[str, str | None]] = {}

    def source(self, name: str, state: str, reason: str | None) -> None:
        """Note what a source is doing, and why in words: a reason is too long and too free for a metric's label."""
        self._sources[name] = {"state": state, "reason": reason}

    def sources(self) -> dict[str, dict[str, str | None]]:
        """Return the last that was noted of each source: `state` and `reason`."""
        return dict(self._sources)

    def alive(self, name: str, check: Check) -> None:
        """Add a check whose failure means that this process must be started again."""
        self._alive[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Add a check whose failure means that work cannot be done at the moment."""
        self._ready[name] = check

    def why_not_alive(self) -> dict[str, str]:
        """Return the reasons by name; empty when alive."""
        return _reasons(self._alive)

    def why_not_ready(self) -> dict[str, str]:
        """Return the reasons by name; empty when ready. What is not alive is not ready."""
        return _reasons(self._alive) | _reasons(self._ready)


def _reasons(checks: Mapping[str, Check]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, check in list(checks.items()):
        try:
            reason = check()
        except Exception as error:
            reason = f"the check itself failed with {type(error).__name__}"
        if reason is not None:
            found[name] = reason
    return found


def end_when_dead(
    health: Health, end: Callable[[Mapping[str, str]], None], *, patience: float = 30.0, every: float = 5.0
) -> threading.Event:
    """Call `end(reasons)` once when `health` has not been alive for `patience` seconds; return the event that stops it.

    Nobody restarts a process that hangs: neither compose nor a supervisor looks at /healthz. So it must end itself.
    """
    stop = threading.Event()

    def watch() -> None:
        bad = 0.0
        while not stop.wait(every):
            reasons = health.why_not_alive()
            bad = bad + every if reasons else 0.0
            if bad >= patience:
                end(reasons)
                return

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
    return stop


class _WithoutCreated(Collector):
    """A registry without the `_created` series, which would double the number of counters for nobody."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def page(registry: CollectorRegistry) -> bytes:
    """Return the registry in Prometheus' text format 0.0.4, as `federate` reads it."""
    return generate_latest(_WithoutCreated(registry))


def _encode(source: Source, accept: str) -> tuple[bytes, str]:
    if not isinstance(source, CollectorRegistry):
        return source(), CONTENT_TYPE_PLAIN_0_0_4
    encode, content_type = choose_encoder(accept)
    return encode(_WithoutCreated(source)), content_type


class _Answers(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._state(self.server.health.why_not_alive())
        elif path == "/readyz":
            self._state(self.server.health.why_not_ready())
        elif path == "/metrics":
            self._metrics()
        elif path == "/sources":
            self._json(200, {"sources": self.server.health.sources()})
        else:
            self._json(404, {"error": "no such page", "pages": PATHS})

    do_HEAD = do_GET  # noqa: N815 - the base class names it

    def _refuse(self) -> None:
        self.close_connection = True  # its body is not read
        self._json(405, {"error": "only GET and HEAD"}, Allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _state(self, reasons: Mapping[str, str]) -> None:
        if reasons:
            self._json(503, {"status": "failing", "reasons": reasons})
        else:
            self._json(200, {"status": "ok"})

    def _metrics(self) -> None:
        try:
            body, content_type = _encode(self.server.source, self.headers.get("Accept", ""))
        except Exception as error:
            self._json(500, {"error": f"the metrics could not be written: {type(error).__name__}"})
            return
        self._send(200, body, content_type)

    def _json(self, status: int, body: Mapping[str, Any], **headers: str) -> None:
        self._send(status, json.dumps(body).encode() + b"\n", "application/json", **headers)

    def _send(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Cache-Control": "no-store", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "earshot"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Log nothing: a probe every few seconds is normal."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # an idle connection must not hold up the end of the process

    def __init__(self, host: str, port: int, health: Health, source: Source) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.health = health
        self.source = source
        super().__init__((host, port), _Answers)

    def server_bind(self) -> None:
        # The base class looks its own name up in DNS here, which may take seconds and is not used.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that go away in the middle of an answer."""


class Server:
    """A running server; also a context manager that closes it."""

    def __init__(self, listener: _Listener) -> None:
        self._listener = listener
        self.port: int = listener.server_port
        host = listener.server_name
        self.address: str = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        self._thread = threading.Thread(
            target=listener.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port. May be called twice."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(timeout=2.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def endpoint(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `:PORT` (loopback), `[IPV6]:PORT`. Raises ConfigError."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--http {text!r} is not an address; write HOST:PORT, such as 127.0.0.1:9477")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def check(host: str, port: int) -> None:
    """Raise ConfigError when this address cannot be used: asked before anything is started that takes long."""
    try:
        _Listener(host, port, Health(), CollectorRegistry()).server_close()
    except OSError as error:
        raise ConfigError(_why_not(host, port, error)) from None


def serve(host: str, port: int, health: Health, registry: Source) -> Server:
    """Answer at this address until the returned server is closed; port 0 takes a free one.

    `registry` is what `/metrics` shows, or a function that returns it in Prometheus' text format. Raises ConfigError
    when the address cannot be used.
    """
    try:
        return Server(_Listener(host, port, health, registry))
    except OSError as error:
        raise ConfigError(_why_not(host, port, error)) from None


def _why_not(host: str, port: int, error: OSError) -> str:
    choose = "choose another address with --http HOST:PORT (port 0 takes a free one)"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use, perhaps by another earshot: end that program, or {choose}"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs rights this user does not have: {choose}"
    return f"cannot listen at {host}:{port} ({error.strerror or error}): {choose}"


def federate(
    children: Iterable[tuple[Mapping[str, str], str]], own: bytes = b"", *, timeout: float = CHILD_TIMEOUT
) -> bytes:
    """Return the metrics of all children as one page, with their labels on each sample (text format 0.0.4).

    `children` are labels (such as role and worker) and the address of /metrics on loopback, all asked at once. `own`
    is a page of the caller's, which gets no labels. A child that does not answer is left out: that it is gone shows
    in `earshot_workers`.
    """
    asked = list(children)
    if not asked:
        return merge([({}, own)])
    with ThreadPoolExecutor(min(len(asked), 32), thread_name_prefix="federate") as pool:
        pages = pool.map(lambda child: _fetch(child[1], timeout), asked)
        return merge([({}, own), *zip((labels for labels, _ in asked), pages, strict=True)])


def _fetch(url: str, timeout: float) -> bytes:
    if not url.startswith("http://"):
        return b""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy
    with contextlib.suppress(OSError, ValueError), opener.open(url, timeout=timeout) as answer:
        body: bytes = answer.read(MAX_PAGE + 1)
        if len(body) <= MAX_PAGE and (not body or body.endswith(b"\n")):
            return body
    return b""


def merge(pages: Iterable[tuple[Mapping[str, str], bytes]]) -> bytes:
    """Return pages in text format 0.0.4 as one: one HELP and TYPE a family, labels added to each sample.

    Label values are escaped; the samples' own labels and values stay as they are written.
    """
    heads: dict[str, dict[str, str]] = {}
    samples: dict[str, list[str]] = {}
    for labels, body in pages:
        added = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
        family = ""
        for line in body.decode("utf-8", "replace").split("\n"):
            if line.startswith(("# HELP ", "# TYPE ")):
                _, word, family, *_ = line.split(" ", 3)
                heads.setdefault(family, {}).setdefault(word, line)
                samples.setdefault(family, [])
            elif line and not line.startswith("#"):
                samples.setdefault(family, []).append(_labelled(line, added) if added else line)
    out = (
        line
        for family, lines in samples.items()
        if lines
        for line in (*(heads.get(family, {}).get(word, "") for word in ("HELP", "TYPE")), *lines)
    )
    return "".join(f"{line}\n" for line in out if line).encode()


def _labelled(line: str, added: str) -> str:
    """Insert labels behind the name, where no value can be mistaken for the end of the labels."""
    name = line.split("{", 1)[0].split(" ", 1)[0]
    rest = line[len(name) :]
    if not rest.startswith("{"):
        return f"{name}{{{added}}}{rest}"
    comma = "" if rest.startswith("{}") else ","
    return f"{name}{{{added}{comma}{rest[1:]}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
