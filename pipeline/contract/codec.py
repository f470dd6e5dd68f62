"""Bytes and events: the only place that knows the wire format.

Values are JSON. Headers are CloudEvents 1.0, Kafka binding, binary mode
(https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md): `ce_specversion`,
`ce_id`, `ce_type`, `ce_source`, `ce_time` and `content-type`. A null value is a tombstone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from typing import Any, Final, TypeVar

import msgspec
import msgspec.inspect

from pipeline.contract import events
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Reason

T = TypeVar("T")
Headers = list[tuple[str, bytes]]

MAX_VALUE_BYTES: Final = 1_000_000  # a larger value is dead-lettered: no source has texts of that size
MAX_TEXT: Final = 100_000  # characters kept of a text

TYPES: Final[dict[type, str]] = {
    events.Mention: "earshot.mention.v1",
    events.JudgedMention: "earshot.mention-judged.v1",
    events.Pulse: "earshot.pulse.v1",
    events.Tick: "earshot.tick.v1",
    events.Heartbeat: "earshot.heartbeat.v1",
    events.Alert: "earshot.alert.v1",
    events.Erasure: "earshot.erasure.v1",
    events.Coverage: "earshot.coverage.v1",
    events.Checkpoint: "earshot.checkpoint.v1",
    events.Remembered: "earshot.remembered.v1",
    events.RawPayload: "earshot.raw-payload.v1",
    events.Feedback: "earshot.feedback.v1",
    events.Lesson: "earshot.lesson.v1",
    events.KeptModel: "earshot.kept-model.v1",
}
"""CloudEvents type of every event. The number grows only with a change that breaks readers."""

_JSON_HEADER: Final = ("content-type", b"application/json")
_VERSION_HEADER: Final = ("ce_specversion", b"1.0")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_encoder: Final = msgspec.json.Encoder()
encode: Final[Callable[[Any], bytes]] = _encoder.encode
"""An event as JSON bytes."""


_decoders: Final[dict[type, msgspec.json.Decoder[Any]]] = {kind: msgspec.json.Decoder(kind) for kind in TYPES}


def decode(event_type: type[T], value: bytes | None) -> T:
    """Return the event in a record's value.

    Raises InvalidMessageError with reason `undecodable` (not JSON, not UTF-8), `too_large` or `invalid` (JSON of
    another shape). The message names the field, never its content.
    """
    if value is None:
        raise InvalidMessageError("the value is null, which is a tombstone, not an event", Reason.INVALID)
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidMessageError(f"{len(value)} bytes; at most {MAX_VALUE_BYTES} are accepted", Reason.TOO_LARGE)
    try:
        event: T = _decoders[event_type].decode(value)
        return event
    except msgspec.ValidationError as error:
        raise InvalidMessageError(_unquoted(str(error), event_type), Reason.INVALID) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidMessageError(f"not JSON: {error}", Reason.UNDECODABLE) from None
    except RecursionError:
        raise InvalidMessageError("nested too deeply", Reason.UNDECODABLE) from None


_QUOTES: Final = "Invalid enum value"
_STEP: Final = re.compile(r"\.(\w+)|\[")


def _unquoted(error: str, event_type: type) -> str:
    """Return msgspec's words without the value they may quote, and what is accepted there instead."""
    if not error.startswith(_QUOTES):
        return error
    place = error.rpartition(" - at ")[2]  # the last one: the value may hold anything
    return f"unknown value at {place}: write one of {', '.join(_accepted(event_type, place))}"


@lru_cache(maxsize=256)
def _accepted(event_type: type, place: str) -> tuple[str, ...]:
    """Return the values of the enum at a place such as `$.sentiment.label`."""
    kinds: list[Any] = [msgspec.inspect.type_info(event_type)]
    for step in _STEP.finditer(place):
        kinds = [inner for kind in kinds for inner in _inside(kind, step[1])]
    return tuple(one.value for kind in kinds if isinstance(kind, msgspec.inspect.EnumType) for one in kind.cls)


def _inside(kind: Any, name: str | None) -> list[Any]:
    """Return the types of a field, or of what is in a list or map where `name` is None; unions are taken apart."""
    if name is not None:
        found = [part.type for part in getattr(kind, "fields", ()) if part.encode_name == name]
    else:
        found = [getattr(kind, place) for place in ("item_type", "value_type") if hasattr(kind, place)]
    return [inner for one in found for inner in getattr(one, "types", (one,))]


def plain(judged: events.JudgedMention) -> events.Mention:
    """Return the mention in a decision, without what was decided."""
    return events.Mention(**{name: getattr(judged, name) for name in events.Mention.__struct_fields__})


def headers(
    event_type: type, *, event_id: str, source: str, at: datetime, extra: Iterable[tuple[str, bytes]] = ()
) -> Headers:
    """Return CloudEvents headers. `event_id` and `source` together name the event; a repeated delivery repeats them."""
    return [("ce_id", event_id.encode("utf-8", "replace")), *_standing(event_type, source, at), *extra]


@lru_cache(maxsize=256)
def _standing(event_type: type, source: str, at: datetime) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that all events of one batch share."""
    return (
        _VERSION_HEADER,
        ("ce_type", TYPES[event_type].encode()),
        ("ce_source", source.encode("utf-8", "replace")),
        ("ce_time", at.astimezone(UTC).isoformat().encode()),
        _JSON_HEADER,
    )


@lru_cache(maxsize=10_000)
def listed(name: str, values: tuple[str, ...]) -> tuple[str, bytes]:
    """Return a header of names with commas between them; the same come again and again."""
    return name, ",".join(values).encode("utf-8", "replace")


def header(found: Iterable[tuple[str, bytes | None]] | None, name: str) -> str | None:
    """Return the last header of that name as text, None where there is none."""
    value: bytes | None = None
    for key, content in found or ():
        if key == name:
            value = content
    return None if value is None else value.decode("utf-8", "replace")


def clean(text: str) -> str:
    """Return the text without what UTF-8 cannot carry: lone surrogates become U+FFFD, NUL goes."""
    if text.isascii():
        return text.replace("\x00", "") if "\x00" in text else text
    return _LONE_SURROGATE.sub("\ufffd", text).replace("\x00", "")


def json_line(line: bytes) -> Any:
    """Return the JSON value in a line of a person's file. Raises InvalidMessageError that says what to mend.

    Half a surrogate pair written as an escape is no valid JSON, but programs write it: it comes as it is, and `clean`
    mends it.
    """
    text = line.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        return _ANY.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(text.decode("utf-8"))  # bytes would be guessed at: UTF-16 is possible in JSON, not here
    except UnicodeDecodeError:
        raise InvalidMessageError("not UTF-8: save the file as UTF-8", Reason.UNDECODABLE) from None
    except json.JSONDecodeError as error:
        raise InvalidMessageError(f"not JSON: {error.msg} at column {error.colno}", Reason.UNDECODABLE) from None
    except (ValueError, RecursionError):
        raise InvalidMessageError("not JSON that can be read: too deep, or a number too long") from None


_ANY: Final = msgspec.json.Decoder()


def mention_from_json(row: Mapping[str, Any], *, now: datetime, source: str = "import") -> events.Mention:
    """Return a mention from a person's JSON object: at the least `{"id": …, "text": …}` (design, section 13).

    `id` is the native id unless `native_id` is there too. A missing `created_at` becomes `now`. Numbers are accepted
    for ids. Raises InvalidMessageError that names the field.
    """
    if not isinstance(row, Mapping):
        raise InvalidMessageError(f"expected a JSON object, got {type(row).__name__}")
    given = {key: value for key, value in row.items() if value is not None}
    native = given.pop("native_id", None)
    outer = given.pop("id", None)
    native = outer if native is None else native
    native = _id(native)
    if not isinstance(native, str) or native == "":
        raise InvalidMessageError('`id` is missing: give every mention an id, for example {"id": "1", "text": "…"}')
    origin = given.pop("source", source)
    if not isinstance(origin, str) or not _NAME.fullmatch(origin):
        raise InvalidMessageError("`source` must be a short lower-case name such as mastodon or my-shop")
    given.setdefault("created_at", now)
    given["created_at"] = _instant(given["created_at"], "created_at")
    given["collected_at"] = _instant(given.get("collected_at", now), "collected_at")
    says_something = any(given.get(part) not in (None, "") for part in ("text", "title", "rating"))
    if not says_something and given.get("state", "live") in ("live", "edited"):
        raise InvalidMessageError("`text` is missing: a mention needs a text, a title or a rating", Reason.EMPTY)
    for part in ("text", "title"):
        if isinstance(given.get(part), str):
            given[part] = clean(given[part])[:MAX_TEXT]
    author = given.get("author")
    if isinstance(author, str):
        given["author"] = {"name": clean(author)}
    elif isinstance(author, Mapping) and "id" in author:
        given["author"] = {**author, "id": _id(author["id"])}
    for part in ("conversation", "in_reply_to"):
        if part in given:
            given[part] = _id(given[part])
    try:
        return msgspec.convert(
            {**_cleaned(given), "id": f"{origin}:{native}", "source": origin, "native_id": native}, events.Mention
        )
    except msgspec.ValidationError as error:
        raise InvalidMessageError(_unquoted(str(error), events.Mention)) from None
    except RecursionError:
        raise InvalidMessageError("nested too deeply") from None


_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_LARGEST: Final = 1 << 63  # JSON readers hold no larger integers


def _id(value: Any) -> Any:
    """Return an id as text where it is text or a number, anything else as it is."""
    if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value < _LARGEST:
        return str(value)
    return clean(value) if isinstance(value, str) else value


def _cleaned(value: Any) -> Any:
    """Return JSON that can be written again: texts clean, numbers finite and of 64 bits."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cleaned(inner) for inner in value]
    if (isinstance(value, float) and not isfinite(value)) or (
        isinstance(value, int) and not -_LARGEST <= value < _LARGEST
    ):
        raise InvalidMessageError("a number is not finite or has more than 64 bits")
    return value


def _instant(value: Any, name: str) -> datetime:
    """Read an instant leniently: RFC 3339, a date, epoch seconds; without a zone it is UTC."""
    try:
        if isinstance(value, datetime):
            at = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            at = datetime.fromtimestamp(value, UTC)
        else:
            at = datetime.fromisoformat(str(value))
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidMessageError(f"`{name}` is no time: write it as 2026-11-24T09:30:00Z") from None
