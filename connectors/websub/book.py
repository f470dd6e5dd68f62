"""The subscriptions of a source: found by their addresses, kept in the cursor, without anything secret in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.base import reveal
from connectors.websub import signature, subscriptions
from connectors.websub.discovery import Announced
from connectors.websub.settings import FeedSettings, WebSubSettings
from connectors.websub.subscriptions import Subscription


class Book:
    """What is wanted of hubs, what they have promised, and what is between us and each. Times are in epoch seconds."""

    def __init__(self, settings: WebSubSettings) -> None:
        self._settings = settings
        self._secret = reveal(settings.secret) or ""
        self._mark = signature.name_of(self._secret, "", "", settings.address)
        self._feeds = {feed.url for feed in settings.feeds}
        self._known: dict[str, Subscription] = {}  # by the last part of their addresses

    def __iter__(self) -> Iterator[Subscription]:
        return iter(tuple(self._known.values()))

    def get(self, name: str) -> Subscription | None:
        """Return the subscription whose address ends so."""
        return self._known.get(name)

    def put(self, one: Subscription) -> None:
        """Take the place of what was known of it."""
        self._known[self._name(one)] = one

    def now(self, one: Subscription) -> Subscription:
        """Return what is known of it by now."""
        return self._known.get(self._name(one), one)

    def _name(self, one: Subscription) -> str:
        return signature.name_of(self._secret, one.feed, one.hub, one.topic)

    def secret(self, one: Subscription) -> str:
        """Return what its hub signs with."""
        return signature.secret_of(self._secret, one.feed, one.hub, one.topic)

    def is_live(self, feed: str, now: float) -> bool:
        """Whether a hub has promised to push this feed."""
        return any(one.is_live(now) and not one.is_leaving for one in self if one.feed == feed)

    def challenge(self, name: str, query: Mapping[str, str], now: float) -> str | None:
        """Return what to answer to a hub's question; None where we did not ask for it."""
        found = subscriptions.answered(self._known.get(name), query, now, self._settings.lease)
        if found is None:
            return None
        text, left = found
        if left is None:
            del self._known[name]
        else:
            self._known[name] = left
        return text

    def named(self, feed: FeedSettings, found: Announced, now: float) -> None:
        """Want what a feed names, or the settings name for it, and nothing else."""
        if feed.hub is not None:
            found = Announced((feed.hub,), feed.topic or found.topic or feed.url)
        elif feed.topic is not None:
            found = Announced(found.hubs, feed.topic)
        ours = [one for one in self if one.feed == feed.url]
        for one in ours:
            del self._known[self._name(one)]
        for one in subscriptions.after_reading(ours, feed.url, found, now):
            self.put(one)

    def awaiting(self, now: float) -> list[Subscription]:
        """Return those about which a hub is to be asked, at their `due_at`; what is over is forgotten."""
        for one in self:
            if one.is_leaving and not subscriptions.needs_an_end(one, now):
                del self._known[self._name(one)]
        chosen = [subscriptions.next_of([one for one in self if one.feed == feed], now) for feed in sorted(self._feeds)]
        return [*(one for one in chosen if one is not None), *(one for one in self if one.is_leaving)]

    def form(self, one: Subscription) -> dict[str, str]:
        """Return the request to its hub."""
        form = {
            "hub.mode": "unsubscribe" if one.is_leaving else "subscribe",
            "hub.topic": one.topic,
            "hub.callback": f"{self._settings.address}/{self._name(one)}",
        }
        if one.is_leaving:
            return form
        return {**form, "hub.lease_seconds": str(int(self._settings.lease)), "hub.secret": self.secret(one)}

    def resume(self, kept: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Take up what a cursor says; what is known already is newer.

        With another secret or another address hubs do not find us any more: then all is asked for anew.
        """
        if kept.get("made", {}).get("by") != self._mark:
            return
        for found in filter(None, map(subscriptions.read, kept.get("subscriptions", {}).values())):
            wanted = found if found.feed in self._feeds else subscriptions.ended(found, now)
            self._known.setdefault(self._name(found), wanted)

    def written(self) -> dict[str, dict[str, Any]]:
        """Return it for the cursor."""
        rows: Iterable[Subscription] = sorted(self, key=lambda one: (one.feed, one.hub, one.topic))
        kept = {str(number): subscriptions.written(one) for number, one in enumerate(rows)}
        return {"made": {"by": self._mark}, "subscriptions": kept}
