"""What Telegram's Bot API says, as mentions. Pure functions. Types: https://core.telegram.org/bots/api#message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, Protocol

from connectors.base import mention
from connectors.reading import mapping, timestamp, walk
from pipeline.contract.events import Author, Kind, Mention, State

SOURCE: Final = "telegram"
SITE: Final = "https://t.me"
KINDS: Final = ("message", "channel_post", "business_message", "guest_message")
"""What new messages are called in an update; an edit has `edited_` before it."""
DELETED: Final = "deleted_business_messages"

Row = dict[str, Any]


def of_update(update: Row) -> Iterator[Row]:
    """Yield the message an update brings, or a row for each message that it says is deleted."""
    for name in (*KINDS, *(f"edited_{kind}" for kind in KINDS)):
        if isinstance(update.get(name), dict):
            yield update[name]
    deleted = update.get(DELETED)
    if isinstance(deleted, dict):
        yield from _deleted(deleted)


def rows_of(values: Iterable[Any]) -> Iterator[Row]:
    """Yield every object in the answers, and a row for each message that one of them says is deleted."""
    for row in walk(iter(values)):
        yield row
        if isinstance(row.get(DELETED), dict):
            yield from _deleted(row[DELETED])


class Wanted(Protocol):
    """Settings that say which chats are heard."""

    @property
    def chats(self) -> tuple[str, ...]:
        """Names or ids; none is all."""

    @property
    def private(self) -> bool:
        """Whether what is written to the bot or a business account is heard."""


def is_heard(row: Row, wanted: Wanted) -> bool:
    """Whether a message's chat is one of those to be heard."""
    chat = mapping(row.get("chat"))
    if chat.get("type") == "private":
        return wanted.private
    names = {str(chat.get("id")), str(chat.get("username") or "").lower()}
    return not wanted.chats or bool(names & {name.lstrip("@").lower() for name in wanted.chats})


def _deleted(found: Row) -> Iterator[Row]:
    for native in found.get("message_ids") or ():
        yield {"earshot_deleted": native, "chat": found.get("chat")}


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that a message is; None where it has no words, or is another kind of object."""
    chat = row.get("chat")
    if not isinstance(chat, dict) or "id" not in chat:
        return None
    if "earshot_deleted" in row:
        native = f"{chat['id']}/{row['earshot_deleted']}"
        at = int(now.timestamp() * 1000)
        return mention(SOURCE, native, created_at=now, now=now, state=State.DELETED, revision=at)
    if not {"message_id", "date"} <= row.keys():
        return None
    text, entities = words_of(row)
    written_at, edited_at = timestamp(row["date"]), timestamp(row.get("edit_date"))
    if not text.strip() or written_at is None or not row["date"]:  # 0: a message that the bot may not see any more
        return None
    above = row.get("reply_to_message")
    parent = above.get("message_id") if isinstance(above, dict) else None
    top = row.get("message_thread_id") or (above or {}).get("message_thread_id") or parent or row["message_id"]
    return mention(
        SOURCE,
        f"{chat['id']}/{row['message_id']}",
        created_at=written_at,
        now=now,
        text=text,
        kind=_kind(chat, parent),
        state=State.EDITED if edited_at else None,
        revision=int(edited_at.timestamp() * 1000) if edited_at else 0,
        url=address(chat, row),
        author=_author(row),
        conversation=f"{SOURCE}:{chat['id']}/{top}",
        in_reply_to=f"{SOURCE}:{chat['id']}/{parent}" if parent else None,
        subject=str(chat.get("username") or chat.get("title") or "") or None,
        tags=list(_tags(text, entities)),
        links=list(_links(text, entities)),
    )


def words_of(row: Row) -> tuple[str, list[Row]]:
    """Return a message's text, or what stands beside its picture or in its poll, and what parts of it are."""
    poll = row.get("poll")
    if isinstance(row.get("text"), str):
        text, entities = row["text"], row.get("entities")
    elif isinstance(row.get("caption"), str):
        text, entities = row["caption"], row.get("caption_entities")
    elif isinstance(poll, dict) and isinstance(poll.get("question"), str):
        options = [str(one.get("text") or "") for one in poll.get("options") or () if isinstance(one, dict)]
        text, entities = "\n".join([poll["question"], *options]), poll.get("question_entities")
    else:
        return "", []
    return text, [one for one in entities or () if isinstance(one, dict)]


def piece(text: str, entity: Row) -> str:
    """Return the part of a text that an entity is about. Its place is in code units of UTF-16: an emoji has two."""
    begin, length = int(entity.get("offset") or 0), int(entity.get("length") or 0)
    units = text.encode("utf-16-le", "surrogatepass")
    return units[2 * begin : 2 * (begin + length)].decode("utf-16-le", "ignore")


def _tags(text: str, entities: list[Row]) -> Iterator[str]:
    for entity in entities:
        if entity.get("type") == "hashtag":
            yield piece(text, entity).lstrip("#").partition("@")[0].lower()


def _links(text: str, entities: list[Row]) -> Iterator[str]:
    for entity in entities:
        if entity.get("type") == "text_link" and isinstance(entity.get("url"), str):
            yield entity["url"]
        elif entity.get("type") == "url":
            found = piece(text, entity)
            yield found if "://" in found else f"https://{found}"


def _kind(chat: Row, parent: Any) -> Kind:
    if chat.get("type") == "channel":
        return Kind.POST
    return Kind.COMMENT if parent else Kind.MESSAGE


def address(chat: Row, row: Row) -> str | None:
    """Return where a person can read a message; that of a closed group opens for its members. None in other chats."""
    topic = f"/{row['message_thread_id']}" if row.get("is_topic_message") and row.get("message_thread_id") else ""
    if chat.get("type") == "private":
        return None
    if chat.get("username"):
        return f"{SITE}/{chat['username']}{topic}/{row['message_id']}"
    inner = str(chat["id"]).removeprefix("-100")
    return f"{SITE}/c/{inner}{topic}/{row['message_id']}" if inner.isdecimal() else None


def _author(row: Row) -> Author | None:
    """Return who wrote it: the chat on whose behalf it was sent; then `from` names a bot that stands in for it."""
    who = row.get("sender_chat")
    is_person = not isinstance(who, dict)
    if is_person:
        who = row.get("from") or (row["chat"] if row["chat"].get("type") in ("channel", "private") else None)
    if not isinstance(who, dict) or "id" not in who:
        return None
    name = " ".join(filter(None, (who.get("first_name"), who.get("last_name")))) or who.get("title")
    bot = who.get("is_bot")
    return Author(
        id=str(who["id"]),
        handle=who.get("username") or None,
        name=name or None,
        url=f"{SITE}/{who['username']}" if who.get("username") else None,
        bot=bot if isinstance(bot, bool) else None,
    )
