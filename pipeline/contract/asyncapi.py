"""The map as an AsyncAPI 3.0 document: servers, channels, messages, and which stage sends and receives what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pipeline.contract import events
from pipeline.contract.codec import TYPES
from pipeline.contract.schema import file_name, schema, slug
from pipeline.topology import BRANDS, DEPARTMENT, STAGES, Stage, Topic

SHIPPED: Final = ("service", "support", "design", "marketing")
"""The departments of an installation that names none; the page is made for it."""
DEAD_LETTER: Final = "dead-letter"
DEAD_LETTER_HEADERS: Final = {
    "dlq_topic": "the topic it was read from",
    "dlq_partition": "its partition there; -1 where a source's answer could not be read",
    "dlq_offset": "its offset there; -1 where a source's answer could not be read",
    "dlq_reason": "why: undecodable, invalid, too_large or failed",
    "dlq_error": "the error in words; never quotes the message",
    "dlq_stage": "the stage that could not carry it out",
    "dlq_at": "when, RFC 3339",
}
JUDGED_HEADERS: Final = {
    "ce_departments": "who got it, joined by commas",
    "ce_brands": "whom it is about, joined by commas",
    "ce_story": "the story it belongs to",
}
PRIVATE: Final = (BRANDS,)
"""Topics that only their own stage reads: their records are no events and carry no CloudEvents headers."""
_KAFKA: Final = "0.5.0"


def document(topics: Sequence[Topic], stages: Sequence[Stage] = STAGES) -> dict[str, Any]:
    """Return the AsyncAPI document of an installation with these topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "earshot",
            "version": "1.0.0",
            "description": (
                "What customers say, on its way to the department that can act on it. Read every topic with "
                "`isolation.level=read_committed`: what is in a transaction that was aborted does not count. "
                "Pass over keys and headers you do not know. A null value is a tombstone."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{host}:{port}",
                "protocol": "kafka",
                "description": "The broker that `earshot up` names on its screen, or the one you configured.",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "9092"}},
                "bindings": {"kafka": {"bindingVersion": _KAFKA}},
            }
        },
        "channels": {name: _channel(name, topic) for name, topic in _channels(topics).items()},
        "operations": dict(_operations(topics, stages)),
        "components": {
            "messages": {
                **{slug(event): _message(event) for event in TYPES},
                DEAD_LETTER: {
                    "name": DEAD_LETTER,
                    "title": "Dead letter",
                    "summary": "What could not be carried out: key, value and headers as they came, and why.",
                    "contentType": "application/octet-stream",
                    "headers": {
                        "type": "object",
                        "required": [*DEAD_LETTER_HEADERS],
                        "properties": _texts(DEAD_LETTER_HEADERS),
                    },
                },
            },
            "messageTraits": {"cloudevents": {"headers": _cloud_events()}},
        },
    }


def channel_of(topic: str) -> str:
    """Return the channel of a topic: `department` for every department, else the topic's own name."""
    return "department" if topic.startswith(DEPARTMENT) else topic


def messages_of(topic: Topic) -> list[str]:
    """Return the names of the messages on a topic; none where its values are private."""
    if topic.name.endswith("-dlq"):
        return [DEAD_LETTER]
    return [slug(event) for event in (topic.event, *topic.also) if event is not None]


def _channels(topics: Iterable[Topic]) -> dict[str, Topic]:
    found: dict[str, Topic] = {}
    for topic in topics:
        found.setdefault(channel_of(topic.name), topic)
    return found


def _channel(name: str, topic: Topic) -> dict[str, Any]:
    is_department = name == "department"
    address = f"{DEPARTMENT}{{department}}" if is_department else topic.name
    means = "what a department can act on, or a person should look at" if is_department else topic.means
    notes = [f"Key: {topic.key}."]
    if topic.name in PRIVATE:
        notes.append("The records carry no CloudEvents headers.")
    if topic.event is None:
        notes.append("The values are the writing stage's own business and change without notice.")
    made: dict[str, Any] = {"address": address, "title": address, "summary": means, "description": " ".join(notes)}
    if is_department:
        made["parameters"] = {
            "department": {
                "description": "A department of `earshot.yaml`, or `review` for what a person should look at.",
                "default": SHIPPED[0],
                "examples": [*SHIPPED, "review"],
            }
        }
    kept = {
        "cleanup.policy": topic.cleanup.split(","),
        "retention.ms": -1 if topic.retention is None else round(topic.retention * 1000),
        "max.message.bytes": topic.max_message_bytes,
    }
    binding = {"partitions": topic.partitions, "replicas": topic.replication, "topicConfiguration": kept}
    return {
        **made,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in messages_of(topic)},
        "bindings": {"kafka": {**binding, "bindingVersion": _KAFKA}},
    }


def _operations(topics: Sequence[Topic], stages: Sequence[Stage]) -> Iterable[tuple[str, Any]]:
    """Yield one operation per stage and channel."""
    found = _channels(topics)
    for stage in stages:
        for action, verb, names in (("receive", "reads", stage.reads), ("send", "writes", stage.writes)):
            for name in dict.fromkeys(channel_of(one) for one in names):
                yield (
                    f"{stage.name}-{verb}-{name}",
                    {
                        "action": action,
                        "channel": {"$ref": f"#/channels/{name}"},
                        "title": f"{stage.name} {verb} {found[name].name if name != 'department' else 'department topics'}",
                        "summary": f"{stage.name} ({stage.engine}): {stage.does}",
                        "messages": [{"$ref": f"#/channels/{name}/messages/{one}"} for one in messages_of(found[name])],
                    },
                )


def _message(event: type) -> dict[str, Any]:
    means = str(schema(event)["description"]).split("\n", maxsplit=1)[0]
    made: dict[str, Any] = {
        "name": TYPES[event],
        "title": event.__name__,
        "summary": means,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudevents"}],
        "payload": {"$ref": f"./schemas/{file_name(event)}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _KAFKA}},
    }
    if event is events.JudgedMention:
        made["headers"] = {"type": "object", "properties": _texts(JUDGED_HEADERS)}
    return made


def _cloud_events() -> dict[str, Any]:
    """Return the schema of the headers: CloudEvents 1.0, Kafka binding, binary mode."""
    said = {
        "ce_specversion": "always 1.0",
        "ce_id": "names the event within its source; a repeated delivery repeats it",
        "ce_type": "what the value is, with its version",
        "ce_source": "who wrote it: earshot/<role>/<name>",
        "ce_time": "when, RFC 3339",
        "content-type": "always application/json",
    }
    properties = _texts(said)
    properties["ce_specversion"]["const"] = "1.0"
    properties["ce_type"]["enum"] = sorted(TYPES.values())
    properties["content-type"]["const"] = "application/json"
    return {"type": "object", "required": [*said], "properties": properties}


def _texts(said: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {name: {"type": "string", "description": text} for name, text in said.items()}
