"""Rules, model and what was learned, put together: shares for the four departments, intents, and why.

`Router.read` looks at a text once. What departments taught is in `learner`, which is set from outside; `known` is what
is said without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from pipeline.contract.events import Fired, Kind, Priority
from pipeline.core.intents import COMPLAINING, Intent
from pipeline.core.native import rounded
from pipeline.core.routing.leaning import leaning, tables_of
from pipeline.core.routing.learned import Learner
from pipeline.core.routing.model import TEMPERATURE, HandSet, RoutingModel, Seen, shares
from pipeline.core.routing.shipped import CANONICAL, Shipped, shipped

_NOTHING: Final = Shipped([], "")
_VERSION_DIGITS: Final = 12
_SHOWN: Final = 3  # words shown as the reason of what was learned
_LEAST: Final = 0.05  # log-odds below which what was learned is no reason
LEARNED: Final = "learned from departments"
LESS: Final = "rules count less beside it"  # the share that is taken off what rules and model say


class Look(Struct, frozen=True, gc=False):
    """The rules that fire on a text, with the wordings found, and what they say its author is after."""

    found: Mapping[int, list[str]]
    intents: tuple[Intent, ...]
    urgency: Priority | None


class Reading(Struct, gc=False):
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
        # The hand-set model has a quick way together with the rules.
        self._both = (self._rules, self._model) if isinstance(self._model, HandSet) else None
        self._tables = tables_of(*self._both) if self._both is not None else ()
        self.learner: Learner | None = None
        self._lessened: dict[tuple[int, float], Fired] = {}
        self._intents: dict[tuple[int, ...], tuple[tuple[Intent, ...], Priority | None]] = {}
        fixed = f"{self._rules.version} {self._model.version}"
        self.version = hashlib.sha256(fixed.encode()).hexdigest()[:_VERSION_DIGITS]

    def look(self, found_words: Sequence[str], language: str | None) -> Look:
        """Return the rules that fire on a text's `words` and what its author is after."""
        found = self._rules.find(found_words, language)
        return Look(found, *self._named(tuple(found)))

    def of_report(self, look: Look) -> Look:
        """Return what of it holds for a news report, which complains of nothing and asks for nothing back."""
        found = {at: seen for at, seen in look.found.items() if self._rules.rules[at].intent not in COMPLAINING}
        return look if len(found) == len(look.found) else Look(found, *self._named(tuple(found)))

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
        found, intents = look.found, look.intents
        if self._both is not None:
            sums, fired, terms = leaning(
                self._both, self._tables, found, intents, text, found_words, sentiment, rating, kind
            )
        else:
            by_rules, fired = self._rules.speak(found)
            sums, terms = self._add_model(Seen(found_words, text, found, intents, sentiment, rating, kind), by_rules)
        if self.learner is not None:
            terms = (*terms, *self._recall(self.learner, found, found_words, sentiment, sums))
        return Reading(fired, terms, intents, look.urgency, sums, shares(sums))

    def _add_model(self, seen: Seen, sums: list[float]) -> tuple[list[float], tuple[Fired, ...]]:
        (a, b, c, d), terms = self._model.judge(seen, sums)
        service, support, design, marketing = sums
        return [service + a, support + b, design + c, marketing + d], terms

    def known(
        self,
        text: str,
        found_words: Sequence[str],
        look: Look,
        *,
        sentiment: float,
        rating: float | None,
        kind: Kind,
    ) -> tuple[list[float], tuple[str, ...]]:
        """Return what rules and model say in log-odds (order: CANONICAL), and the names of the rules that fired."""
        found, intents = look.found, look.intents
        by_rules, _ = self._rules.speak(found)
        sums, _ = self._add_model(Seen(found_words, text, found, intents, sentiment, rating, kind), by_rules)
        return [value / TEMPERATURE for value in sums], tuple(self._rules.rules[index].name for index in found)

    def _recall(
        self, learner: Learner, found: Mapping[int, list[str]], words: Sequence[str], feeling: float, sums: list[float]
    ) -> list[Fired]:
        """Add what was learned to `sums`; return it as the words that spoke most for what it favours.

        Where it is trusted, what rules and model say counts less beside it: that is a term of its own.
        """
        rules, less = self._rules.rules, 1.0 - learner.known
        adds, terms = learner.read(words, [rules[index].name for index in found], feeling, most=_SHOWN)
        top, best = max(sums), max(adds)
        at = adds.index(best)
        shown = [self._less(sums.index(top), rounded(-less * top, 2))] if less > 0.0 else []
        sums[:] = [value - less * value + more * TEMPERATURE for value, more in zip(sums, adds, strict=True)]
        if best > _LEAST:
            weight = rounded(best * TEMPERATURE, 3)
            shown.append(Fired(name=LEARNED, department=CANONICAL[at], weight=weight, terms=terms))
        return shown

    def _less(self, at: int, weight: float) -> Fired:
        """Return the term that takes a share off what rules and model say; the same comes again."""
        known = self._lessened.get((at, weight))
        if known is None:
            known = self._lessened[at, weight] = Fired(name=LESS, department=CANONICAL[at], weight=weight)
        return known

    def _named(self, fired: tuple[int, ...]) -> tuple[tuple[Intent, ...], Priority | None]:
        """Return the intents of rules and the highest priority one of them asks for; the same rules are looked up."""
        known = self._intents.get(fired)
        return self._learn_names(fired) if known is None else known

    def _learn_names(self, fired: tuple[int, ...]) -> tuple[tuple[Intent, ...], Priority | None]:
        rules = [self._rules.rules[index] for index in fired]
        intents = tuple(dict.fromkeys(rule.intent for rule in rules if rule.intent is not None))
        asked = {rule.priority for rule in rules}
        urgency = next((one for one in (Priority.HIGH, Priority.LOW) if one in asked), None)
        if len(self._intents) >= 50_000:
            self._intents.clear()
        known = self._intents[fired] = (intents, urgency)
        return known
