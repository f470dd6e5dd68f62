"""How soon somebody has to look at a mention."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from pipeline.contract.events import Label, Mention, Priority, Sentiment
from pipeline.core.departments import Orders
from pipeline.core.intents import Intent
from pipeline.core.routing.router import Reading

QUARANTINE: Final = 0.5  # spam score from which a person looks first
LARGE_REACH: Final = 10_000  # followers from which a negative mention is urgent
PRESSING: Final = frozenset({Intent.PROBLEM, Intent.COMPLAINT, Intent.REFUND_REQUEST})
# Members of enumerations, looked up once: Python 3.11 takes 0.2 µs for each.
_HIGH, _NORMAL, _LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW
_NEGATIVE, _ONLY_PRAISE = Label.NEGATIVE, (Intent.PRAISE,)


def urgency(
    mention: Mention,
    reading: Reading,
    sentiment: Sentiment,
    spam: float,
    said: Orders,
    departments: Iterable[str],
    soon: AbstractSet[str],
) -> Priority:
    """Return the priority: danger, law, leaving and press first, then routes, reach and what was promised.

    `soon` are the departments that promise an answer soon: theirs are urgent when something is wrong.
    """
    if reading.urgency is _HIGH and spam < QUARANTINE:
        return _HIGH
    if said.priority is not None:
        return said.priority
    if reading.urgency is _LOW:
        return _LOW
    is_negative = sentiment.label is _NEGATIVE
    reach = (mention.author.followers or 0) if mention.author else 0
    if is_negative and reach >= LARGE_REACH:
        return _HIGH
    if soon and not PRESSING.isdisjoint(reading.intents) and not soon.isdisjoint(departments):
        return _HIGH
    asks_nothing = not reading.intents or reading.intents == _ONLY_PRAISE
    return _LOW if asks_nothing and not is_negative and reach < LARGE_REACH else _NORMAL
