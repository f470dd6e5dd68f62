"""The fields a query may name: those of `Mention` by their dotted names, and what triage found out (`facts`)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pipeline.contract.events import Kind, Label, Mention, Priority, State
from pipeline.core.intents import Intent

Facts = Mapping[str, object]
Getter = Callable[[Mention, Facts], Any]
Form = Literal["text", "name", "address", "number", "instant", "flag"]
"""How a field is compared.

text: by words, as the text itself. name: the whole value, without case. address: by words, anywhere in it.
"""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: how it is compared, how it is read; `judged` ones are known after triage only."""

    name: str
    form: Form
    get: Getter
    values: tuple[str, ...] = ()
    judged: bool = False


def _path(name: str) -> Getter:
    """Return a function that reads a dotted name of a mention; None where a part of it is missing."""
    first, _, second = name.partition(".")
    if not second:
        return lambda mention, _: getattr(mention, first)

    def get(mention: Mention, _: Facts) -> Any:
        part = getattr(mention, first)
        return None if part is None else getattr(part, second)

    return get


def _fact(name: str) -> Getter:
    return lambda _, facts: facts.get(name)


def _language(mention: Mention, facts: Facts) -> tuple[str, ...]:
    """Return `pt-br` and `pt` for Brazilian Portuguese; what triage found goes before what the source said."""
    value = str(facts.get("language") or mention.language or "")
    return (value, value.partition("-")[0]) if "-" in value else (value,) if value else ()


def _handle(mention: Mention, _: Facts) -> tuple[str, ...]:
    """Return the handle, and without its server where it has one."""
    handle = (mention.author.handle if mention.author else None) or ""
    handle = handle.lstrip("@")
    return (handle, handle.partition("@")[0]) if "@" in handle else (handle,) if handle else ()


def _of(form: Form, *names: str) -> list[Field]:
    return [Field(name, form, _path(name)) for name in names]


def _judged(form: Form, *names: str, values: tuple[str, ...] = ()) -> list[Field]:
    return [Field(name, form, _fact(name), values, judged=True) for name in names]


FIELDS: Final[Mapping[str, Field]] = {
    field.name: field
    for field in (
        *_of("text", "text", "title", "author.name"),
        *_of("name", "id", "source", "native_id", "author.id", "conversation", "in_reply_to", "subject", "connector"),
        *_of("name", "tags"),
        *_of("address", "url", "links", "author.url"),
        *_of("number", "revision", "author.followers", "rating.value", "rating.best", "rating.worst"),
        *_of("number", *(f"engagement.{name}" for name in ("likes", "replies", "shares", "quotes", "views"))),
        *_of("instant", "created_at", "collected_at", "author.created_at"),
        *_of("flag", "backfill", "author.bot"),
        Field("kind", "name", _path("kind"), tuple(kind.value for kind in Kind)),
        Field("state", "name", _path("state"), tuple(state.value for state in State)),
        Field("author.handle", "name", _handle),
        Field("language", "name", _language),
        *_judged("name", "sentiment", values=tuple(label.value for label in Label)),
        *_judged("name", "priority", values=tuple(priority.value for priority in Priority)),
        *_judged("name", "intent", values=tuple(intent.value for intent in Intent)),
        *_judged("name", "brand", "campaign", "department"),
        *_judged("number", "sentiment.score", "sentiment.vader", "sentiment.confidence", "spam"),
    )
}
WHOLES: Final[Mapping[str, Getter]] = {name: _path(name) for name in ("author", "rating", "engagement")}
"""Names that `_exists_:` takes besides the fields."""

OTHER_NAMES: Final = {
    "lang": "language",
    "tag": "tags",
    "hashtag": "tags",
    "hashtags": "tags",
    "link": "links",
    "handle": "author.handle",
    "followers": "author.followers",
    "stars": "rating.value",
    "intents": "intent",
    "brands": "brand",
    "campaigns": "campaign",
    "departments": "department",
    "body": "text",
    "content": "text",
}


def advice(name: str, *, judged: bool) -> str:
    """Return what to write instead of a field that does not exist."""
    known = [field.name for field in FIELDS.values() if judged or not field.judged]
    inside = [other for other in known if other.startswith(name + ".")]
    if inside:
        return f"{name} has several parts, write one of {', '.join(inside)}"
    if OTHER_NAMES.get(name.lower()) in known:
        return f"write {OTHER_NAMES[name.lower()]}"
    whole = difflib.get_close_matches(name.lower(), WHOLES, n=1, cutoff=0.7)
    if whole:
        return f"did you mean {' or '.join(other for other in known if other.startswith(whole[0] + '.'))}?"
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    near += [other for other in known if other.rpartition(".")[2] == name.lower() and other not in near]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"fields are {', '.join(sorted(known))}; for a colon inside a word put the word in double quotes"


def names_of(value: object) -> tuple[str, ...]:
    """Return the value of a field of form `name` as strings without case; several where it has several."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):  # enums of the contract are strings, too
        return (str(value).casefold(),)
    if isinstance(value, Iterable):
        return tuple(str(one).casefold() for one in value)
    return (str(value).casefold(),)


def number_of(value: object) -> float | None:
    """Return a number, an instant (epoch seconds) or a flag as a number; None where there is none."""
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None


def is_present(value: object) -> bool:
    """Whether a field has a value: `_exists_:`."""
    return value is not None and value not in ("", ())
