"""Server-sent events, as a server sends them piece by piece. Pure: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.contract.errors import SourceUnavailableError

MAX_EVENT: Final = 2_000_000  # bytes: a text with its account and media has some 10,000


class Event(NamedTuple):
    """One event: its name and its data."""

    name: str
    data: bytes


class Events:
    """What has come of a stream and is no whole event yet. Comments, `:thump` among them, are signs of life only."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0  # of the data, with a byte for each line

    def fed(self, part: bytes) -> list[Event]:
        """Return the events that are whole with this part. Raises SourceUnavailableError for one without an end."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        found = []
        for line in (raw.removesuffix(b"\r") for raw in lines):
            field, _, value = line.partition(b":")
            if field == b"event":
                self._name = value.removeprefix(b" ")
            elif field == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(self._data[-1]) + 1
            elif not line:
                if self._data:
                    found.append(Event(self._name.decode("utf-8", "replace"), b"\n".join(self._data)))
                self._name, self._data, self._size = b"", [], 0
        if len(self._rest) + self._size > MAX_EVENT:
            raise SourceUnavailableError(f"{self._where} sends an event without an end")
        return found
