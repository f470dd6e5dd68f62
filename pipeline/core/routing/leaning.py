"""What rules and the hand-set model say together about where a text belongs: looked up and added in one step.

`shipped.py` knows what a rule says and `model.py` what a form adds, and both remember what they said: the compiled part
only finds it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pipeline.contract.events import Fired, Kind
from pipeline.core.intents import Intent
from pipeline.core.native import pick
from pipeline.core.routing.model import CONTRASTS, FEW, MATTER, TECHNICAL, HandSet, Seen
from pipeline.core.routing.shipped import Shipped

Leaning = tuple[list[float], tuple[Fired, ...], tuple[Fired, ...]]
"""Sums in the order of CANONICAL, what rules say, what the model says."""
Parts = tuple[Shipped, HandSet]
Tables = tuple[Any, ...]
"""What the compiled part looks up in, and whom it asks for what is new there."""


def tables_of(rules: Shipped, model: HandSet) -> Tables:
    """Return the tables of rules and model."""
    return rules.spoken, rules.say, model.known, model.learn, CONTRASTS, TECHNICAL, MATTER, FEW


def leaning_twin(
    parts: Parts,
    _: Tables,
    found: Mapping[int, list[str]],
    intents: Sequence[Intent],
    text: str,
    words: Sequence[str],
    sentiment: float,
    rating: float | None,
    kind: Kind,
) -> Leaning:
    """Return what the rules found in a text and its form say; the arguments are the fields of `Seen`."""
    rules, model = parts
    (service, support, design, marketing), fired = rules.speak(found)
    seen = Seen(words, text, found, intents, sentiment, rating, kind)
    (a, b, c, d), terms = model.judge(seen, (service, support, design, marketing))
    return [service + a, support + b, design + c, marketing + d], fired, terms


leaning: Final[
    Callable[
        [Parts, Tables, Mapping[int, list[str]], Sequence[Intent], str, Sequence[str], float, float | None, Kind],
        Leaning,
    ]
] = pick("leaning", leaning_twin)
