"""Reading again what was published, for sources that answer about one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from connectors.answers import Answer
from connectors.rereading import Reread
from pipeline.contract.errors import SourceRefusedError
from pipeline.contract.events import Mention

STATUSES: Final = (404, 410)

Ask = Callable[[str], Awaitable[Iterable[Mention]]]
"""Return what the source says now of one native id. Raises as `fetch` does, and GoneError."""


class GoneError(SourceRefusedError):
    """The source says that there is no such thing, or no longer."""


def gone(answer: Answer, now: datetime) -> GoneError | None:  # noqa: ARG001 - a Meaning gets the time
    """Return what 404 and 410 mean where one thing is asked for: give it as `meaning` to the request."""
    return GoneError("it is gone") if answer.status in STATUSES else None


async def reread(ids: Sequence[str], ask: Ask) -> Reread:
    """Return what became of each; one that is gone is absent. Raises what else `ask` raises."""
    found: list[Mention] = []
    absent: list[str] = []
    for native in ids:
        try:
            found += await ask(native)
        except GoneError:
            absent.append(native)
    return Reread(mentions=found, absent=absent)
