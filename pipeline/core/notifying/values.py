"""The words of notifying: a receiver, an occasion to tell it something, what it was told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pipeline.contract.events import Alert, AlertStatus, Severity

RANK: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class Occasion(StrEnum):
    """Why a receiver is told something now; the label `status` of the metric of notifications."""

    FIRING = "firing"  # the first it hears of the incident
    UPDATED = "updated"  # it has become worse, or there is something new
    REPEATED = "repeated"  # it still fires
    RESOLVED = "resolved"


class Became(StrEnum):
    """What became of a record of `alerts`: every one becomes exactly one of these."""

    PROCESSED = "processed"
    DISCARDED = "discarded"
    DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told, and how. Durations in seconds.

    `repeat_every` 0 never repeats. `keeps_state` marks one that keeps the alerts itself and forgets those it is not
    reminded of (Alertmanager): it gets every update, and all that fires at once after a restart. The others are told
    of an update only when the severity has risen: one incident pages once.
    """

    name: str
    severities: frozenset[Severity]
    repeat_every: float
    give_up_after: float
    keeps_state: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver knows of an incident. `opened_as` is the severity it was first told, `severity` the latest."""

    sequence: int
    opened_as: Severity
    severity: Severity
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell one receiver. A repeated delivery of it has the same `key`, so that it can be dropped."""

    key: str
    receiver: str
    occasion: Occasion
    alert: Alert
    opened_as: Severity


@dataclass(frozen=True, slots=True)
class Record:
    """An alert on its topic. `at` is when it was written there."""

    offset: int
    at: datetime
    alert: Alert

    @property
    def order(self) -> tuple[int, bool]:
        """Orders the records of one incident."""
        return self.alert.sequence, self.alert.status is AlertStatus.RESOLVED


def key_of(alert: Alert, occasion: Occasion, receiver: str, number: int = 0) -> str:
    """Return the key by which a receiver recognises a delivery it already had.

    An incident fires once and is resolved once, so these two bear no sequence: whatever happens between, they are the
    same. `number` counts repetitions.
    """
    if occasion in (Occasion.FIRING, Occasion.RESOLVED):
        return f"{alert.fingerprint}-{occasion}-{receiver}"
    if occasion is Occasion.UPDATED:
        return f"{alert.fingerprint}-{alert.sequence}-{occasion}-{receiver}"
    return f"{alert.fingerprint}-{alert.sequence}-{occasion}-{number}-{receiver}"
