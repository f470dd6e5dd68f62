"""The ids of X hold the time: https://github.com/twitter-archive/snowflake/tree/snowflake-2010. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

EPOCH: Final = 1_288_834_974_657  # epoch milliseconds of id 0
FIRST: Final = 29_700_859_247  # the first id of this kind, of 4 November 2010; earlier ones were only counted
MAX_DIGITS: Final = 19


def is_id(value: object) -> bool:
    """Whether this is the id of a post, written as text or as a number."""
    text = str(value)
    return not isinstance(value, bool) and text.isdecimal() and text.isascii() and len(text) <= MAX_DIGITS


def milliseconds(native: object) -> int | None:
    """Return the epoch milliseconds in an id; None where there are none."""
    return (int(str(native)) >> 22) + EPOCH if is_id(native) and int(str(native)) >= FIRST else None


def time_of(native: object) -> datetime | None:
    """Return the instant in an id; None where there is none."""
    found = milliseconds(native)
    return None if found is None else datetime.fromtimestamp(found / 1000, UTC)


def id_at(at: datetime) -> str:
    """Return the smallest id of that time."""
    return str(max(0, int(at.timestamp() * 1000) - EPOCH) << 22)
