"""One thing that is learned, and which version of it is in service.

Every label is predicted before it is learned: by the version that was kept last (the shipped parts, at first) and by
the one that has learned every label since (the candidate). How much better one predicted than the other is added up as
evidence: the log of the ratio of the probabilities that both gave to what was said.

The test is an e-value (Ville 1939; Shafer, "Testing by betting", JRSS A 2021): while a candidate is no better than what
it is held against, that ratio has an expected value of 1 at most, whenever one looks; so the chance that it ever
reaches `proof` is 1 in `proof` at most. Both probabilities are mixed with even ones and a single label counts
for a ratio of two at the most, so that no single label proves anything.

- A candidate that has predicted `proof` times better is promoted: it is in service from now on, each further label is
  in service as soon as it is learned, and what it was is kept.
- While it is in service it is held against the version kept. When it is `proof` times better again, it is kept in turn.
- When the kept version has predicted `DOUBT` times better, it is back in service, and what was learned since is
  forgotten (rolled back). The same ends a candidate that was not in service (discarded).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from math import log
from typing import Any, Final

from pipeline.core.routing.features import Features
from pipeline.core.routing.learned import Example, Learner, probabilities

PROOF: Final = 5.0  # times better than what is in service, until a candidate is promoted
DOUBT: Final = 50.0  # times worse than the version kept, until it is rolled back
MIXED: Final = 0.2  # of a prediction is taken for even, so that being sure and wrong once is no verdict
MOST: Final = log(2.0)  # evidence of a single label


class Change(StrEnum):
    """What a label brought about: a closed set, used as a metric label."""

    PROMOTED = "promoted"
    KEPT = "kept"
    ROLLED_BACK = "rolled_back"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Predicted:
    """What was said about a label before it was learned: probabilities in the order of the classes."""

    target: int
    shipped: Sequence[float]
    service: Sequence[float]
    candidate: Sequence[float]
    change: Change | None


def ratio(candidate: Sequence[float], kept: Sequence[float], target: int) -> float:
    """Return the log of how much more a candidate gave to what was said; both mixed with even probabilities."""
    even = MIXED / len(candidate)
    return log(((1 - MIXED) * candidate[target] + even) / ((1 - MIXED) * kept[target] + even))


def verdict(better: float, worse: float, *, is_serving: bool, proof: float = PROOF) -> Change | None:
    """Return what follows from the evidence so far, both in log: that the candidate is better, that it is worse."""
    if better >= log(proof):
        return Change.KEPT if is_serving else Change.PROMOTED
    if worse >= log(DOUBT):
        return Change.ROLLED_BACK if is_serving else Change.DISCARDED
    return None


class Line:
    """The versions of one thing that is learned. The same labels in the same order lead to the same versions.

    `keeps` is that of `Learner`.
    """

    def __init__(self, classes: Sequence[str], proof: float = PROOF, keeps: float = 1.0) -> None:
        self.classes = tuple(classes)
        self.proof = proof
        self.keeps = keeps
        self.live = Learner(classes, keeps)  # has learned every label that was not forgotten
        self.kept: Learner | None = None  # the last version that was proven; None is what is shipped
        self.is_serving = False  # whether `live` is in service, not `kept`
        self.better = 0.0
        self.worse = 0.0

    @property
    def serving(self) -> Learner | None:
        """The version in service; None where it is what is shipped."""
        return self.live if self.is_serving else self.kept

    @property
    def version(self) -> str:
        """The digest of the version in service; empty where it is what is shipped."""
        return self.serving.version if self.serving is not None else ""

    def take(
        self, seen: Features, offset: Sequence[float], label: str, *, weight: float = 1.0, number: int = 0
    ) -> Predicted:
        """Predict a label, hold the predictions against it, learn it; say what was predicted and what follows.

        `offset` is what the shipped parts say, in log-odds. Raises ValueError where the label is none of the classes.
        """
        if label not in self.classes:
            raise ValueError(f"{label!r} is none of {', '.join(self.classes)}")
        target = self.classes.index(label)
        shipped = probabilities(offset)
        candidate = _said(self.live, seen, offset)
        kept = shipped if self.kept is None else _said(self.kept, seen, offset)
        evidence = ratio(candidate, kept, target)
        self.better += weight * min(MOST, evidence)
        self.worse += weight * min(MOST, -evidence)
        service = candidate if self.is_serving else kept
        self.live.learn(seen, offset, label, weight=weight, number=number)
        change = verdict(self.better, self.worse, is_serving=self.is_serving, proof=self.proof)
        if change is not None:
            self._follow(change)
        return Predicted(target, shipped, service, candidate, change)

    def _follow(self, change: Change) -> None:
        self.better = self.worse = 0.0
        if change in (Change.PROMOTED, Change.KEPT):
            self.kept, self.is_serving = self.live.copy(), True
        else:
            self.live = Learner(self.classes, self.keeps) if self.kept is None else self.kept.copy()
            self.is_serving = False

    def forget(self, numbers: AbstractSet[int]) -> bool:
        """Forget labels of these numbers in every version; say whether there were any."""
        known = [self.live] if self.kept is None else [self.live, self.kept]
        return sum(learner.forget(numbers) for learner in known) > 0  # every one of them forgets

    def settle(self) -> None:
        """Bring all versions into the form in which they are written down."""
        self.live.settle()
        if self.kept is not None:
            self.kept.settle()
        self.better, self.worse = round(self.better, 6), round(self.worse, 6)

    def dump(self) -> dict[str, Any]:
        """Return all versions as plain values."""
        return {
            "live": self.live.dump(),
            "kept": None if self.kept is None else self.kept.dump(),
            "is_serving": self.is_serving,
            "better": self.better,
            "worse": self.worse,
        }

    def load(self, kept: Mapping[str, Any], example: Callable[[int], Example | None]) -> None:
        """Become what `dump` wrote down. `example` gives the label of a number, None where it is gone."""
        self.live = Learner.load(self.classes, kept["live"], example, self.keeps)
        self.kept = None if kept["kept"] is None else Learner.load(self.classes, kept["kept"], example, self.keeps)
        self.is_serving, self.better, self.worse = kept["is_serving"], kept["better"], kept["worse"]

    @property
    def remembered(self) -> set[int]:
        """The numbers of the labels that any version sees again."""
        return {*self.live.remembered, *(self.kept.remembered if self.kept is not None else ())}


def _said(learner: Learner, seen: Features, offset: Sequence[float]) -> list[float]:
    return probabilities(learner.joined(offset, learner.adds(seen)) if learner.count else offset)
