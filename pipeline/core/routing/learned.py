"""What a company's own people taught: a linear model on words that learns label by label.

Multinomial logistic regression. Its starting point for every text is what the shipped rules and model say (an
offset), so without labels it changes nothing, and a few labels move only what they speak of. Each label is one step
of AdaGrad (Duchi, Hazan, Singer, "Adaptive subgradient methods", JMLR 2011), followed by steps on labels remembered
from before, chosen in a fixed order: the same labels in the same order give the same weights, on every machine.

Before a label is learned, what would have been said about it is held against it, with the learned part and without. The
learned part counts by how the two compare so far (`trust`): as long as it is no better than what was known, it says
little.

Bounded: at most MEMORY labels and FEATURES features are kept. A learner can be written down as plain values and read
again (`dump`, `load`); after `settle` both go on in the same way, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from hashlib import sha256
from itertools import pairwise, repeat
from math import exp, log, sqrt
from operator import itemgetter, mul
from typing import Any, Final, NamedTuple, Self

MEMORY: Final = 4000  # labels remembered for replay
FEATURES: Final = 200_000  # features with weights; beyond that only known ones learn
REPLAYS: Final = 30  # remembered labels seen again with each new one
RATE: Final = 0.35
SHRINK: Final = 0.0004  # of a feature's weight, each time it is touched
RULE_VALUE: Final = 0.5  # how strongly a fired rule counts beside the words, whose squares sum to 1
COMMON: Final = 0.4  # of a word that is in every text, beside 1 for others
STEM: Final = 0.7  # of the beginning of a long word, so that its other forms count, too
FEELING: Final = 0.4
_MOST_WORDS: Final = 300  # of a text
_LONG: Final = 5  # letters of a word's beginning
_EASE: Final = 0.25  # how fast trust follows the evidence, for each unit of log-loss
_MOST_EVIDENCE: Final = 40.0  # what was long ago does not hold trust up for ever
_STRIDE: Final = 0.6180339887  # golden ratio: walks evenly over the memory
_SPEAKS: Final = 0.01  # a feature that adds less is no reason
_DIGITS: Final = 5  # of a weight, after `settle`
_LEAST: Final = 1e-4  # a feature whose weights are all smaller is forgotten by `settle`

Features = tuple[tuple[str, float], ...]


class Example(NamedTuple):
    """One label to learn from. `number` names it to who keeps labels, 0 where nobody does."""

    seen: Features
    offset: tuple[float, ...]  # what is known without learning, in log-odds, one a class
    target: int
    weight: float = 1.0  # how much it counts, beside a person's word
    number: int = 0


_EVERYWHERE: Final = """
    the and of to is in it that for on are with as at this have from or be by was a an i der die das und ist in zu den
    el la de que y en le les et il e di che o os da do"""
_COMMON_WORDS: Final = frozenset(_EVERYWHERE.split())


def features(words: Sequence[str], rules: Iterable[str] = (), feeling: float = 0.0) -> Features:
    """Return words, their beginnings, neighbouring pairs, fired rules and the feeling (-1 to 1), with their values."""
    kept = words[:_MOST_WORDS]
    found: dict[str, float] = {}
    for word in kept:
        found[word] = COMMON if word in _COMMON_WORDS else 1.0
        if len(word) > _LONG:
            found["~" + word[:_LONG]] = STEM
    for one, two in pairwise(kept):
        found[f"{one} {two}"] = COMMON if one in _COMMON_WORDS and two in _COMMON_WORDS else 1.0
    scale = 1.0 / sqrt(sum(value * value for value in found.values())) if found else 0.0
    felt = (("feels", FEELING * feeling),) if feeling else ()
    return (
        ("", 0.3),
        *((name, value * scale) for name, value in found.items()),
        *((f"rule:{name}", RULE_VALUE) for name in rules),
        *felt,
    )


def _common_pairs(words: Sequence[str]) -> dict[tuple[str, str], None]:
    return dict.fromkeys((one, two) for one, two in pairwise(words) if one in _COMMON_WORDS and two in _COMMON_WORDS)


class Learner:
    """Learns which of `classes` a text belongs to. `count` labels were learned so far."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.count = 0
        self.version = ""
        """A digest of all labels learned, in order; the same labels give the same version. Empty without any."""
        self._nothing = [0.0] * len(self.classes)
        self._weights: dict[str, list[float]] = {}
        self._squares: dict[str, float] = {}
        self._memory: list[Example] = []
        self._walk = 0.0
        self._evidence = 0.0  # log-loss the learned part has spared so far, newest first

    @property
    def trust(self) -> float:
        """How much the learned part counts, 0 to 1: a half without evidence."""
        return 1.0 / (1.0 + exp(-_EASE * self._evidence))

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
        self._weigh(seen, example.offset, example.target, weight)
        said = repr((self.version, label, weight, seen)).encode("utf-8", "replace")
        self.version = sha256(said).hexdigest()
        self._step(example)
        before = len(self._memory)
        for _ in range(min(REPLAYS, before)):
            self._walk = (self._walk + _STRIDE) % 1.0
            self._step(self._memory[int(self._walk * before)])
        self._memory.append(example)
        if len(self._memory) > MEMORY:
            del self._memory[0]
        self.count += 1

    def adds(self, seen: Features) -> list[float]:
        """Return what was learned about these features, in log-odds, one a class, as far as it is trusted."""
        trust = self.trust
        return [trust * value for value in self._learned(seen)]

    def read(
        self, words: Sequence[str], rules: Iterable[str] = (), feeling: float = 0.0, *, most: int = 0
    ) -> tuple[list[float], tuple[str, ...]]:
        """Return what `adds` returns for the `features` of these, and at most `most` of them that speak for the best class.

        The same arithmetic without making the features: only those that are known are put together.
        """
        weights, kept = self._weights, words[:_MOST_WORDS]
        get = weights.get
        unique = dict.fromkeys(kept)
        pairs = [f"{one} {two}" for one, two in dict.fromkeys(pairwise(kept))]
        stems = [f"~{stem}" for stem in dict.fromkeys([word[:_LONG] for word in unique if len(word) > _LONG])]
        weak = [word for word in unique if word in _COMMON_WORDS]
        if weak:  # two common words in a row are as common
            weak += [f"{one} {two}" for one, two in _common_pairs(kept)]
        norm = len(unique) + len(pairs) - (1.0 - COMMON * COMMON) * len(weak) + STEM * STEM * len(stems)
        scale = 1.0 / sqrt(norm) if norm else 0.0
        names: list[str] = ["", *[name for name in (*unique, *pairs) if name in weights]]
        values = [0.3, *repeat(scale, len(names) - 1)]
        found = [name for name in stems if name in weights]
        names += found
        values += repeat(STEM * scale, len(found))
        found = [name for rule in rules if (name := f"rule:{rule}") in weights]
        names += found
        values += repeat(RULE_VALUE, len(found))
        if feeling:
            names.append("feels")
            values.append(FEELING * feeling)
        found = [name for name in weak if name in weights]  # counted as strong ones above
        names += found
        values += repeat((COMMON - 1.0) * scale, len(found))
        nothing = self._nothing
        known = [get(name, nothing) for name in names]
        trust = self.trust
        adds = [trust * sum(map(mul, column, values)) for column in zip(*known, strict=True)]
        if not most:
            return adds, ()
        best = max(range(len(adds)), key=adds.__getitem__)
        says = map(mul, map(itemgetter(best), known), values)
        strong = [
            (-adding, name)
            for adding, name in zip(says, names[: len(names) - len(found)], strict=False)
            if adding > _SPEAKS and name and name not in weak
        ]
        return adds, tuple(name for _, name in sorted(strong)[:most])

    def _learned(self, seen: Features) -> list[float]:
        sums = [0.0] * len(self.classes)
        weights = self._weights
        for name, value in seen:
            known = weights.get(name)
            if known is not None:
                for index, weight in enumerate(known):
                    sums[index] += weight * value
        return sums

    def _weigh(self, seen: Features, offset: Sequence[float], target: int, weight: float = 1.0) -> None:
        """Hold what would have been said about a label against it, before it is learned."""
        without = probabilities(offset)[target]
        both = probabilities([known + more for known, more in zip(offset, self._learned(seen), strict=True)])[target]
        spared = weight * (log(max(both, 1e-6)) - log(max(without, 1e-6)))
        self._evidence = max(-_MOST_EVIDENCE, min(_MOST_EVIDENCE, self._evidence + spared))

    def _step(self, example: Example) -> None:
        seen, offset, target, weight, _ = example
        sums = [known + learned for known, learned in zip(offset, self._learned(seen), strict=True)]
        wrong = probabilities(sums)
        wrong[target] -= 1.0
        if weight != 1.0:
            wrong = [weight * error for error in wrong]
        size = sum(error * error for error in wrong)
        weights, squares = self._weights, self._squares
        for name, value in seen:
            known = weights.get(name)
            if known is None:
                if len(weights) >= FEATURES:
                    continue
                known = weights[name] = [0.0] * len(wrong)
            total = squares[name] = squares.get(name, 1e-3) + size * value * value
            rate = RATE * value / sqrt(total)
            for index, error in enumerate(wrong):
                known[index] -= rate * error + SHRINK * known[index]

    def forget(self, numbers: AbstractSet[int]) -> bool:
        """Forget labels of these numbers, and the features that no other remembered label has; say whether there were any.

        What was learned from them about words that others have, too, stays.
        """
        gone = [example for example in self._memory if example.number in numbers]
        if not gone:
            return False
        self._memory = [example for example in self._memory if example.number not in numbers]
        own = {name for example in gone for name, _ in example.seen if name}
        for example in self._memory:
            own.difference_update(name for name, _ in example.seen)
        for name in own:
            self._weights.pop(name, None)
            self._squares.pop(name, None)
        for example in gone:  # one by one: whether they went together is not part of the version
            self.version = sha256(f"{self.version} without {example.number}".encode()).hexdigest()
        return True

    # ----------------------------------------------------------------------------------------- kept and read again

    def settle(self) -> None:
        """Forget what weighs next to nothing and round the rest, so that what is written down is what goes on."""
        kept = {name: [round(one, _DIGITS) for one in known] for name, known in self._weights.items()}
        self._weights = {name: known for name, known in kept.items() if max(known) >= _LEAST or min(known) <= -_LEAST}
        self._squares = {name: round(self._squares[name], _DIGITS) for name in self._weights}
        self._walk, self._evidence = round(self._walk, 9), round(self._evidence, _DIGITS)

    def copy(self) -> Self:
        """Return a learner that knows the same and goes its own way."""
        made = copy(self)
        made.__dict__.update(
            _weights={name: list(known) for name, known in self._weights.items()},
            _squares=dict(self._squares),
            _memory=list(self._memory),
        )
        return made

    def dump(self) -> dict[str, Any]:
        """Return all it knows as plain values; of the labels seen again only their numbers."""
        return {
            "count": self.count,
            "version": self.version,
            "walk": self._walk,
            "evidence": self._evidence,
            "weights": self._weights,
            "squares": self._squares,
            "memory": self.remembered,
        }

    @classmethod
    def load(cls, classes: Sequence[str], kept: Mapping[str, Any], example: Callable[[int], Example | None]) -> Self:
        """Return the learner that `dump` wrote down. `example` gives the label of a number, None where it is gone."""
        made = cls(classes)
        made.count, made.version = kept["count"], kept["version"]
        made._walk, made._evidence = kept["walk"], kept["evidence"]
        made._weights, made._squares = dict(kept["weights"]), dict(kept["squares"])
        made._memory = [found for number in kept["memory"] if (found := example(number)) is not None]
        return made


def probabilities(sums: Sequence[float]) -> list[float]:
    """Return log-odds as probabilities (softmax)."""
    top = max(sums)
    grown = [exp(value - top) for value in sums]
    total = sum(grown)
    return [value / total for value in grown]


def named(values: Sequence[float], classes: Sequence[str]) -> Mapping[str, float]:
    """Return values by the name of their class."""
    return dict(zip(classes, values, strict=True))
