"""What pydantic finds wrong, in words for the person who writes the file."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline.config.document import Document, Path, Problem, shown
from pipeline.config.model import Config

_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "names with settings below them",
    "model_type": "settings",
}
_HOW = {
    "text": "put it in quotes",
    "a whole number": "write digits, without quotes",
    "a number": "write digits with a point, without quotes",
    "true or false": "write true or false",
    "a list": "write [one, two], or one entry a line after a hyphen",
    "names with settings below them": "write name: and its settings below, indented",
    "settings": "write setting: value below it, indented",
}


def problem_of(error: Mapping[str, Any], document: Document) -> Problem:
    """Return one of pydantic's errors as a problem, at the line it is about."""
    path: Path = tuple(part for part in error["loc"] if part != "[key]")
    kind, context = error["type"], error.get("ctx", {})
    is_key = "[key]" in error["loc"]
    line, column = document.place(path)
    where = shown(path)
    if kind == "extra_forbidden":
        what, advice = _unknown(path)
        return Problem(line, column, where, what, advice)
    if kind == "missing":
        advice = "write version: 1 as the first line" if path == ("version",) else f"write {path[-1]}: and its value"
        return Problem(line, column, where, "is missing", advice)
    if not is_key:
        line, column = document.value_place(path)
    what, advice = _value(kind, context, error, path)
    return Problem(line, column, where, what, advice)


def _unknown(path: Path) -> tuple[str, str]:
    names = keys_at(path[:-1])
    near = nearest(str(path[-1]), names)
    advice = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
    return "there is no such setting", advice


def _value(kind: str, context: Mapping[str, Any], error: Mapping[str, Any], path: Path) -> tuple[str, str]:
    if kind in _TYPES:
        expected = _TYPES[kind]
        return f"is {_seen(error['input'])}, expected is {expected}", _HOW[expected]
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return "is out of bounds", f"write {words} {context[key]:g}"
    if kind == "literal_error":
        near = nearest(str(error["input"]), re.findall(r"'([^']+)'", str(context["expected"])))
        return "is none of the values it may have", f"write {context['expected']}" + (
            f"; nearest is {near}" if near else ""
        )
    if kind == "string_pattern_mismatch":
        return "is no name", f"write small letters, digits and hyphens, 49 at most{_as_name(path, error['input'])}"
    if kind == "string_too_short":
        return "is empty", "write a query, or * for every mention" if path[-1] in (
            "query",
            "when",
        ) else "write something"
    if kind == "string_too_long":
        return "is too long", f"at most {context['max_length']:,} characters"
    if kind == "value_error":
        return "is not understood", str(error["msg"]).removeprefix("Value error, ")
    return str(error["msg"]).lower(), "see the description in earshot.schema.json"


def _as_name(path: Path, given: object) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", str(given).lower()).strip("-")[:49]
    return f": {name}" if name and path else ""


def _seen(value: object) -> str:
    """Return what kind of value it is; never the value, which may be a secret in the wrong place."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"read as {str(value).lower()} (yes, no, on and off are, too)"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a group of settings"


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the name that is most like this one, None where none is."""
    found = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return found[0] if found else None


def keys_at(path: Path) -> list[str]:
    """Return the settings there are at a path of the configuration."""
    kind: Any = Config
    for part in path:
        kind = _inside(kind, part)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _inside(kind: Any, part: str | int) -> Any:
    """Return the type of a part of a type: a field of a model, an entry of a mapping or list."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        found = kind.model_fields.get(str(part))
        return _bare(found.annotation) if found else None
    if get_origin(kind) in (dict, list, tuple):
        return _bare(get_args(kind)[-1])
    return None


def _bare(kind: Any) -> Any:
    while get_origin(kind) in (Annotated, Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind
