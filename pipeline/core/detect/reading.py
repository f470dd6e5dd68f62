"""Rows of a CSV as people and programs write them: a time and a number, with or without a header."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})
_EPOCH: Final = re.compile(r"-?\d+(\.\d+)?")
_IN_MILLISECONDS: Final = 1e11  # as seconds this is the year 5138
_COMPACT_DATE: Final = 8  # digits: 20261124


class RowError(ValueError):
    """A row that holds no time and number. The message is for the person who wrote the file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its two cells as they were written, and what they mean. `number` is NaN where no value was measured."""

    timestamp: str
    value: str
    at: datetime
    number: float


@dataclass(frozen=True, slots=True)
class Columns:
    """Where time and number stand in a row."""

    timestamp: int = 0
    value: int = 1


def cells(line: str) -> list[str]:
    """Return the cells of one line. Raises RowError where it is no CSV."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error as error:
        raise RowError(f"no CSV: {error}") from None


def header(first: Sequence[str]) -> Columns | None:
    """Return the columns a header names (the first two where it names neither); None where this is a row of data."""
    if len(first) < 2 or any(_holds(read, cell) for read, cell in zip((instant, number), first, strict=False)):
        return None
    names = [name.lower() for name in first]
    at = names.index("timestamp") if "timestamp" in names else 0
    value = names.index("value") if "value" in names else next(i for i in (1, 0) if i != at)
    return Columns(at, value)


def _holds(read: object, cell: str) -> bool:
    try:
        read(cell)  # type: ignore[operator]
    except RowError:
        return False
    return True


def row(found: Sequence[str], columns: Columns) -> Row:
    """Return the row in these cells. Raises RowError with what to write instead."""
    if len(found) <= max(columns.timestamp, columns.value):
        raise RowError("too few cells: write timestamp,value")
    timestamp, value = found[columns.timestamp], found[columns.value]
    return Row(timestamp, value, instant(timestamp), number(value))


def instant(cell: str) -> datetime:
    """Return a time written as ISO 8601 or as epoch seconds or milliseconds; without a zone it is UTC."""
    try:
        if _EPOCH.fullmatch(cell) and len(cell) != _COMPACT_DATE:
            seconds = float(cell)
            return datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _IN_MILLISECONDS else seconds, UTC)
        at = datetime.fromisoformat(cell)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise RowError("the timestamp is no time: write 2026-11-24T09:30:00Z or epoch seconds") from None


def number(cell: str) -> float:
    """Return a value; NaN where the cell says that there is none."""
    if cell.lower() in MISSING:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise RowError("the value is no number: write it with a point, or leave it empty where it is unknown") from None
    if math.isinf(value):
        raise RowError("the value is infinite: leave it empty where it is unknown")
    return value
