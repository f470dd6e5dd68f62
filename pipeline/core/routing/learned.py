"""What a company's own people taught: a linear model on words that learns label by label.

Multinomial logistic regression with a ridge. Its starting point for every text is what the shipped rules and model say
(an offset), so without labels it changes nothing, and a few labels move only what they speak of. It is solved in its
dual (Shalev-Shwartz, Zhang, "Stochastic dual coordinate ascent", JMLR 2013): each remembered label pulls at the weights
of its features, by what was said minus what is predicted, and a step brings the pull of one label to where it belongs
as all others are. A new label takes its place so, then some of those remembered are seen again, in a fixed order. There is no rate to set and nothing wanders: the weights go to the one solution that all labels have, and the
same labels in the same order give the same weights, on every machine.

Before a label is learned, what would have been said about it is held against it, with the learned part and without. The
learned part counts by how the two compare so far (`trust`): as long as it is no better than what was known, it says
little.

Bounded: at most MEMORY labels and FEATURES features are kept. A learner can be written down as plain values and read
again (`dump`, `load`); after `settle` both go on in the same way, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from hashlib import sha256
from math import exp, log
from typing import Any, Final, NamedTuple, Self

from pipeline.core.routing.features import Features
from pipeline.core.routing.recalling import COUNTS, SIZES, Entries, Row, Tables, recall

MEMORY: Final = 4000  # labels remembered for replay
FEATURES: Final = 200_000  # features with weights; beyond that only known ones learn
REPLAYS: Final = 30  # remembered labels seen again with each new one
RIDGE: Final = 0.1  # how much the weights' squares count beside the labels
_TURNS: Final = 12  # towards where the pull of one label belongs; the next time it is seen it goes on
_EASE: Final = 0.25  # how fast trust follows the evidence, for each unit of log-loss
_MOST_EVIDENCE: Final = 40.0  # what was long ago does not hold trust up for ever
_STRIDE: Final = 0.6180339887  # golden ratio: walks evenly over the memory
_DIGITS: Final = 5  # of a weight, after `settle`
_LEAST: Final = 1e-4  # a feature whose weights are all smaller is forgotten by `settle`


class Example(NamedTuple):
    """One label to learn from. `number` names it to who keeps labels, 0 where nobody does."""

    seen: Features
    offset: tuple[float, ...]  # what is known without learning, in log-odds, one a class
    target: int
    weight: float = 1.0  # how much it counts, beside a person's word
    number: int = 0


Pull = tuple[float, ...]
"""How a remembered label pulls at the weights of its features, one number a class: what was said less what is predicted."""


class Learner:
    """Learns which of `classes` a text belongs to. `count` labels were learned so far.

    `keeps` is the share of what is known without learning that still counts where the learned part is fully trusted.
    """

    def __init__(self, classes: Sequence[str], keeps: float = 1.0) -> None:
        self.classes = tuple(classes)
        self.count = 0
        self.version = ""
        """A digest of all labels learned, in order; the same labels give the same version. Empty without any."""
        self._keeps = keeps
        self._weights: dict[str, Row] = {}
        self._pairs: dict[str, dict[str, Row]] = {}  # the same rows as in `_weights`, by first and second word
        self._rules: dict[str, Row] = {}  # the same rows, by the rule's name
        self._memory: list[Example] = []
        self._pulls: list[Pull] = []  # of the labels in `_memory`
        self._walk = 0.0
        self._evidence = 0.0  # log-loss the learned part has spared so far, newest first
        self._tables: Tables | None = None  # what `read` looks up in, until something is learned
        self._share: float | None = None  # `known`, until something is learned

    @property
    def trust(self) -> float:
        """How much the learned part counts, 0 to 1: a half without evidence."""
        return 1.0 / (1.0 + exp(-_EASE * self._evidence))

    @property
    def known(self) -> float:
        """The share by which what is known without learning counts beside the learned part, as far as that is trusted."""
        share = self._share
        if share is None:
            share = self._share = 1.0 - (1.0 - self._keeps) * self.trust if self.count else 1.0
        return share

    @property
    def remembered(self) -> list[int]:
        """The numbers of the labels that are seen again, the oldest first."""
        return [example.number for example in self._memory]

    def learn(
        self, seen: Features, offset: Sequence[float], label: str, *, weight: float = 1.0, number: int = 0
    ) -> None:
        """Learn one label. `offset` is what is known without learning, in log-odds, one a class.

        Raises ValueError where `label` is none of the classes.
        """
        if label not in self.classes:
            raise ValueError(f"{label!r} is none of {', '.join(self.classes)}")
        example = Example(seen, tuple(offset), self.classes.index(label), weight, number)
        self._tables = self._share = None
        self._weigh(seen, example.offset, example.target, weight)
        said = repr((self.version, label, weight, seen)).encode("utf-8", "replace")
        self.version = sha256(said).hexdigest()
        before = len(self._memory)
        self._memory.append(example)
        self._pulls.append((0.0,) * len(self.classes))
        self._step(before)
        for _ in range(min(REPLAYS, before)):
            self._walk = (self._walk + _STRIDE) % 1.0
            self._step(int(self._walk * before))
        if len(self._memory) > MEMORY:
            del self._memory[0], self._pulls[0]  # what it taught stays
        self.count += 1

    def adds(self, seen: Features) -> list[float]:
        """Return what was learned about these features, in log-odds, one a class, as far as it is trusted."""
        trust = self.trust
        return [trust * value for value in self._learned(seen)]

    def read(
        self, words: Sequence[str], rules: Sequence[str] = (), feeling: float = 0.0, *, most: int = 0
    ) -> tuple[list[float], tuple[str, ...]]:
        """Return what `adds` returns for the `features` of these, and at most `most` of them that speak for the best class.

        The same without making the features: what a word adds is looked up.
        """
        tables = self._tables
        if tables is None:
            nothing = [0.0] * len(self.classes)
            always, feels = self._weights.get("", nothing), self._weights.get("feels", nothing)
            entries = Entries(self._weights, self._pairs, len(self.classes))
            tables = self._tables = (entries, self._rules, always, feels, self.trust, SIZES, COUNTS)
        tables[0].bound()
        return recall(tables, words, rules, feeling, most)

    def joined(self, offset: Sequence[float], adds: Sequence[float]) -> list[float]:
        """Return what is known without learning and what was learned, together, in log-odds."""
        known = self.known
        return [known * value + more for value, more in zip(offset, adds, strict=True)]

    def _learned(self, seen: Features) -> list[float]:
        sums = [0.0] * len(self.classes)
        weights = self._weights
        for name, value in seen:
            row = weights.get(name)
            if row is not None:
                for index, weight in enumerate(row):
                    sums[index] += weight * value
        return sums

    def _weigh(self, seen: Features, offset: Sequence[float], target: int, weight: float = 1.0) -> None:
        """Hold what would have been said about a label against it, before it is learned."""
        without = probabilities(offset)[target]
        keeps = self._keeps if self.count else 1.0
        sums = [keeps * known + more for known, more in zip(offset, self._learned(seen), strict=True)]
        spared = weight * (log(max(probabilities(sums)[target], 1e-6)) - log(max(without, 1e-6)))
        self._evidence = max(-_MOST_EVIDENCE, min(_MOST_EVIDENCE, self._evidence + spared))

    def _step(self, at: int) -> None:
        """Bring the pull of a remembered label to where it belongs, as all others are."""
        seen, offset, target, weight, _ = self._memory[at]
        pull, keeps = self._pulls[at], self._keeps
        size = sum([value * value for _, value in seen]) / RIDGE
        others = [
            keeps * known + more - size * own
            for known, more, own in zip(offset, self._learned(seen), pull, strict=True)
        ]
        ease = 1.0 / (1.0 + 0.5 * weight * size)  # no curve is steeper than a half: no turn goes too far
        found = list(pull)
        for _ in range(_TURNS):
            said = probabilities([known + size * own for known, own in zip(others, found, strict=True)])
            said[target] -= 1.0
            found = [own - ease * (weight * wrong + own) for own, wrong in zip(found, said, strict=True)]
        self._pulls[at] = tuple(found)
        self._move(seen, [(new - old) / RIDGE for new, old in zip(found, pull, strict=True)])

    def _move(self, seen: Features, moves: Sequence[float]) -> None:
        """Add moves, one a class, to the weights of features, each times its value."""
        weights = self._weights
        for name, value in seen:
            row = weights.get(name)
            if row is None:
                if len(weights) >= FEATURES:
                    continue
                row = weights[name] = [0.0] * len(moves)
                self._index(name, row)
            for index, move in enumerate(moves):
                row[index] += move * value

    def _index(self, name: str, row: Row) -> None:
        """Find the weights of a pair or a rule by their parts, too: so they are read."""
        if name.startswith("rule:"):
            self._rules[name.removeprefix("rule:")] = row
            return
        one, _, two = name.partition(" ")
        if two:
            self._pairs.setdefault(one, {})[two] = row

    def find_parts(self) -> None:
        """Find the weights of pairs and rules anew, where the weights are others now."""
        self._tables = self._share = None
        self._pairs, self._rules = {}, {}
        for name, row in self._weights.items():
            self._index(name, row)

    def forget(self, numbers: AbstractSet[int]) -> bool:
        """Forget labels of these numbers and take back how they pulled; say whether there were any.

        Features that no other remembered label has are forgotten with them.
        """
        gone = [at for at, example in enumerate(self._memory) if example.number in numbers]
        if not gone:
            return False
        self.settle()
        own: set[str] = set()
        for at in gone:  # one by one, and rounded: whether they went together makes no difference
            example, pull = self._memory[at], self._pulls[at]
            for name, value in example.seen:
                row = self._weights.get(name)
                if row is not None:
                    row[:] = [round(one - its / RIDGE * value, _DIGITS) for one, its in zip(row, pull, strict=True)]
            own.update(name for name, _ in example.seen if name)
            self.version = sha256(f"{self.version} without {example.number}".encode()).hexdigest()
        went = set(gone)
        kept = [at for at in range(len(self._memory)) if at not in went]
        self._memory, self._pulls = [self._memory[at] for at in kept], [self._pulls[at] for at in kept]
        for example in self._memory:
            own.difference_update(name for name, _ in example.seen)
        for name in own:
            self._weights.pop(name, None)
        self.settle()
        return True

    # ----------------------------------------------------------------------------------------- kept and read again

    def settle(self) -> None:
        """Forget what weighs next to nothing and round the rest, so that what is written down is what goes on."""
        kept = {name: [round(one, _DIGITS) for one in row] for name, row in self._weights.items()}
        self._weights = {name: row for name, row in kept.items() if max(row) >= _LEAST or min(row) <= -_LEAST}
        self._pulls = [tuple([round(one, _DIGITS) for one in pull]) for pull in self._pulls]
        self._walk, self._evidence = round(self._walk, 9), round(self._evidence, _DIGITS)
        self.find_parts()

    def copy(self) -> Self:
        """Return a learner that knows the same and goes its own way."""
        made = copy(self)
        made.__dict__.update(
            _weights={name: list(row) for name, row in self._weights.items()},
            _memory=list(self._memory),
            _pulls=list(self._pulls),
        )
        made.find_parts()
        return made

    def dump(self) -> dict[str, Any]:
        """Return all it knows as plain values; of the labels seen again only their numbers and how they pull."""
        return {
            "count": self.count,
            "version": self.version,
            "walk": self._walk,
            "evidence": self._evidence,
            "weights": self._weights,
            "memory": self.remembered,
            "pulls": [list(pull) for pull in self._pulls],
        }

    @classmethod
    def load(
        cls,
        classes: Sequence[str],
        kept: Mapping[str, Any],
        example: Callable[[int], Example | None],
        keeps: float = 1.0,
    ) -> Self:
        """Return the learner that `dump` wrote down. `example` gives the label of a number, None where it is gone."""
        made = cls(classes, keeps)
        made.count, made.version = kept["count"], kept["version"]
        made._walk, made._evidence = kept["walk"], kept["evidence"]
        made._weights = dict(kept["weights"])
        for number, pull in zip(kept["memory"], kept["pulls"], strict=True):
            found = example(number)
            if found is not None:
                made._memory.append(found)
                made._pulls.append(tuple(pull))
        made.find_parts()
        return made


def probabilities(sums: Sequence[float]) -> list[float]:
    """Return log-odds as probabilities (softmax)."""
    top = max(sums)
    grown = [exp(value - top) for value in sums]
    total = sum(grown)
    return [value / total for value in grown]
