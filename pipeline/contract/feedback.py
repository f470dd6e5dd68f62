"""Feedback as people and programs write it, in JSON: the command's file, the webhook's body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pipeline.contract.codec import MAX_VALUE_BYTES, clean, encode, mention_from_json
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Feedback, Label, Mention, Reason

MAX_NAME: Final = 200  # characters of who says it, and of a department's name
NOTHING: Final = "nothing to learn: name a department, a sentiment, or whether it is spam; or say ours or done"
EXAMPLE: Final = 'write {"mention": {"id": "1", "text": "…"}, "department": "support"}'


def feedback_from_json(row: Any, *, now: datetime, by: str | None = None) -> Feedback:
    """Return the feedback in a JSON object; `by` is who says it where the object does not.

    `{"id": "mastodon:1", "department": "support", "by": "Ida"}`, or `mention` in place of `id`: as `earshot import`
    takes it, whose id becomes the feedback's. Raises InvalidMessageError that names the field and quotes nothing.
    """
    if not isinstance(row, Mapping):
        raise InvalidMessageError(f"expected a JSON object, got {type(row).__name__}: {EXAMPLE}")
    mention = _mention(row.get("mention"), now)
    name = mention.id if mention is not None else _text(row, "id")
    if not name:
        raise InvalidMessageError("`id` is missing: name the mention by its id, source:native_id, or send `mention`")
    said_by = _text(row, "by") or by
    if not said_by:
        raise InvalidMessageError('`by` is missing: say whose word it is, for example "by": "Ida"')
    feedback = Feedback(
        id=name,
        at=now,
        by=said_by,
        department=_text(row, "department"),
        ours=bool(_flag(row, "ours")),
        done=bool(_flag(row, "done")),
        sentiment=_label(row),
        spam=_flag(row, "spam"),
        mention=mention,
    )
    if not says_something(feedback):
        raise InvalidMessageError(NOTHING)
    if len(encode(feedback)) > MAX_VALUE_BYTES:
        raise InvalidMessageError(f"a feedback may have {MAX_VALUE_BYTES} bytes", Reason.TOO_LARGE)
    return feedback


def says_something(feedback: Feedback) -> bool:
    """Whether there is anything in it to learn or to note."""
    has_opinion = feedback.department is not None or feedback.sentiment is not None or feedback.spam is not None
    return has_opinion or feedback.ours or feedback.done


def _mention(given: Any, now: datetime) -> Mention | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidMessageError(f"`mention` must be an object: {EXAMPLE}")
    return mention_from_json(given, now=now)


def _text(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidMessageError(f"`{name}` must be a string")
    text = clean(value).strip()
    if len(text) > (MAX_NAME if name != "id" else 10 * MAX_NAME):
        raise InvalidMessageError(f"`{name}` is too long")
    return text or None


def _flag(row: Mapping[str, Any], name: str) -> bool | None:
    value = row.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidMessageError(f"`{name}` must be true or false")
    return value


def _label(row: Mapping[str, Any]) -> Label | None:
    value = _text(row, "sentiment")
    try:
        return None if value is None else Label(value)
    except ValueError:
        raise InvalidMessageError(f"`sentiment` is none of {', '.join(Label)}") from None
