"""The sequence: what is said in each minute, as a pure function of the scenario and the minute.

Each minute has a generator of its own, keyed by seed and minute, and each mention one keyed by its place in it: any
minute can be made without those before it, so that pages of any size and any restart give the same mentions. Answers,
copies, edits and deletions are decided at their original's place and looked up in the minutes within `HORIZON`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from connectors.simulator import rhythm, threads
from connectors.simulator.incidents import Incident
from connectors.simulator.threads import HORIZON, Followed, Habits, Place
from connectors.simulator.truth import Labels
from connectors.simulator.world import LANGUAGES, PRODUCTS
from connectors.simulator.writing import Writer
from pipeline.contract.events import Mention

PARENTS: Final = 8_192  # originals kept ready for what follows them
_MINUTE, _PLACE, _THREAD = 1, 2, 3  # what a generator is for


@dataclass(frozen=True)
class Scenario:
    """Everything the sequence follows from. `starts` and `ends` are epoch minutes, `rate` mentions an hour."""

    seed: int
    starts: int
    ends: int | None = None
    rate: float = 1200.0
    incidents: tuple[Incident, ...] = ()
    products: tuple[str, ...] = tuple(product.name for product in PRODUCTS)
    languages: tuple[tuple[str, float], ...] = tuple(LANGUAGES.items())
    authors: int = 4000
    spam: float = 0.05
    unrelated: float = 0.02
    habits: Habits = field(default_factory=lambda: Habits(edits=0.02, deletions=0.01, copies=0.03, replies=0.25))


@dataclass(frozen=True, slots=True)
class Scripted:
    """One thing a source would tell at an instant (epoch milliseconds): a mention, its edit, its deletion."""

    at: int
    mention: Mention
    labels: Labels


class Script:
    """The sequence of a scenario. Reading it in order is quick; anywhere else costs a look at the hours before."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._languages = dict(scenario.languages)
        self._following: dict[int, dict[int, list[Followed]]] = {}
        writer = Writer(scenario)
        self._writer = writer
        self._original = lru_cache(PARENTS)(
            lambda place: writer.original(self._rng(_PLACE, place.minute, place.stream, place.index), place)
        )

    def minute(self, minute: int) -> list[Scripted]:
        """Return what is said in an epoch minute, oldest first; nothing outside of the scenario's time."""
        if not self._is_within(minute):
            return []
        found: list[tuple[int, Place, Followed | None]] = [
            (place.minute * 60_000 + place.millisecond, place, None) for place in self.places(minute)
        ]
        for before in range(max(self.scenario.starts, minute - HORIZON), minute + 1):
            found += [(one.at, one.after, one) for one in self._follows(before).get(minute, ())]
        found.sort(key=lambda one: (one[0], one[1], one[2] is not None, str(one[2])))
        written = []
        for at, place, followed in found:
            made = self._original(place) if followed is None else self.followed(followed)
            if made is not None:
                written.append(Scripted(at, *made))
        return written

    def range(self, first: int, last: int) -> Iterator[Scripted]:
        """Yield everything from minute `first` to before minute `last`, in order."""
        for minute in range(max(first, self.scenario.starts), last):
            yield from self.minute(minute)

    def places(self, minute: int) -> list[Place]:
        """Return the places of the originals of a minute."""
        if not self._is_within(minute):
            return []
        rng = self._rng(_MINUTE, minute)
        usual = sum(rhythm.mix(self._languages, minute).values())
        a_minute = self.scenario.rate / 60
        found = [
            Place(minute, 0, index, rng.randrange(60_000)) for index in range(rhythm.poisson(rng, a_minute * usual))
        ]
        for stream, incident in enumerate(self.scenario.incidents, 1):
            # At night an incident is heard by those who are awake: a little more than usually talk then.
            more = rhythm.poisson(rng, a_minute * max(usual, 0.6) * incident.pressure(minute))
            first = len(self._languages) if minute == incident.starts else 0
            found += [Place(minute, stream, index, index * 10) for index in range(first)]  # those that begin a story
            found += [Place(minute, stream, first + index, rng.randrange(100, 60_000)) for index in range(more)]
        return found

    def original(self, place: Place) -> tuple[Mention, Labels]:
        """Return the mention at a place with its labels."""
        made: tuple[Mention, Labels] = self._original(place)
        return made

    def followed(self, followed: Followed) -> tuple[Mention, Labels] | None:
        """Return what follows an original with its labels; None where that kind of mention has no such thing."""
        place = followed.after
        salt = 16 * (ord(followed.follow.value) - 96) + followed.number
        rng = self._rng(_PLACE, place.minute, place.stream, place.index, salt)
        return self._writer.followed(rng, followed, *self.original(place))

    def follows(self, place: Place) -> list[Followed]:
        """Return what is to follow the original at a place."""
        rng = self._rng(_THREAD, place.minute, place.stream, place.index)
        return threads.after(rng, place, self.scenario.habits)

    def _follows(self, minute: int) -> dict[int, list[Followed]]:
        """Return what follows the originals of a minute, by the minute it happens in."""
        known = self._following.get(minute)
        if known is None:
            known = {}
            for place in self.places(minute):
                for one in self.follows(place):
                    known.setdefault(one.minute, []).append(one)
            for old in [old for old in self._following if abs(old - minute) > 2 * HORIZON]:
                del self._following[old]
            self._following[minute] = known
        return known

    def _is_within(self, minute: int) -> bool:
        ends = self.scenario.ends
        return minute >= self.scenario.starts and (ends is None or minute < ends)

    def _rng(self, *key: int) -> random.Random:
        whole = self.scenario.seed + 1
        for part in key:
            whole = (whole << 34) | part
        return random.Random(whole)
