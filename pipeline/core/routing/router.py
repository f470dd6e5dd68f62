"""Rules, model and what was learned, put together: shares for the four departments, intents, and why.

`Router.read` looks at a text once. `Router.learn` takes what a department answered; `version` then changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.contract.events import Fired, Kind, Priority
from pipeline.core.intents import Intent
from pipeline.core.routing.learned import Learner, features
from pipeline.core.routing.model import TEMPERATURE, HandSet, RoutingModel, Seen, shares
from pipeline.core.routing.shipped import CANONICAL, Shipped, shipped

_NOTHING: Final = Shipped([], "")
_VERSION_DIGITS: Final = 12
_SHOWN: Final = 3  # words shown as the reason of what was learned


class Look(NamedTuple):
    """The rules that fire on a text, with the wordings found, and what they say its author is after."""

    found: Mapping[int, Sequence[str]]
    intents: tuple[Intent, ...]
    urgency: Priority | None


@dataclass(slots=True)
class Reading:
    """What a text says about where it belongs. `sums` are before the softmax, in the order of CANONICAL."""

    rules: tuple[Fired, ...]
    model: tuple[Fired, ...]
    intents: tuple[str, ...]
    urgency: Priority | None
    sums: list[float]
    shares: dict[str, float]


class Router:
    """Shares for the four departments. `model` may be any RoutingModel; `use_shipped` turns the shipped rules off."""

    def __init__(self, *, use_shipped: bool = True, model: RoutingModel | None = None) -> None:
        self._rules = shipped() if use_shipped else _NOTHING
        self._model: RoutingModel = model or HandSet()
        self._learner = Learner(CANONICAL)
        self._fixed = f"{self._rules.version} {self._model.version}"
        self._intents: dict[tuple[int, ...], tuple[tuple[Intent, ...], Priority | None]] = {}
        self.version = self._digest()

    @property
    def learned(self) -> int:
        """How many labels were learned."""
        return self._learner.count

    def look(self, found_words: Sequence[str], language: str | None) -> Look:
        """Return the rules that fire on a text's `words` and what its author is after."""
        found = self._rules.find(found_words, language)
        return Look(found, *self._named(tuple(found)))

    def read(
        self,
        text: str,
        found_words: Sequence[str],
        look: Look,
        *,
        sentiment: float,
        rating: float | None,
        kind: Kind,
    ) -> Reading:
        """Return what a text says about where it belongs.

        `look` is what `look` returned for it, `sentiment` is -1 to 1, `rating` 0 to 1.
        """
        found, intents, urgency = look
        by_rules, fired = self._rules.speak(found)
        seen = Seen(found_words, text, found, intents, sentiment, rating, kind)
        sums, terms = self._add_model(seen, by_rules)
        if self._learner.count:
            terms = (*terms, *self._recall(seen, sums))
        return Reading(fired, terms, intents, urgency, sums, shares(sums))

    def _add_model(self, seen: Seen, sums: list[float]) -> tuple[list[float], tuple[Fired, ...]]:
        (a, b, c, d), terms = self._model.judge(seen, sums)
        service, support, design, marketing = sums
        return [service + a, support + b, design + c, marketing + d], terms

    def learn(
        self,
        text: str,
        found_words: Sequence[str],
        look: Look,
        department: str,
        *,
        sentiment: float,
        rating: float | None,
        kind: Kind,
    ) -> None:
        """Learn that a text belongs to a department. Raises ValueError where it is none of the shipped four."""
        found, intents, _ = look
        by_rules, _ = self._rules.speak(found)
        sums, _ = self._add_model(Seen(found_words, text, found, intents, sentiment, rating, kind), by_rules)
        seen = features(found_words, (self._rules.rules[index].name for index in found), sentiment)
        self._learner.learn(seen, [value / TEMPERATURE for value in sums], department)
        self.version = self._digest()

    def _recall(self, mention: Seen, sums: list[float]) -> list[Fired]:
        """Add what was learned to `sums`; return it as the words that spoke most for what it favours."""
        seen = features(mention.words, (self._rules.rules[index].name for index in mention.rules), mention.sentiment)
        adds = self._learner.adds(seen)
        for index, value in enumerate(adds):
            sums[index] += value * TEMPERATURE
        best = max(range(len(adds)), key=adds.__getitem__)
        if adds[best] <= 0.05:
            return []
        terms = tuple(self._learner.strongest(seen, CANONICAL[best], _SHOWN))
        weight = round(adds[best] * TEMPERATURE, 3)
        return [Fired(name="learned from departments", department=CANONICAL[best], weight=weight, terms=terms)]

    def _named(self, fired: tuple[int, ...]) -> tuple[tuple[Intent, ...], Priority | None]:
        """Return the intents of rules and the highest priority one of them asks for; the same rules are looked up."""
        known = self._intents.get(fired)
        if known is None:
            rules = [self._rules.rules[index] for index in fired]
            intents = tuple(dict.fromkeys(rule.intent for rule in rules if rule.intent is not None))
            asked = {rule.priority for rule in rules}
            urgency = next((one for one in (Priority.HIGH, Priority.LOW) if one in asked), None)
            if len(self._intents) >= 50_000:
                self._intents.clear()
            known = self._intents[fired] = (intents, urgency)
        return known

    def _digest(self) -> str:
        learned = self._learner.version if self._learner.count else ""
        return hashlib.sha256(f"{self._fixed} {learned}".encode()).hexdigest()[:_VERSION_DIGITS]
