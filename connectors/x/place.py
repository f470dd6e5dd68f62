"""Where a search of X is: the newest id known, and the bounds and page of a walk through what is newer. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from connectors.x import ids


@dataclass(frozen=True, slots=True)
class Place:
    """The newest id of all that has been read (`known`), and a walk through what is newer.

    A walk reads the ids between `since` and `until`, newest first; `token` is its next page, `top` the newest id it has
    met. X's tokens do not expire.
    """

    known: str | None = None
    since: str | None = None
    until: str | None = None
    top: str | None = None
    token: str | None = None

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """Return the place in a cursor; the beginning where it cannot be read."""
        try:
            given = json.loads(cursor or "{}")
            found = {name: str(value) for name, value in given.items() if name in cls.__slots__ and value}
        except (ValueError, AttributeError):
            return cls()
        if any(not ids.is_id(found[name]) for name in ("known", "since", "until", "top") if name in found):
            return cls()
        return cls(**found)

    def written(self) -> str | None:
        """Return the cursor; None at the beginning."""
        return json.dumps({name: value for name, value in asdict(self).items() if value}) if self.known else None

    def params(self) -> dict[str, str]:
        """Return the bounds and the page as the search wants them."""
        given = {"since_id": self.since, "until_id": self.until, "next_token": self.token}
        return {name: value for name, value in given.items() if value}

    def after(self, found: list[str], token: object) -> tuple[Place, bool]:
        """Return the place after a page with these ids, and whether the walk is over.

        The very first question is for the newest page only: what is older was not asked for.
        """
        top = max([*found, *filter(None, (self.top, self.known))], key=int, default=None)
        if token and self.known is not None:
            return replace(self, top=top, token=str(token)), False
        if self.until is not None:  # all of a step: what follows begins where it ends
            top = max(filter(None, (top, str(int(self.until) - 1))), key=int)
        return Place(known=top), True
