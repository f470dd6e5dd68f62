"""Dead letters: what could not be carried out, kept with its bytes, its origin and the reason.

Value, key and headers stay as they came; what earshot knows about the failure is added as headers `dlq_*`. So a dead
letter can be sent back as it was (`earshot replay`), and nothing about the text is repeated in a header.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pipeline.contract.codec import Headers, header
from pipeline.contract.errors import DeadLetterLimitError

PREFIX: Final = "dlq_"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a dead letter came from and why it is one."""

    topic: str
    partition: int
    offset: int
    reason: str
    error: str
    stage: str
    at: datetime | None


def mark(
    headers: Iterable[tuple[str, bytes | None]] | None,
    *,
    topic: str,
    partition: int,
    offset: int,
    reason: str,
    error: str,
    stage: str,
    now: datetime,
) -> list[tuple[str, bytes | None]]:
    """Return the headers of a dead letter: those it came with, then ours. `error` must not quote the message."""
    known = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "reason": reason,
        "error": error[:500],
        "stage": stage,
        "at": now.isoformat(),
    }
    return [*original(headers), *((PREFIX + name, value.encode("utf-8", "replace")) for name, value in known.items())]


def original(headers: Iterable[tuple[str, bytes | None]] | None) -> list[tuple[str, bytes | None]]:
    """Return the headers without ours: what a replayed dead letter is sent with."""
    return [(name, value) for name, value in headers or () if not name.startswith(PREFIX)]


def origin(headers: Headers) -> Origin | None:
    """Return what our headers say; None where they are missing or broken."""
    found = {name: header(headers, PREFIX + name) for name in Origin.__slots__}
    try:
        at = datetime.fromisoformat(found["at"]).astimezone(UTC) if found["at"] else None
        return Origin(
            topic=found["topic"] or "",
            partition=int(found["partition"] or -1),
            offset=int(found["offset"] or -1),
            reason=found["reason"] or "",
            error=found["error"] or "",
            stage=found["stage"] or "",
            at=at,
        )
    except ValueError:
        return None


class Limit:
    """Stops a worker that would send everything to the dead letters (a bad deploy, a wrong topic).

    `count()` raises DeadLetterLimitError when more than `share` of the last `window` messages were dead letters. It
    is called before the batch is committed, so the batch that breaks the limit is not moved.
    """

    def __init__(self, share: float, window: int, topic: str = "mentions-dlq") -> None:
        self.topic = topic
        self.share = share
        self.window = window
        self._batches: deque[tuple[int, int]] = deque()
        self._messages = 0
        self._dead = 0

    def count(self, messages: int, dead: int) -> None:
        """Add one batch to the window."""
        self._batches.append((messages, dead))
        self._messages += messages
        self._dead += dead
        while self._batches and self._messages - self._batches[0][0] >= self.window:
            old_messages, old_dead = self._batches.popleft()
            self._messages -= old_messages
            self._dead -= old_dead
        if self._messages >= self.window and self._dead > self.share * self._messages:
            raise DeadLetterLimitError(
                f"{self._dead} of the last {self._messages} messages were dead letters, the limit is {self.share:.0%}. "
                f"Nothing of this batch was moved. Look at the reasons with `earshot replay {self.topic} --dry-run`, mend "
                "the cause or raise triage.dead_letter_limit, and start again."
            )
