"""What words are about: a word speaks of the rules whose wordings it occurs in, and of the groups in which it stands.

"pounds" fires no rule and "refund" does, but both are about money: what is learned of one is learned of the other, too.
So a label about one word says something of others that nobody has taught yet, in every language of the rules. Groups
are in `pipeline/rules/topics.yaml`. All is written by hand, and nothing of it is trained.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from math import log, log1p, sqrt
from typing import Final

import yaml

from pipeline.core.routing.shipped import Rule, shipped
from pipeline.core.routing.wordings import words

EXAMPLE: Final = 0.5  # of a word in an example of a rule, beside one in a wording
GROUP: Final = 0.6  # of the groups of a word, beside the rules
_PART: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*\*?")
_LEAST: Final = 3  # letters before *

Topic = tuple[tuple[str, float], ...]


class _Index:
    """Words and beginnings of words, each with what it stands for."""

    def __init__(self) -> None:
        self._whole: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._beginnings: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._opens: set[str] = set()

    def add(self, part: str, name: str, times: float = 1.0) -> None:
        """Let a word, or one with any ending (`word*`), stand for a name so many times more."""
        known, word = (self._beginnings, part[:-1]) if part.endswith("*") else (self._whole, part)
        known[word][name] += times  # type: ignore[assignment] # a Counter may count halves
        if known is self._beginnings:
            self._opens.add(word[:_LEAST])

    def of(self, word: str) -> Counter[str]:
        """Return what a word stands for, and how many times."""
        found = Counter(self._whole.get(word))
        if word[:_LEAST] in self._opens:
            for size in range(_LEAST, len(word) + 1):
                beginning = self._beginnings.get(word[:size])
                if beginning is not None:
                    found.update(beginning)
        return found


class Topics:
    """For each word the rules and the groups it speaks of, and how much. `groups` are parts by name."""

    def __init__(self, rules: Iterable[Rule], groups: Mapping[str, Iterable[str]] | None = None) -> None:
        self._rules, self._groups, self._count = _Index(), _Index(), 0
        for rule in rules:
            self._count += 1
            for wording in (wording for wordings in rule.when.values() for wording in wordings):
                for part in set(_PART.findall(wording.lower())):
                    self._rules.add(part, rule.name)
            for example in rule.examples:
                for word in set(words(example)):
                    self._rules.add(word, rule.name, EXAMPLE)
        for name, parts in (groups or {}).items():
            for part in parts:
                self._groups.add(part, "group/" + name)

    def of(self, word: str) -> Topic:
        """Return what a word speaks of.

        The squares of the rules' values sum to 1 at most, and to 0 for a word of all rules; those of the groups to the
        square of GROUP.
        """
        return (*self._of_rules(word), *self._of_groups(word))

    def _of_rules(self, word: str) -> Topic:
        found = self._rules.of(word)
        if not found or len(found) >= self._count:
            return ()
        grown = {name: log1p(times) for name, times in found.items()}
        rare = log(self._count / len(found)) / log(self._count)
        scale = rare / sqrt(sum(value * value for value in grown.values()))
        return tuple((name, value * scale) for name, value in sorted(grown.items()))

    def _of_groups(self, word: str) -> Topic:
        found = self._groups.of(word)
        return tuple((name, GROUP / sqrt(len(found))) for name in sorted(found))


def groups() -> dict[str, tuple[str, ...]]:
    """Return the parts of the shipped groups by name, of all languages."""
    text = (files("pipeline") / "rules" / "topics.yaml").read_text(encoding="utf-8")
    rows = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["topics"]  # noqa: S506 - the safe loader, in C where it is there
    return {row["name"]: tuple(part for text in row["words"].values() for part in text.split()) for row in rows}


@lru_cache(maxsize=1)
def topics() -> Topics:
    """Return what words are about by the rules and groups that come with earshot."""
    return Topics(shipped().rules, groups())
