"""The JSON Schema of every event, made from its type: a field's description is the comment behind it in `events.py`."""

from __future__ import annotations

import inspect
import io
import json
import re
import tokenize
from typing import Any, Final

import msgspec

from pipeline.contract import events
from pipeline.contract.codec import TYPES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BASE: Final = "https://earshot.invalid/schemas/"
"""Where `$id` points: a name, not an address; `.invalid` never resolves (RFC 2606)."""
_FIELD: Final = re.compile(r"\s+(\w+): ")
_MEMBER: Final = re.compile(r"\s+\w+ = \"([a-z_-]+)\"")


def slug(event: type) -> str:
    """Return an event's name in files: `mention-judged` of `earshot.mention-judged.v1`."""
    return TYPES[event].split(".")[1]


def version(event: type) -> int:
    """Return the version of an event's type."""
    return int(TYPES[event].rpartition(".v")[2])


def file_name(event: type) -> str:
    """Return the name of an event's schema file."""
    return f"{slug(event)}.v{version(event)}.schema.json"


def schema(event: type) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one event. The event's own fields stand at the top, shared types in `$defs`.

    Unknown keys are allowed: readers must pass over what they do not know.
    """
    (_,), definitions = msgspec.json.schema_components([event])
    for name, definition in definitions.items():
        _describe(getattr(events, name), definition)
    own = definitions.pop(event.__name__)
    made = {"$schema": DIALECT, "$id": f"{BASE}{file_name(event)}", **own}
    if definitions:
        made["$defs"] = dict(sorted(definitions.items()))
    plain: dict[str, Any] = json.loads(json.dumps(made))  # msgspec's defaults are tuples where JSON has lists
    return plain


def _describe(kind: type, definition: dict[str, Any]) -> None:
    """Put docstring and comments of a type into its schema."""
    definition["description"] = inspect.cleandoc(kind.__doc__ or "")
    if "enum" in definition:
        definition["type"] = "string"
        members = [f"`{name}`: {said}" for name, said in _comments(kind, _MEMBER).items()]
        definition["description"] = "\n".join([definition["description"], *members])
        return
    said: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one.__module__ == events.__name__:
            said.update(_comments(one, _FIELD))
    for name, field in definition["properties"].items():
        if name in said:
            field["description"] = said[name]


def _comments(kind: type, line: re.Pattern[str]) -> dict[str, str]:
    """Return the comment behind each line of a class that begins like this."""
    source = inspect.getsource(kind)
    lines = source.splitlines()
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (field := line.match(lines[token.start[0] - 1])):
            found[field[1]] = token.string.lstrip("# ")
    return found
