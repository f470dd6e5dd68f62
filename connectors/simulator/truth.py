"""What is true of each simulated mention: kept apart from the mention, for whoever scores the pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pipeline.contract.events import Label

if TYPE_CHECKING:
    from connectors.simulator.script import Scenario

_ID: Final = re.compile(r"(?:simulator:)?(\d+)-(\d+)-(\d+)-(\d+)(?:-([rc])(\d+))?")


class Labels(Struct, frozen=True, kw_only=True):
    """The truth about one mention. It holds for all of its revisions.

    `departments` are those that can act on it: to route it to one of them is right; none for spam, for what is about
    something else (`is_relevant`) and for what the company says itself. `duplicate_of` is the id of the mention whose
    text it repeats, word for word or nearly.
    """

    id: str
    topic: str
    language: str
    departments: tuple[str, ...]
    sentiment: Label
    intent: str | None = None
    is_spam: bool = False
    is_irony: bool = False
    is_relevant: bool = True
    is_own: bool = False
    incident: str | None = None
    duplicate_of: str | None = None


class Truth:
    """The truth of a scenario: nothing is kept, everything follows from the id."""

    def __init__(self, scenario: Scenario) -> None:
        from connectors.simulator.script import Script

        self._script = Script(scenario)

    def of(self, mention_id: str) -> Labels | None:
        """Return the labels of a mention by its id, with or without `simulator:`; None where it is none of these."""
        from connectors.simulator.threads import Follow

        found = _ID.fullmatch(mention_id)
        if found is None or int(found[1]) != self._script.scenario.seed:
            return None
        minute, stream, index = int(found[2]), int(found[3]), int(found[4])
        places = [one for one in self._script.places(minute) if (one.stream, one.index) == (stream, index)]
        if not places:
            return None
        if found[5] is None:
            return self._script.original(places[0])[1]
        for one in self._script.follows(places[0]):
            if (one.follow, one.number) == (Follow(found[5]), int(found[6])):
                made = self._script.followed(one)
                return made[1] if made is not None else None
        return None

    def range(self, first: int, last: int) -> Iterator[Labels]:
        """Yield the labels of all mentions from epoch minute `first` to before `last`, each id once."""
        known = set()
        for scripted in self._script.range(first, last):
            if scripted.labels.id not in known:
                known.add(scripted.labels.id)
                yield scripted.labels
