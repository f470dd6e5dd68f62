"""Scripted incidents: what happens to the company, from when, for how long, how strongly."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal, get_args

IncidentKind = Literal["outage", "release", "hijack", "viral"]
KINDS: Final[tuple[str, ...]] = get_args(IncidentKind)
RISE: Final = 0.1  # share of its time in which an incident grows
FALL: Final = 0.2  # share of its time in which it dies down
STORY: Final = 0.6  # share of its mentions that repeat the story that goes round


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. `starts` is an epoch minute, `minutes` how long; `strength` times what is usual comes on top.

    outage: nothing works (support). release: an update broke the app (support). hijack: the campaign's tag is turned
    against the company (service, marketing). viral: a story in its praise goes round (marketing).
    """

    name: str
    kind: str
    starts: int
    minutes: int
    strength: float

    @property
    def ends(self) -> int:
        """The first minute after it."""
        return self.starts + self.minutes

    def pressure(self, minute: int) -> float:
        """Return how many times the usual volume comes on top of it in this minute."""
        if not self.starts <= minute < self.ends:
            return 0.0
        passed, left = minute - self.starts + 1, self.ends - minute
        rise, fall = max(1.0, RISE * self.minutes), max(1.0, FALL * self.minutes)
        return self.strength * min(1.0, passed / rise, left / fall)

    def version(self, seed: int) -> str:
        """Return the version that a bad release has."""
        rng = random.Random(f"version {seed} {self.name}")
        return f"{rng.randint(6, 8)}.{rng.randint(0, 9)}"
