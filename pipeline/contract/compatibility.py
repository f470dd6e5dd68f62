"""What in a new schema would break somebody who holds to the old one.

Records stay on a topic for weeks and roles are upgraded one after another, so both directions count: what was written
by the old schema must be readable by the new one, and what is written by the new one must be readable by the old.
Unknown keys are passed over by every reader. What is left is small: an optional field may be added, and words may
change. Everything else asks for a new version in `codec.TYPES`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

WORDS: Final = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "deprecated"})
"""Keywords that say nothing about which values are valid."""
_COMPARED: Final = frozenset(
    {"$ref", "type", "properties", "required", "items", "enum", "anyOf", "additionalProperties", "default"}
)
ROOT: Final = "the event"
_ABSENT: Final = object()


def breaking(old: Schema, new: Schema) -> list[str]:
    """Return every change from one JSON Schema to another that breaks a reader or a writer, with where it is.

    Understands what msgspec makes of types: objects, maps, arrays, enums, unions, references within the file, bounds.
    An empty list means that both read each other's messages.
    """
    return list(_Comparison(old, new).at("", old, new))


class _Comparison:
    """Two files, and the pairs of definitions that are being compared: a type may contain itself."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._open: list[tuple[int, int]] = []

    def at(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Yield what breaks at one place."""
        if old.get("default", _ABSENT) != new.get("default", _ABSENT):
            before, after = (_shown(side["default"]) if "default" in side else "none" for side in (old, new))
            yield f"{where or ROOT}: default {before} became {after}, so an absent key means something else"
        before_kinds, after_kinds = _by_kind(old, self._old), _by_kind(new, self._new)
        for kind in sorted(before_kinds.keys() | after_kinds.keys()):
            if kind not in after_kinds:
                yield f"{where or ROOT}: may no longer be {kind}"
            elif kind not in before_kinds:
                yield f"{where or ROOT}: may now be {kind}"
            else:
                yield from self._one(where, before_kinds[kind], after_kinds[kind])

    def _one(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        pair = (id(old), id(new))
        if pair in self._open:
            return
        self._open.append(pair)
        yield from self._fields(where, old, new)
        yield from self._enum(where or ROOT, old, new)
        for keyword, step in (("items", "[]"), ("additionalProperties", ".*")):
            before, after = old.get(keyword, True), new.get(keyword, True)
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                yield from self.at(where + step, before, after)
            elif before != after:
                yield f"{where or ROOT}: {keyword} {_shown(before)} became {_shown(after)}"
        for keyword in sorted((old.keys() | new.keys()) - WORDS - _COMPARED):
            if old.get(keyword, _ABSENT) != new.get(keyword, _ABSENT):
                said = [_shown(side[keyword]) if keyword in side else "none" for side in (old, new)]
                yield f"{where or ROOT}: {keyword} {said[0]} became {said[1]}"
        self._open.pop()

    def _fields(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(before.keys() | after.keys()):
            path = f"{where}.{name}" if where else name
            if name not in after:
                yield f"{path}: removed"
            elif name not in before:
                if name in needs:
                    yield f"{path}: new and required; give it a default"
            else:
                if (name in needed) != (name in needs):
                    change = ("optional", "required") if name in needs else ("required", "optional")
                    yield f"{path}: was {change[0]} and became {change[1]}"
                yield from self.at(path, before[name], after[name])

    def _enum(self, place: str, old: Schema, new: Schema) -> Iterator[str]:
        if ("enum" in old) != ("enum" in new):
            yield f"{place}: became {'a closed set' if 'enum' in new else 'an open set'}"
        before, after = old.get("enum", ()), new.get("enum", ())
        if "enum" in old and "enum" in new:
            yield from (f"{place}: value {_shown(value)} removed" for value in before if value not in after)
            yield from (f"{place}: value {_shown(value)} added" for value in after if value not in before)


def _by_kind(schema: Schema, whole: Schema) -> dict[str, Schema]:
    """Return what a value may be, by its type; by type and title where several have the same type."""
    meant = _resolved(schema, whole)
    branches = [_resolved(branch, whole) for branch in meant.get("anyOf", (meant,))]
    types = [str(branch.get("type", "anything")) for branch in branches]
    return {
        kind if types.count(kind) == 1 else f"{kind} {branch.get('title')}": branch
        for kind, branch in zip(types, branches, strict=True)
    }


def _resolved(schema: Schema, whole: Schema) -> Schema:
    """Return what a reference within the file stands for."""
    if "$ref" not in schema:
        return schema
    target = whole
    for step in str(schema["$ref"]).removeprefix("#/").split("/"):
        target = target[step]
    return target


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
