"""The cursor of a source that is asked several questions: one JSON object, with a place for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.base import Gap

Row = dict[str, Any]


def read(cursor: str | None) -> dict[str, Row]:
    """Return the place of each question in a cursor; none where it cannot be read, which begins anew."""
    try:
        found = json.loads(cursor or "{}")
        return {str(name): place for name, place in found.items() if isinstance(place, dict)}
    except (ValueError, AttributeError, RecursionError):
        return {}


def written(found: Mapping[str, Row]) -> str:
    """Return the cursor with these places."""
    return json.dumps(found, separators=(",", ":"), sort_keys=True)


def number(place: Row, name: str) -> float | None:
    """Return a number kept in a place; None where there is none."""
    value = place.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def time_of(cursor: str | None, *names: str) -> datetime | None:
    """Return the least of the times (`at`) of these places, of all without names; None where none has one."""
    found = read(cursor)
    kept = [found.get(name, {}) for name in names] if names else found.values()
    times = [at for place in kept if (at := number(place, "at")) is not None]
    return datetime.fromtimestamp(min(times), UTC) if times else None


def gap(since: float, until: float, reason: str) -> Gap:
    """Return a gap between two times in epoch seconds."""
    return Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC), reason)


def together(gaps: Sequence[Gap | None]) -> Gap | None:
    """Return one gap that says what several do; None where there is none."""
    found = [gap for gap in gaps if gap is not None]
    if not found:
        return None
    reasons = "; ".join(dict.fromkeys(gap.reason for gap in found))
    return Gap(min(gap.since for gap in found), max(gap.until for gap in found), reasons)
