"""What follows a mention: answers, copies, an edit, a deletion. When, is known from the mention's place alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HORIZON: Final = 120  # minutes within which everything that follows a mention has followed


class Follow(StrEnum):
    """How a mention goes on. The letter stands in the ids of answers and copies."""

    REPLY = "r"
    COPY = "c"
    EDIT = "e"
    DELETION = "d"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an original stands in the sequence: epoch minute, stream (0 ordinary, else an incident), index in it."""

    minute: int
    stream: int
    index: int
    millisecond: int = 0

    @property
    def name(self) -> str:
        """The place as it stands in ids."""
        return f"{self.minute}-{self.stream}-{self.index}"


@dataclass(frozen=True, slots=True)
class Followed:
    """One thing that follows: how, after what, as the how-manieth, and when (epoch milliseconds)."""

    follow: Follow
    after: Place
    number: int
    at: int

    @property
    def minute(self) -> int:
        """The epoch minute it happens in."""
        return self.at // 60_000


@dataclass(frozen=True, slots=True)
class Habits:
    """How often what follows: shares of mentions that are edited, deleted, copied, and answers a mention on average."""

    edits: float
    deletions: float
    copies: float
    replies: float


def after(rng: random.Random, place: Place, habits: Habits) -> list[Followed]:
    """Return what follows an original."""
    at = place.minute * 60_000 + place.millisecond
    found = []

    def add(follow: Follow, number: int, minutes: float) -> None:
        found.append(Followed(follow, place, number, at + int(min(minutes, HORIZON - 2) * 60_000)))

    chance = habits.replies / (1 + habits.replies)  # geometric: most have none, few have many
    number = 0
    while rng.random() < chance and number < 12:
        add(Follow.REPLY, number, 1 + rng.expovariate(1 / 15))
        number += 1
    if rng.random() < habits.copies:
        for number in range(1 + (rng.random() < 0.3)):
            add(Follow.COPY, number, 1 + rng.expovariate(1 / 20))
    if rng.random() < habits.edits:
        add(Follow.EDIT, 0, rng.uniform(3, 60))
    if rng.random() < habits.deletions:
        add(Follow.DELETION, 0, rng.uniform(5, HORIZON - 5))
    return found
