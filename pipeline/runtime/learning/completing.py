"""Feedback made whole: with the mention that it only names, and what had been decided about it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Feedback, JudgedMention, Reason
from pipeline.runtime.finding import newest
from pipeline.runtime.reading import Message

UNKNOWN_MENTION: Final = "unknown_mention"
UNKNOWN_DEPARTMENT: Final = "unknown_department"


class NotWholeError(Exception):
    """A feedback that goes to the dead letters, with its `reason`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def missing(client: Mapping[str, Any], messages: Sequence[Message]) -> dict[str, JudgedMention]:
    """Return the decisions about mentions that feedback only names, looked up together; of those that are kept.

    Raises BrokerUnavailableError.
    """
    wanted = set()
    for message in messages:
        with contextlib.suppress(InvalidMessageError):
            feedback = codec.decode(Feedback, message.value())
            if feedback.mention is None:
                wanted.add(feedback.id)
    return newest(client, wanted) if wanted else {}


def whole(feedback: Feedback, mentions: Mapping[str, JudgedMention], departments: Collection[str]) -> Feedback:
    """Return the feedback with its mention. Raises NotWholeError where nothing is known of it, or of its department."""
    if feedback.department is not None and feedback.department not in departments:
        known = ", ".join(sorted(departments))
        raise NotWholeError(UNKNOWN_DEPARTMENT, f"there is no such department; departments are {known}")
    if feedback.mention is not None:
        if feedback.mention.id != feedback.id:
            raise NotWholeError(Reason.INVALID.value, "`id` and `mention.id` differ: send one of them, or the same")
        return feedback
    judged = mentions.get(feedback.id)
    if judged is None:
        raise NotWholeError(
            UNKNOWN_MENTION,
            "no decision about this mention is kept: send the mention itself with the feedback, or check the id",
        )
    return replace(
        feedback,
        mention=judged,
        departments=feedback.departments or judged.departments,
        rules=feedback.rules or tuple(rule.name for rule in judged.decision.rules),
    )
