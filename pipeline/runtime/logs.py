"""Logging: JSON lines, or readable lines on a terminal; secrets, texts and authors never get through.

Everything goes through here: structlog, and the standard library's logging that aiokafka, Faust and librdkafka
(`Consumer(…, logger=librdkafka())`) use. A line has `at` (UTC), `level`, `logger`, `event` and its facts.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, MutableMapping
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Final, TextIO

import structlog

from pipeline.contract.errors import ConfigError

LEVEL: Final = "EARSHOT_LOG"  # environment variable with the level
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

PERSONAL: Final = frozenset({"text", "title", "author", "handle", "name", "body"})
REMOVED: Final = "[removed]"
CENSORED: Final = "[censored]"

# Libraries that tell how they are doing at `info`: heard from `warning` on, or at `info` when we are at `debug`.
_TALKATIVE: Final = ("aiokafka", "apprise", "asyncio", "faust", "librdkafka", "mode", "jgo")
_KAFKA_CLIENTS: Final = ("librdkafka", "aiokafka")
# These log whole addresses, tokens in the query included, at `info`.
_INDISCREET: Final = ("httpx", "httpcore", "urllib3", "websockets", "aiohttp")

_KAFKA_PASSWORD: Final = "EARSHOT_KAFKA_SASL_PASSWORD"  # noqa: S105 - the variable's name
_MIN_SECRET: Final = 4  # shorter values would censor every line and protect nothing
_USERINFO: Final = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_AUTHORIZATION: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN: Final = (bool, int, float, type(None), datetime, date, timedelta)
_DEEPEST: Final = 6

Event = MutableMapping[str, Any]


class Secrets:
    """Values that must not appear in a log line, in any form a library may write them in."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, *values: object) -> None:
        """Remember secret values: strings, or pydantic's `SecretStr`. None and very short ones are left out."""
        forms: set[str] = set()
        for value in values:
            reveal = getattr(value, "get_secret_value", None)
            plain = reveal() if callable(reveal) else value
            if isinstance(plain, str) and len(plain) >= _MIN_SECRET:
                forms |= {plain, urllib.parse.quote(plain, safe=""), urllib.parse.quote_plus(plain), repr(plain)[1:-1]}
        with self._lock:
            self._known |= forms
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def censor(self, text: str) -> str:
        """Return the text with known secrets, passwords in addresses and authorization values replaced."""
        if self._pattern is not None:
            text = self._pattern.sub(CENSORED, text)
        return _AUTHORIZATION.sub(rf"\1 {CENSORED}", _USERINFO.sub(CENSORED, text))


def secrets_in(settings: object, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the secret values that settings name as `{env: NAME}` or `{file: PATH}`, and Kafka's own password.

    `settings` is plain data or a pydantic model. What is not set or cannot be read is left out: whoever needs it says
    so, with advice.
    """
    found: list[str] = []

    def read(path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return ""

    def walk(value: object) -> None:
        dump = getattr(value, "model_dump", None)
        value = dump() if callable(dump) else value
        if isinstance(value, Mapping):
            if isinstance(value.get("env"), str):
                found.append(environment.get(value["env"], ""))
            if isinstance(value.get("file"), str):
                found.append(read(value["file"]))
            for inner in value.values():
                walk(inner)
        elif isinstance(value, (list, tuple)):
            for inner in value:
                walk(inner)

    walk(settings)
    found.append(environment.get(_KAFKA_PASSWORD, ""))
    found.append(read(environment.get(f"{_KAFKA_PASSWORD}_FILE", "")))
    return [value for value in found if value]


def guard(secrets: Secrets) -> Callable[[Any, str, Event], Event]:
    """Return the structlog step that lets plain facts through and nothing personal or secret.

    Personal keys keep their place with a marker. Objects are named by their type only: the `repr` of an event or a
    setting would carry what the keys keep out.
    """

    def clean(value: object, depth: int) -> object:
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, str):
            return secrets.censor(value)
        if isinstance(value, bytes):
            return f"[{len(value)} bytes]"
        if isinstance(value, PurePath):
            return secrets.censor(str(value))
        if isinstance(value, BaseException):
            return secrets.censor(f"{type(value).__name__}: {value}")
        if depth >= _DEEPEST:
            return "[…]"
        if isinstance(value, Mapping):
            return {
                str(key): REMOVED if str(key).lower() in PERSONAL else clean(inner, depth + 1)
                for key, inner in value.items()
            }
        if isinstance(value, (set, frozenset)):
            return sorted((clean(inner, depth + 1) for inner in value), key=str)
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            return [clean(inner, depth + 1) for inner in value]
        return f"[{type(value).__name__}]"

    def step(_: Any, __: str, event: Event) -> Event:
        for key, value in event.items():
            if key.startswith("_"):  # structlog's own, taken out before the line is written
                continue
            event[key] = REMOVED if key.lower() in PERSONAL else clean(value, 0)
        return event

    return step


def escape_controls(_: Any, __: str, event: Event) -> Event:
    """Show control characters and direction marks as escapes: a line must not be able to steer a terminal."""

    def visible(value: Any) -> Any:
        if isinstance(value, str):
            return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)
        return value

    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = visible(value)
    return event


def level_from(environment: Mapping[str, str]) -> int:
    """Return the level that EARSHOT_LOG names, `info` without it. Raises ConfigError for another word."""
    word = environment.get(LEVEL, "").strip().lower() or "info"
    try:
        return LEVELS[word]
    except KeyError:
        raise ConfigError(f"{LEVEL}={word!r} is not a level; write one of {', '.join(LEVELS)}") from None


def configure(
    secrets: Secrets | None = None,
    *,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
    readable: bool | None = None,
) -> Secrets:
    """Set up logging of this process and return the secrets it censors; call it again to change it.

    Writes to standard error, readable on a terminal (or as `readable` says), JSON lines otherwise. Raises
    ConfigError when EARSHOT_LOG is not a level.
    """
    level = level_from(environment)
    secrets = secrets or Secrets()
    stream = stream or sys.stderr
    if readable is None:
        readable = stream.isatty()

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
    ]
    if readable:
        colours = stream.isatty() and "NO_COLOR" not in environment
        last: list[Any] = [
            escape_controls,
            structlog.dev.ConsoleRenderer(
                colors=colours, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    else:
        order = structlog.processors.EventRenamer("event")
        last = [order, _in_order, structlog.processors.JSONRenderer(default=str)]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            guard(secrets),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(_Unrepeated())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, guard(secrets)],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO if level <= logging.DEBUG else max(level, logging.WARNING))
    for name in _INDISCREET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    return secrets


class _Unrepeated(logging.Filter):
    """Lets a line of a Kafka client through once in ten seconds: without a broker they say the same many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_KAFKA_CLIENTS):
            return True
        return self._repeats.due(f"{record.name} {record.getMessage().partition(' (after ')[0]}") is not None


def _in_order(_: Any, __: str, event: Event) -> Event:
    first = {key: event.pop(key) for key in ("at", "level", "logger", "event") if key in event}
    return {**first, **event}


def librdkafka() -> logging.Logger:
    """Return the logger to hand to confluent-kafka's clients, so that librdkafka's lines come through here."""
    return logging.getLogger("librdkafka")


class Repeats:
    """Says a repeated error once in `interval` seconds per key, with how often it was held back.

    Counting all of them is a metric's work. At most `limit` keys are remembered, the oldest go first.
    """

    def __init__(
        self, interval: float = 10.0, *, clock: Callable[[], float] = time.monotonic, limit: int = 1000
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._limit = limit
        self._said: dict[str, tuple[float, int]] = {}  # key: when it was last said, held back since
        self._lock = threading.Lock()

    def due(self, key: str) -> int | None:
        """Return how often `key` was held back since it was last said when it may be said now, else None."""
        now = self._clock()
        with self._lock:
            said_at, held = self._said.get(key, (float("-inf"), 0))
            if now - said_at < self._interval:
                self._said[key] = (said_at, held + 1)
                return None
            self._said.pop(key, None)
            self._said[key] = (now, 0)
            while len(self._said) > self._limit:
                del self._said[next(iter(self._said))]
            return held

    def say(self, say: Callable[..., Any], event: str, *, key: str, **facts: Any) -> bool:
        """Log `event` with `say` (such as `log.error`) unless it was said lately; return whether it was."""
        held = self.due(key)
        if held is None:
            return False
        say(event, **facts, **({"held_back": held} if held else {}))
        return True
