"""What words are about, as far as the shipped rules know: a word speaks of the rules whose wordings it occurs in.

"lounge" fires no rule, "refund" does, and "money" stands in many wordings of the rule about refunds: all three are
learned from together. So a label about one word says something of others that nobody has taught yet, in every language
of the rules. Written by hand, as the rules are, and changed with them; nothing is trained.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from math import log, log1p, sqrt
from typing import Final

from pipeline.core.routing.shipped import Rule, shipped
from pipeline.core.routing.wordings import words

EXAMPLE: Final = 0.5  # of a word in an example of a rule, beside one in a wording
_PART: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*\*?")
_LEAST: Final = 3  # letters before *

Topic = tuple[tuple[str, float], ...]


class Topics:
    """For each word the rules it speaks of, and how much."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        whole: defaultdict[str, Counter[str]] = defaultdict(Counter)
        beginnings: defaultdict[str, Counter[str]] = defaultdict(Counter)
        count = 0
        for rule in rules:
            count += 1
            for wording in (wording for wordings in rule.when.values() for wording in wordings):
                for part in set(_PART.findall(wording.lower())):
                    if part.endswith("*"):
                        beginnings[part[:-1]][rule.name] += 1
                    else:
                        whole[part][rule.name] += 1
            for example in rule.examples:
                for word in set(words(example)):
                    whole[word][rule.name] += EXAMPLE  # type: ignore[assignment] # a Counter may count halves
        self._whole, self._beginnings, self._count = dict(whole), dict(beginnings), count
        self._opens = frozenset(beginning[:_LEAST] for beginning in beginnings)

    def of(self, word: str) -> Topic:
        """Return the rules a word speaks of with values whose squares sum to 1 at most, 0 for a word of all rules."""
        known = self._whole.get(word)
        if known is None and word[:_LEAST] not in self._opens:
            return ()  # as most new words
        found = Counter(known)
        for size in range(_LEAST, len(word) + 1):
            beginning = self._beginnings.get(word[:size])
            if beginning is not None:
                found.update(beginning)
        if not found or len(found) >= self._count:
            return ()
        grown = {name: log1p(times) for name, times in found.items()}
        rare = log(self._count / len(found)) / log(self._count)
        scale = rare / sqrt(sum(value * value for value in grown.values()))
        return tuple((name, value * scale) for name, value in sorted(grown.items()))


@lru_cache(maxsize=1)
def topics() -> Topics:
    """Return what words are about by the rules that come with earshot."""
    return Topics(shipped().rules)
