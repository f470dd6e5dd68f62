"""What a request brings: one mention, a list of them, or JSON Lines. All of it is taken, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from connectors.reading import json_value
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Mention, Reason

MAX_NAMED: Final = 20  # mistakes that are named in one answer


class InvalidBodyError(Exception):
    """A body with mistakes. `mistakes` name line or place, and the field; they quote nothing."""

    def __init__(self, mistakes: list[str], count: int) -> None:
        super().__init__(mistakes[0])
        self.mistakes = mistakes
        self.count = count


def mentions_of(body: bytes, *, now: datetime, source: str) -> list[Mention]:
    """Return the mentions in a body, in their order. `source` is that of those that name none.

    Raises InvalidBodyError that names the mistakes.
    """
    found: list[Mention] = []
    mistakes: list[str] = []
    count = 0
    for place, row in rows_of(body):
        try:
            if isinstance(row, Exception):
                raise InvalidMessageError(str(row))
            found.append(_mention(row, now, source))
        except InvalidMessageError as error:
            count += 1
            if len(mistakes) < MAX_NAMED:
                mistakes.append(f"{place}{error}")
    if count:
        raise InvalidBodyError(mistakes, count)
    return found


def _mention(row: Any, now: datetime, source: str) -> Mention:
    try:
        found = codec.mention_from_json(row, now=now, source=source)
        size = len(codec.encode(found))
    except RecursionError:
        raise InvalidMessageError("nested too deeply") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidMessageError(f"not readable ({type(error).__name__})") from None
    if size > codec.MAX_VALUE_BYTES:
        raise InvalidMessageError(f"{size} bytes; a mention may have {codec.MAX_VALUE_BYTES}", Reason.TOO_LARGE)
    return found


def rows_of(body: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the values in a body, each with its place in words; an error in the place of one that is no JSON."""
    if not body.strip():
        yield "", ValueError('the body is empty: send {"id": "1", "text": "…"}, a list of such, or one a line')
        return
    try:
        whole = json_value(body)
    except ValueError as error:
        lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
        if len(lines) == 1:
            yield "", error
            return
        for number, line in lines:
            try:
                yield f"line {number}: ", json_value(line)
            except ValueError as broken:
                yield f"line {number}: ", broken
        return
    if isinstance(whole, list):
        yield from ((f"mention {number}: ", row) for number, row in enumerate(whole, 1))
    else:
        yield "", whole
