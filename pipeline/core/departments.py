"""Which departments get a mention: the company's own routes first, then the shares of the model, then `review`.

Order, easy to predict: routes are tried as they stand in the file. What a matching route names in `to` is sent there;
`not_to` forbids whatever anybody else says; `mute` means nobody; the first that says a priority sets it; `stop` ends
the search. When no route named a department, the shares decide. What neither can decide goes to `review`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from msgspec import Struct

from pipeline.config.model import Department, Route, Routing
from pipeline.contract.events import Priority
from pipeline.core.routing.shipped import CANONICAL

REVIEW: Final = "review"
_share: Final = itemgetter(1)


@dataclass(slots=True)
class Orders:
    """What the company's matching routes say together."""

    to: dict[str, str] = field(default_factory=dict)  # department -> the route that named it
    not_to: set[str] = field(default_factory=set)
    muted_by: str | None = None
    priority: Priority | None = None
    matched: list[tuple[Route, tuple[str, ...]]] = field(default_factory=list)


NO_ORDERS: Final = Orders()
"""What is said where no route matched; shared, so never changed."""


class Placing(Struct, frozen=True, gc=False):
    """Where a mention goes: `by` as in `Decision`, `nearly` the department that came next."""

    departments: tuple[str, ...]
    by: str
    nearly: str | None
    confidence: float


def orders(routes: Iterable[Route], matched: Mapping[str, Sequence[str]]) -> Orders:
    """Return what the routes that matched say, in their order. `matched`: route name -> terms."""
    if not matched:
        return NO_ORDERS
    said = Orders()
    for route in routes:
        terms = matched.get(route.name)
        if terms is None:
            continue
        said.matched.append((route, tuple(terms)))
        for department in route.to:
            said.to.setdefault(department, route.name)
        said.not_to.update(route.not_to)
        if route.mute and said.muted_by is None:
            said.muted_by = route.name
        if route.priority and said.priority is None:
            said.priority = Priority(route.priority)
        if route.stop:
            break
    return said


class Departments:
    """The departments of a configuration, and which of the four shipped ones each of them is."""

    def __init__(self, departments: Mapping[str, Department], routing: Routing) -> None:
        self._review_below, self._also_above = routing.review_below, routing.also_above
        self.of: dict[str, tuple[str, ...]] = {
            canonical: tuple(
                name
                for name, department in departments.items()
                if department.like == canonical or (name == canonical and department.like is None)
            )
            for canonical in CANONICAL
        }
        self.canonical = {name: canonical for canonical, names in self.of.items() for name in names}

    def place(self, shares: Mapping[str, float], said: Orders) -> Placing:
        """Return where a mention goes, given the shares of the four shipped departments and what routes say."""
        return self._by_orders(shares, said) if said.to or said.not_to else self._by_shares(shares)

    def _by_orders(self, shares: Mapping[str, float], said: Orders) -> Placing:
        ranked = sorted(shares, key=shares.__getitem__, reverse=True)
        named = [name for name in said.to if name not in said.not_to]
        if named:
            nearly = self._first(ranked, {*named, *said.not_to})
            return Placing(tuple(named), f"rule:{said.to[named[0]]}", nearly, 1.0)
        standing = [(names, shares[canonical]) for canonical in ranked if (names := self._open(canonical, said))]
        if not standing:
            return Placing((REVIEW,), REVIEW, None, 0.0)
        names, best = standing[0]
        if best < self._review_below:
            return Placing((REVIEW,), REVIEW, names[0], best)
        for further, share in standing[1:]:
            if share < self._also_above:
                break
            names = (*names, *further)
        return Placing(names, "model", self._first(ranked, {*names, *said.not_to}), best)

    def _by_shares(self, shares: Mapping[str, float]) -> Placing:
        """Return where the shares alone place a mention, as for most: the same as with orders that forbid nothing."""
        ranked = sorted(shares.items(), key=_share, reverse=True)
        names: tuple[str, ...] = ()
        best = 0.0
        for canonical, share in ranked:
            further = self.of[canonical]
            if not further:
                continue
            if not names:
                if share < self._review_below:
                    return Placing((REVIEW,), REVIEW, further[0], share)
                names, best = further, share
            elif share < self._also_above:
                return Placing(names, "model", further[0], best)
            else:
                names = (*names, *further)
        return Placing(names, "model", None, best) if names else Placing((REVIEW,), REVIEW, None, 0.0)

    def _open(self, canonical: str, said: Orders) -> tuple[str, ...]:
        names = self.of[canonical]
        return tuple(name for name in names if name not in said.not_to) if said.not_to else names

    def _first(self, ranked: Iterable[str], taken: set[str]) -> str | None:
        """Return the department with the largest share that does not get it and may."""
        for canonical in ranked:
            for name in self.of[canonical]:
                if name not in taken:
                    return name
        return None
