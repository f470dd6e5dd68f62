"""The rules of a filtered stream: which to add and which to take away, so that X has those of the settings. Pure.

https://docs.x.com/x-api/posts/filtered-stream/integrate/build-a-rule. An app has one set of rules for all of its streams:
those that are not ours, by their tag, are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

PREFIX: Final = "earshot/"


def tag_of(instance: str) -> str:
    """Return the tag of a source's rules."""
    return f"{PREFIX}{instance}"


def changes(there: Iterable[Mapping[str, Any]], wanted: Sequence[str], tag: str) -> tuple[list[str], list[str]]:
    """Return the values to add and the ids to take away. One that another tag has already need not be added."""
    rows = list(there)
    values = {str(row.get("value")) for row in rows}
    stale = [str(row["id"]) for row in rows if row.get("tag") == tag and row.get("value") not in wanted]
    return [value for value in wanted if value not in values], stale


def ours(there: Iterable[Mapping[str, Any]], wanted: Sequence[str]) -> set[str]:
    """Return the ids of the rules that we want, whoever has added them."""
    return {str(row["id"]) for row in there if row.get("value") in wanted}


def refused(body: Any) -> str | None:
    """Return why X has not taken a rule, as it says under a status of success; None where it has taken all."""
    errors = body.get("errors") if isinstance(body, dict) else None
    for error in errors or ():
        if isinstance(error, dict) and "duplicate" not in str(error.get("type", "")).lower():
            details = error.get("details")
            said = details[0] if isinstance(details, list) and details else error.get("detail") or error.get("title")
            return str(said)[:200]
    return None
