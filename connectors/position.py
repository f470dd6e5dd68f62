"""Where a connector is: the source's cursor, and short names of what was published lately.

An overlap or a repeated delivery brings again what was published; the marks kept in the checkpoint recognise it.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pipeline.contract.events import Checkpoint, Mention

MAX_MARKS: Final = 50_000  # in one checkpoint: 700 kB of the 2 MB that a record may have


def mark_of(mention: Mention) -> str:
    """Return a short name of one revision and state of a mention, for the checkpoint's set of seen ids.

    64 bits of BLAKE2b: among 500 kept ids, one mention in 10^16 would be taken for another.
    """
    return _mark(f"{mention.id}\x00{mention.revision}\x00{mention.state.value}")


def mark_of_delivery(delivery: str) -> str:
    """Return a short name of a delivery of a source that calls us; no mention has the same."""
    return _mark(f"\x00{delivery}")


def _mark(whole: str) -> str:
    digest = hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=8).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


class Position:
    """Where a connector is: its cursor, and the marks of what it has published lately."""

    def __init__(self, connector: str, limit: int, checkpoint: Checkpoint | None) -> None:
        self._connector = connector
        self._limit = limit
        self.cursor = checkpoint.cursor if checkpoint else None
        self.seen: dict[str, None] = dict.fromkeys(checkpoint.seen if checkpoint else ())

    def fresh(self, mentions: Sequence[Mention]) -> list[Mention]:
        """Return the mentions not published yet, each once, in their order."""
        marks: set[str] = set()
        found = []
        for mention in mentions:
            mark = mark_of(mention)
            if mark not in self.seen and mark not in marks:
                marks.add(mark)
                found.append(mention)
        return found

    def after(
        self,
        mentions: Sequence[Mention],
        cursor: str | None,
        now: datetime,
        deliveries: Sequence[str] = (),
        *,
        is_part: bool = False,
    ) -> tuple[Checkpoint, dict[str, None]]:
        """Return the checkpoint once these are published, and the marks to keep when it is committed.

        A mention that came again counts as new among the marks: it may come once more. A page larger than the limit
        keeps all of its marks, since the same page may come again whole; with later, smaller pages in which nothing
        comes again they become fewer by and by. After a part of a page none is forgotten: until the cursor moves, the
        whole page may come again, and with it what it repeats of the pages before.
        """
        seen = dict(self.seen)
        new = [*map(mark_of, mentions), *map(mark_of_delivery, deliveries)]
        is_overlap = not new or any(mark in self.seen for mark in new)
        for mark in new:
            seen.pop(mark, None)
            seen[mark] = None
        room = max(self._limit, len(new), len(self.seen) if is_overlap else len(self.seen) * 9 // 10)
        room = len(seen) if is_part else room
        room = min(room, MAX_MARKS) if self._limit else 0
        kept = dict.fromkeys(list(seen)[-room:]) if room else {}
        return Checkpoint(connector=self._connector, cursor=cursor, seen=tuple(kept), saved_at=now), kept
