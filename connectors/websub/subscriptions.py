"""Subscriptions: which are asked for when, how long they last, what a hub may be told of them. Pure; times in epoch seconds.

A subscription is a feed at one hub under one topic. Rules: https://www.w3.org/TR/websub/#subscribing-and-unsubscribing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

from connectors.websub.discovery import Announced

MINUTE: Final = 60.0
DAY: Final = 86_400.0
PATIENCE: Final = 600.0
"""For how long a hub that has taken a request may take to make sure of it; each time in vain it is given twice as long."""
REFUSED: Final = 21_600.0  # a hub that refuses is asked again this seldom
LONGEST: Final = 90 * DAY  # no lease is believed to be longer
PARTINGS: Final = 3  # times a hub is asked to forget us; the lease ends in any case


@dataclass(frozen=True, slots=True)
class Subscription:
    """One feed at one hub. `tries` are those in vain since the last lease."""

    feed: str
    hub: str
    topic: str
    asked: float | None = None
    since: float = 0.0
    until: float = 0.0
    again: float = 0.0
    tries: int = 0
    is_leaving: bool = False

    def is_live(self, now: float) -> bool:
        """Whether its lease lasts."""
        return now < self.until

    def is_awaited(self, now: float) -> bool:
        """Whether the hub has been asked and may yet make sure of it."""
        return self.asked is not None and self.since < self.asked and now < self.asked + PATIENCE

    @property
    def renewed_at(self) -> float:
        """When it is asked for again: a tenth of the lease before its end, at most a day, at least a minute."""
        return max(self.since + MINUTE, self.until - min(DAY, max(MINUTE, (self.until - self.since) / 10)))

    def due_at(self, now: float) -> float:
        """Return when the hub is to be asked next: not at once again where it grants next to nothing."""
        if self.is_leaving:
            return self.again
        return max(self.again, self.renewed_at if self.is_live(now) else self.since + MINUTE)


def asked(one: Subscription, now: float) -> Subscription:
    """Return it with a request on its way."""
    return replace(one, asked=now, tries=one.tries + 1, again=now + min(DAY, PATIENCE * 2.0 ** min(one.tries, 10)))


def put_off(one: Subscription, now: float, seconds: float) -> Subscription:
    """Return it not to be asked for so long: its hub has said so."""
    return replace(one, again=max(one.again, now + min(max(0.0, seconds), DAY)))


def answered(
    one: Subscription | None, query: Mapping[str, str], now: float, wanted: float
) -> tuple[str, Subscription | None] | None:
    """Return what to answer to a hub's question, and what becomes of the subscription: None when it is over.

    None where we did not ask for it. `wanted` is the lease we ask for, in seconds.
    """
    mode, challenge = query.get("hub.mode", "").lower(), query.get("hub.challenge", "")
    if one is None or one.asked is None or not _is_same(query.get("hub.topic", ""), one.topic):
        return None
    if mode == "denied":
        return "", None if one.is_leaving else replace(one, until=min(one.until, now), again=now + DAY)
    if not challenge:
        return None
    if mode == "subscribe" and not one.is_leaving:
        lease = _lease(query.get("hub.lease_seconds", ""), wanted)
        return challenge, replace(one, since=now, until=now + lease, again=0.0, tries=0)
    if mode == "unsubscribe" and one.is_leaving:
        return challenge, None
    return None


def _lease(given: str, wanted: float) -> float:
    """Return the seconds a hub grants; what was asked for where it does not say."""
    found = int(given) if re.fullmatch(r"[0-9]{1,12}", given) else 0
    return min(LONGEST, float(found or wanted))


def _is_same(given: str, topic: str) -> bool:
    return given == topic or unquote(given) == unquote(topic)


def after_reading(ours: Iterable[Subscription], feed: str, found: Announced, now: float) -> list[Subscription]:
    """Return the subscriptions of a feed once it was read: those it names, and those that are to end."""
    known = {(one.hub, one.topic): one for one in ours}
    topic = found.topic
    named = {(hub, topic): Subscription(feed, hub, topic) for hub in found.hubs} if topic is not None else {}
    kept = [replace(known.get(key, fresh), is_leaving=False) for key, fresh in named.items()]
    return [*kept, *(ended(one, now) for key, one in known.items() if key not in named and needs_an_end(one, now))]


def needs_an_end(one: Subscription, now: float) -> bool:
    """Whether the hub must be told that it is not wanted any more, or still may make sure of it."""
    is_told = one.is_leaving and one.tries >= PARTINGS and now >= one.again
    return (one.is_live(now) or one.is_awaited(now)) and not is_told


def ended(one: Subscription, now: float) -> Subscription:
    """Return it to be unsubscribed."""
    return one if one.is_leaving else replace(one, is_leaving=True, tries=0, again=now)


def next_of(ours: Sequence[Subscription], now: float) -> Subscription | None:
    """Return which of a feed's subscriptions is asked for next, at its `due_at`: one hub is enough.

    The one that lasts; else the one that is under way; else the one that was tried least.
    """
    wanted = [one for one in ours if not one.is_leaving]
    live = [one for one in wanted if one.is_live(now)]
    if live:
        return max(live, key=lambda one: one.until)
    return min(wanted, key=lambda one: (not one.is_awaited(now), one.tries, one.again), default=None)


def written(one: Subscription) -> dict[str, Any]:
    """Return it for the cursor, without what is as usual."""
    return {name: value for name, value in asdict(one).items() if value}


def read(given: Any) -> Subscription | None:
    """Return what was written; None where it cannot be read."""
    if not isinstance(given, dict):
        return None
    feed, hub, topic = given.get("feed"), given.get("hub"), given.get("topic")
    if not (isinstance(feed, str) and isinstance(hub, str) and isinstance(topic, str)):
        return None
    times = {name: _number(given.get(name)) for name in ("since", "until", "again")}
    tries, when = int(_number(given.get("tries"))), _number(given.get("asked"))
    return Subscription(feed, hub, topic, when or None, **times, tries=tries, is_leaving=bool(given.get("is_leaving")))


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else 0.0
