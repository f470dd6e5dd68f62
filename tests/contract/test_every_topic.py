"""Every topic is a contract: event, key, schema, examples, dead letters, a page. A new topic needs no test of its own."""

import json
import re
from datetime import UTC, datetime
from functools import cache

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from pipeline import topology
from pipeline.contract import asyncapi, codec, events, publish
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.schema import file_name, schema, slug
from pipeline.runtime.dead_letters import PREFIX, Origin
from tests.contract.messages import EVENTS, FOLDER, examples, name, value

TOPICS = topology.topics(asyncapi.SHIPPED)
DEAD = [topic for topic in TOPICS if topic.name.endswith("-dlq")]
BY_NAME = {topic.name: topic for topic in TOPICS}
PAGE = yaml.safe_load((publish.FOLDER / publish.ASYNCAPI).read_text(encoding="utf-8"))
every_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
every_event = pytest.mark.parametrize("event", codec.TYPES, ids=slug)
every_example = pytest.mark.parametrize("file", examples(), ids=name)


@every_topic
def test_a_topic_has_a_name_a_key_a_meaning_and_an_end(topic):
    assert re.fullmatch(r"[a-z0-9-]+", topic.name)
    assert topic.key
    assert topic.means
    assert topic.partitions >= 1
    assert topic.retention is None or topic.retention > 0
    assert topic.retention is not None or topic.cleanup == "compact", (
        "kept for ever and never compacted: it fills the disk"
    )
    assert topic.max_message_bytes > codec.MAX_VALUE_BYTES


def test_names_of_topics_are_unique():
    assert len(BY_NAME) == len(TOPICS)


@every_topic
def test_the_events_of_a_topic_have_a_schema_and_examples(topic):
    for event in (topic.event, *topic.also):
        if event is not None:
            assert (publish.FOLDER / publish.SCHEMAS / file_name(event)).exists()
            assert examples(slug(event))


def test_only_the_stage_that_writes_a_private_topic_reads_it():
    private = {topic.name for topic in TOPICS if topic.event is None}
    assert private == {topology.BRANDS}
    for stage in topology.STAGES:
        assert private.isdisjoint(stage.reads) == private.isdisjoint(stage.writes)


def written(pattern):
    return [topic.name for topic in TOPICS if re.fullmatch(pattern.replace("*", ".*"), topic.name)]


def test_every_topic_is_written_by_a_stage_and_every_stage_knows_its_topics():
    patterns = {name for stage in topology.STAGES for name in (*stage.reads, *stage.writes)}
    assert all(written(pattern) for pattern in patterns)
    assert {name for stage in topology.STAGES for pattern in stage.writes for name in written(pattern)} == set(BY_NAME)


@pytest.mark.parametrize("topic", DEAD, ids=lambda topic: topic.name)
def test_dead_letters_are_kept_as_long_as_what_they_came_from_and_fit(topic):
    origin = BY_NAME[topic.name.removesuffix("-dlq")]
    assert topic.event is origin.event
    assert topic.cleanup == "delete"
    assert topic.retention >= origin.retention
    assert topic.max_message_bytes >= origin.max_message_bytes


def test_what_a_stage_reads_of_another_has_dead_letters():
    """Coverage and the like are read by nobody yet; a stage's own topics come from itself.

    Lessons that cannot be read are passed over by all workers alike: what they follow is one state, not work to do. Of
    erasures only the key is read.
    """
    no_work = {topology.HEARTBEATS, topology.LESSONS, topology.ERASURES}
    for stage in topology.STAGES:
        for topic in set(stage.reads) - set(stage.writes) - no_work:
            assert f"{topic}-dlq" in BY_NAME
            assert f"{topic}-dlq" in stage.writes


# -------------------------------------------------------------------------------------------------------- examples


@cache
def validator(event):
    return Draft202012Validator(schema(event), format_checker=FormatChecker())


@every_event
def test_a_schema_is_valid_and_describes_every_field(event):
    made = schema(event)
    Draft202012Validator.check_schema(made)
    assert made["title"]
    for part in (made, *made.get("$defs", {}).values()):
        assert part["description"]
        for field, said in part.get("properties", {}).items():
            assert len(said["description"]) > 5, f"{part['title']}.{field} has no comment in events.py"


@every_example
def test_an_example_is_valid_by_its_schema(file):
    validator(EVENTS[file.parent.name]).validate(value(file))


@every_example
def test_an_example_survives_the_codec(file):
    event = EVENTS[file.parent.name]
    decoded = codec.decode(event, file.read_bytes())
    again = codec.encode(decoded)
    assert codec.decode(event, again) == decoded
    validator(event).validate(json.loads(again))


@every_example
def test_an_unknown_key_is_passed_over_by_codec_and_schema(file):
    event, given = EVENTS[file.parent.name], value(file)
    more = {**given, "a_key_of_tomorrow": {"nested": [1, None]}}
    assert codec.decode(event, json.dumps(more).encode()) == codec.decode(event, file.read_bytes())
    validator(event).validate(more)


@every_example
def test_an_example_without_a_required_key_is_invalid_for_both(file):
    event, given = EVENTS[file.parent.name], value(file)
    for key in validator(event).schema["required"]:
        less = {name: inner for name, inner in given.items() if name != key}
        assert not validator(event).is_valid(less)
        with pytest.raises(InvalidMessageError, match=key):
            codec.decode(event, json.dumps(less).encode())


@every_example
def test_the_names_of_an_example_are_consistent(file):
    given = value(file)
    assert re.fullmatch(r"[a-z0-9-]+", file.stem)
    if "native_id" in given:
        assert given["id"] == f"{given['source']}:{given['native_id']}"


def test_every_example_belongs_to_an_event_and_every_event_has_one():
    assert {file.parent.name for file in examples()} == set(EVENTS)
    assert {file for file in FOLDER.rglob("*") if file.is_file()} == set(examples()), "a file that no test reads"


def cases(event, field):
    return {value(file).get(field) for file in examples(event)}


def test_the_examples_show_every_case():
    assert cases("mention", "kind") >= {kind.value for kind in events.Kind if kind is not events.Kind.POST}
    assert cases("mention", "state") >= {state.value for state in events.State if state is not events.State.LIVE}
    assert cases("mention-judged", "outcome") >= {"routed", "discarded"}
    assert cases("mention-judged", "reason") >= {None, "spam", "own_account", "too_old", "muted", "withdrawn"}
    assert cases("mention-judged", "priority") == {priority.value for priority in events.Priority}
    assert {department for file in examples("mention-judged") for department in value(file)["departments"]} >= {
        "service",
        "support",
        "marketing",
        "review",
    }
    assert cases("alert", "status") == {"firing", "resolved"}
    assert cases("alert", "severity") == {severity.value for severity in events.Severity}


# -------------------------------------------------------------------------------------------------------- AsyncAPI


def resolved(reference):
    node = PAGE
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_every_reference_of_the_page_leads_somewhere():
    found = list(references(PAGE))
    assert found
    for reference in found:
        if reference.startswith("#/"):
            assert resolved(reference)
        else:
            assert (publish.FOLDER / reference).exists()


@every_topic
def test_a_topic_is_on_the_page_as_it_is_kept(topic):
    channel = PAGE["channels"][asyncapi.channel_of(topic.name)]
    pattern = re.sub(r"\{\w+\}", "[a-z0-9-]+", channel["address"])
    assert re.fullmatch(pattern, topic.name)
    binding = channel["bindings"]["kafka"]
    kept = binding["topicConfiguration"]
    assert (binding["partitions"], binding["replicas"]) == (topic.partitions, topic.replication)
    assert kept["cleanup.policy"] == topic.cleanup.split(",")
    assert kept["retention.ms"] == (-1 if topic.retention is None else topic.retention * 1000)
    assert topic.key in channel["description"]
    expected = asyncapi.messages_of(topic)
    assert list(channel["messages"]) == expected
    assert bool(expected) == (topic.event is not None)


def test_the_page_has_no_channel_without_a_topic():
    assert set(PAGE["channels"]) == {asyncapi.channel_of(topic.name) for topic in TOPICS}


def test_the_page_says_what_every_stage_reads_and_writes():
    said = {
        (operation["title"].split()[0], operation["action"], operation["channel"]["$ref"].rpartition("/")[2])
        for operation in PAGE["operations"].values()
    }
    expected = {
        (stage.name, action, asyncapi.channel_of(topic))
        for stage in topology.STAGES
        for action, names in (("receive", stage.reads), ("send", stage.writes))
        for topic in names
    }
    assert said == expected
    for operation in PAGE["operations"].values():
        messages = {one["$ref"].rpartition("/")[2] for one in operation["messages"]}
        assert messages == set(resolved(operation["channel"]["$ref"])["messages"])


@every_event
def test_the_page_has_a_message_of_every_event_with_its_schema(event):
    message = PAGE["components"]["messages"][slug(event)]
    assert message["name"] == codec.TYPES[event]
    assert message["payload"]["$ref"] == f"./schemas/{file_name(event)}"


def test_the_headers_on_the_page_are_those_the_codec_writes():
    found = {
        key: content.decode()
        for key, content in codec.headers(events.Mention, event_id="a:1@0", source="earshot/x", at=datetime.now(UTC))
    }
    said = PAGE["components"]["messageTraits"]["cloudevents"]["headers"]
    assert set(said["required"]) == set(found)
    Draft202012Validator(said).validate(found)


def test_the_headers_of_dead_letters_on_the_page_are_those_that_are_written():
    said = PAGE["components"]["messages"]["dead-letter"]["headers"]["properties"]
    assert set(said) == {PREFIX + field for field in Origin.__slots__}


def test_the_readme_has_every_topic_with_its_key():
    text = (publish.FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for topic in TOPICS:
        shown = (
            "department-<name>"
            if topic.name.startswith("department-") and topic.name != "department-review"
            else topic.name
        )
        (row,) = [line for line in rows if f"`{shown}`" in line]
        assert topic.key in row
