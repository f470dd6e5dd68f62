"""Files of JSON Lines that grow: what another program writes, read as it arrives.

A line is a mention as `earshot import` takes it: {"id": "1", "text": "…"} at the least.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import Field

from connectors.base import Facts, Page, PollingConnector, PollingSettings, Rejected
from connectors.reading import json_value
from pipeline.config.model import Duration
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Mention

CHUNK: Final = 1_000_000  # bytes read at once


class JsonlSettings(PollingSettings):
    """Which file."""

    path: Path
    """The file. It may come later, may grow, and may be replaced by a new one (log rotation)."""
    source: str = Field(default="jsonl", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    """The source of lines that name none."""
    poll_interval: Duration = Field(default=2.0, ge=0.05)
    slowest_poll: Duration = Field(default=10.0, ge=0.05)


class Jsonl(PollingConnector[JsonlSettings]):
    """The cursor is the file (device and inode) and how many bytes of it were read: whole lines only."""

    name = "jsonl"
    settings_type = JsonlSettings
    facts = Facts(
        auth="rights to read the file",
        cursor="file and offset",
        changes="as written in the lines",
        tested="files that grow, turn over and break",
    )

    async def fetch(self, cursor: str | None) -> Page:
        path = self.settings.path
        known, offset = _cursor(cursor)
        try:
            if known and (old := _renamed(path, known, offset)):
                page = self._of_file(old, known, offset, is_finished=path.exists())
                if page.cursor and _cursor(page.cursor) != (known, offset):
                    return page
            return self._of_file(path, known, offset)
        except FileNotFoundError:
            return Page(cursor=cursor)
        except PermissionError:
            raise SourceRefusedError(f"{self.instance}: {path} may not be read by this user") from None
        except OSError as error:
            raise SourceUnavailableError(f"{self.instance}: {path} cannot be read ({error.strerror})") from None

    def _of_file(self, path: Path, known: str | None, offset: int, *, is_finished: bool = False) -> Page:
        """Return the next whole lines of a file; of a finished one also a last line without an end."""
        with path.open("rb") as file:
            status = os.fstat(file.fileno())  # of the file that was opened: the name may mean another one by now
            here = _identity(status)
            start = offset if known == here and offset <= status.st_size else 0  # another file, or one emptied
            file.seek(start)
            chunk = file.read(CHUNK)
            while chunk and b"\n" not in chunk and len(chunk) <= codec.MAX_VALUE_BYTES * 2:
                more = file.read(CHUNK)
                if not more:
                    break
                chunk += more
        end = chunk.rfind(b"\n") + 1
        if not end and (is_finished or len(chunk) > codec.MAX_VALUE_BYTES * 2):  # a line without end
            end = len(chunk)
        if not end and known != here:
            return Page(cursor=_position(known, offset) if known else None)
        is_full = is_finished or (start + end < status.st_size and end >= CHUNK // 2)
        return self._read(chunk[:end], _position(here, start + end), is_full)

    def _read(self, lines: bytes, cursor: str, is_full: bool) -> Page:
        mentions: list[Mention] = []
        rejected: list[Rejected] = []
        now = self.clock()
        for line in lines.split(b"\n"):
            if not line.strip():
                continue
            try:
                mentions.append(codec.mention_from_json(_row(line), now=now, source=self.settings.source))
                self.keep(mentions[-1], bytes(line))
            except InvalidMessageError as error:
                rejected.append(Rejected(line, str(error)))
        return Page(mentions, cursor, is_full=is_full, rejected=rejected)

    async def check(self) -> str:
        if not self.settings.path.exists():
            return f"{self.settings.path} does not exist yet; it is read as soon as it does"
        page = await self.fetch(None)
        return f"{self.settings.path} can be read; it begins with {len(page.mentions)} mentions"

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        for line in body.split(b"\n"):
            if line.strip():
                found = cls.attempt(line, now)
                if isinstance(found, Mention):
                    yield found

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        return codec.mention_from_json(_row(row) if isinstance(row, bytes) else row, now=now, source=cls.name)


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _renamed(path: Path, known: str, offset: int) -> Path | None:
    """Return the file that was read until log rotation gave it another name, if it holds more than was read."""
    try:
        if _identity(path.stat()) == known:
            return None
    except FileNotFoundError:
        pass
    for other in path.parent.glob(f"{glob.escape(path.name)}?*"):
        with contextlib.suppress(OSError):
            status = other.stat()
            if _identity(status) == known and status.st_size > offset:
                return other
    return None


def _row(line: bytes) -> Any:
    try:
        return json_value(line)
    except ValueError as error:
        raise InvalidMessageError(str(error)) from None


def _position(file: str, offset: int) -> str:
    return json.dumps({"file": file, "offset": offset})


def _cursor(cursor: str | None) -> tuple[str | None, int]:
    try:
        found = msgspec.json.decode(cursor or "null", type=dict[str, Any] | None) or {}
        return found.get("file"), max(0, int(found.get("offset", 0)))
    except (msgspec.MsgspecError, TypeError, ValueError):
        return None, 0
