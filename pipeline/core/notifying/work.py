"""The parts a plan is made of: work on its way, what became of records, and incidents."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.contract.events import AlertStatus, Reason
from pipeline.core.notifying.values import Became, Notification, Record, Told


@dataclass(slots=True)
class Work:
    """One notification on its way. `offsets` are the records it carries out; none for a repetition."""

    notification: Notification
    since: datetime
    not_before: datetime
    offsets: list[int] = field(default_factory=list)
    tries: int = 0
    is_sending: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a record. `held` says why nobody was told, `error` what a dead letter says, without its text."""

    offset: int
    became: Became
    reason: Reason | None = None
    held: str | None = None
    error: str = ""


@dataclass(slots=True)
class Fate:
    """What a record still waits for, and what was given up of it."""

    waiting: int = 0
    given_up: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Incident:
    """What is known and planned of one incident."""

    last_offset: int
    newest: Record | None = None
    told: dict[str, Told] = field(default_factory=dict)
    work: dict[str, deque[Work]] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    again_at: dict[str, datetime] = field(default_factory=dict)

    @property
    def is_firing(self) -> bool:
        """Whether the newest record says so."""
        return self.newest is not None and self.newest.alert.status is AlertStatus.FIRING

    def knows(self, receiver: str) -> Told | None:
        """Return what a receiver knows, None when it was not told or knows that it is over."""
        told = self.told.get(receiver)
        return None if told is None or told.is_over else told
