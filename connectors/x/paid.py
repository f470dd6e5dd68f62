"""What the search and the stream of X have in common: a token, a budget for what is read, and reading it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import Field, SecretStr

from connectors import auth
from connectors.answers import Answer
from connectors.base import Connector, Settings
from connectors.limits import Budget, Limit
from connectors.rereading import DAY, Reread, Rereading
from connectors.x import lookup, refusals
from connectors.x.lookup import USD
from pipeline.contract.errors import EarshotError


class PaidSettings(Settings):
    """Who asks, and what it may cost."""

    token: SecretStr
    """Bearer token of the app."""
    budget: Budget = Budget()
    """The most that may be spent in a day or a month, in US dollars: `{per_day: 5, per_month: 100}`."""
    price: float = Field(default=0.005, ge=0)
    """What one post costs, in US dollars."""
    recheck: bool = True
    """Whether every post is read again after a day and after a week, for edits and deletions; it costs as before."""


PaidT = TypeVar("PaidT", bound=PaidSettings)


class Paid(Connector[PaidT]):
    """A source of X's posts, each of which is paid for."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        if self.settings.recheck:
            self.rereads = Rereading(ages=(DAY, 7 * DAY), batch=100)  # those who do not pay for it have none

    @property
    def api(self) -> str:
        """Return the address of the API."""
        raise NotImplementedError

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.token)

    def limits(self) -> Sequence[Limit]:
        return self.settings.budget.limits(USD)

    def judge(self, answer: Answer) -> EarshotError | None:
        return refusals.meaning(answer, self.clock())

    async def reread(self, ids: Sequence[str]) -> Reread:
        return await lookup.again(self.http, f"{self.api}/2/tweets", ids, self.settings.price, self.clock())
