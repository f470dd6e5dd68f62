"""A change of a schema breaks somebody or it does not; and what breaks is not published."""

import copy
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.contract import publish
from pipeline.contract.codec import TYPES
from pipeline.contract.compatibility import breaking
from pipeline.contract.schema import file_name, schema, slug, version

THING = {
    "$id": "thing.v1",
    "title": "Thing",
    "description": "A thing.",
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "its name"},
        "count": {"type": "integer", "minimum": 0, "default": 0},
        "share": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "state": {"$ref": "#/$defs/State", "default": "on"},
        "part": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}], "default": None},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "default": []},
        "sizes": {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}},
    },
    "required": ["id"],
    "$defs": {
        "State": {"title": "State", "type": "string", "enum": ["off", "on"]},
        "Part": {
            "title": "Part",
            "type": "object",
            "properties": {"name": {"type": "string"}, "whole": {"$ref": "#/$defs/Part"}},
            "required": ["name"],
        },
    },
}


def changed(path, value=None, *, without=False):
    """Return the schema with one place changed; `path` is steps joined by slashes."""
    made = copy.deepcopy(THING)
    *steps, last = path.split("/")
    node = made
    for step in steps:
        node = node[int(step) if isinstance(node, list) else step]
    if without:
        del node[last]
    else:
        node[last] = value
    return made


BREAKS = [
    ("a field is removed", changed("properties/count", without=True), "count: removed"),
    ("a field of a part is removed", changed("$defs/Part/properties/name", without=True), "part.name: removed"),
    ("a required field is new", changed("required", ["id", "count"]), "count: was optional and became required"),
    ("a field is no longer required", changed("required", []), "id: was required and became optional"),
    ("a type changes", changed("properties/id", {"type": "integer"}), "id: may no longer be string"),
    ("a type widens", changed("properties/id", {"type": ["string", "null"]}), "id: may no longer be string"),
    (
        "a field may be null",
        changed("properties/id", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "id: may now be null",
    ),
    (
        "a field may not be null",
        changed("properties/share", {"type": "number", "default": None}),
        "share: may no longer be null",
    ),
    ("an integer becomes a number", changed("properties/count/type", "number"), "count: may no longer be integer"),
    ("a bound narrows", changed("properties/count/minimum", 1), "count: minimum 0 became 1"),
    ("a bound goes", changed("properties/count/minimum", without=True), "count: minimum 0 became none"),
    ("a bound comes", changed("properties/id/maxLength", 9), "id: maxLength none became 9"),
    ("a default changes", changed("properties/count/default", 1), "count: default 0 became 1"),
    (
        "a default beside a reference changes",
        changed("properties/state/default", "off"),
        'state: default "on" became "off"',
    ),
    ("a default goes", changed("properties/count/default", without=True), "count: default 0 became none"),
    ("a value of a set is removed", changed("$defs/State/enum", ["on"]), 'state: value "off" removed'),
    ("a value of a set is added", changed("$defs/State/enum", ["off", "on", "new"]), 'state: value "new" added'),
    ("a set becomes open", changed("$defs/State/enum", without=True), "state: became an open set"),
    ("a text becomes a closed set", changed("properties/id/enum", ["a"]), "id: became a closed set"),
    (
        "what is in a list changes",
        changed("properties/parts/items", {"type": "string"}),
        "parts[]: may no longer be object",
    ),
    (
        "what is in a list changes inside",
        changed("$defs/Part/required", ["name", "whole"]),
        "parts[].whole: was optional",
    ),
    (
        "what is in a map changes",
        changed("properties/sizes/additionalProperties/type", "number"),
        "sizes.*: may no longer",
    ),
    ("a map becomes an object", changed("properties/sizes/additionalProperties", False), "sizes: additionalProperties"),
    (
        "unknown keys are refused",
        changed("additionalProperties", False),
        "the event: additionalProperties true became false",
    ),
    ("a format comes", changed("properties/id/format", "date-time"), 'id: format none became "date-time"'),
]

IS_FINE = {
    "nothing": THING,
    "words": changed("properties/id/description", "other words"),
    "a title": changed("$defs/Part/title", "Piece"),
    "another $id": changed("$id", "thing.v1.json"),
    "an optional field": changed("properties/colour", {"type": "string", "default": ""}),
    "an optional field of a part": changed("$defs/Part/properties/colour", {"type": "string", "default": ""}),
    "the order of a set": changed("$defs/State/enum", ["on", "off"]),
    "a type in place of its reference": changed(
        "properties/state", {"type": "string", "enum": ["off", "on"], "default": "on"}
    ),
    "the order of a union": changed("properties/share/anyOf", [{"type": "null"}, {"type": "number"}]),
}


@pytest.mark.parametrize(("new", "said"), [one[1:] for one in BREAKS], ids=[one[0] for one in BREAKS])
def test_a_change_that_breaks_somebody_is_named_with_its_place(new, said):
    assert any(said in change for change in breaking(THING, new)), breaking(THING, new)


def test_a_new_required_field_is_told_to_have_a_default():
    new = changed("properties/colour", {"type": "string"})
    new["required"].append("colour")
    assert breaking(THING, new) == ["colour: new and required; give it a default"]


@pytest.mark.parametrize("new", IS_FINE.values(), ids=IS_FINE)
def test_a_change_that_breaks_nobody_is_none(new):
    assert breaking(THING, new) == []


# ---------------------------------------------------------------------------------------------- any schema, any edit

plain = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "integer", "minimum": 0}),
    st.just({"type": "boolean"}),
    st.sampled_from([{"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a", "b"]}]),
)


def objects(inner):
    def make(fields, required):
        return {"type": "object", "properties": fields, "required": sorted(set(required) & set(fields))}

    names = st.sampled_from("pqrs")
    return st.builds(make, st.dictionaries(names, inner, max_size=3), st.lists(names, max_size=3))


kinds = st.recursive(
    plain,
    lambda inner: st.one_of(
        objects(inner),
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda one: {"type": "object", "additionalProperties": one}, inner),
        st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, plain),
    ),
    max_leaves=5,
)
schemas = objects(kinds)


def instances(made):
    """Return a strategy of what a schema says is valid, with no keys it does not know."""
    if "anyOf" in made:
        return st.one_of([instances(branch) for branch in made["anyOf"]])
    if "enum" in made:
        return st.sampled_from(made["enum"])
    if "properties" in made:
        fields, required = made["properties"], made["required"]
        return st.fixed_dictionaries(
            {name: instances(fields[name]) for name in required},
            optional={name: instances(one) for name, one in fields.items() if name not in required},
        )
    if made["type"] == "array":
        return st.lists(instances(made["items"]), max_size=2)
    if made["type"] == "object":
        return st.dictionaries(st.sampled_from("xy"), instances(made["additionalProperties"]), max_size=2)
    return {
        "string": st.sampled_from(["a", "b", "c"]),
        "integer": st.integers(0, 9),
        "boolean": st.booleans(),
        "null": st.none(),
    }[made["type"]]


@given(schemas)
def test_a_schema_is_compatible_with_itself(made):
    assert breaking(made, copy.deepcopy(made)) == []


@given(schemas, kinds)
def test_an_optional_field_may_always_be_added(made, kind):
    more = copy.deepcopy(made)
    more["properties"]["new"] = kind
    assert breaking(made, more) == []
    assert breaking(more, made) == ["new: removed"]


def grown(made, kind):
    """Return the schema with an optional field of this kind in every object of it, and other words everywhere."""
    if not isinstance(made, dict):
        return made
    more = {key: grown(inner, kind) for key, inner in made.items() if key != "properties"}
    if "properties" in made:
        more["properties"] = {name: grown(one, kind) for name, one in made["properties"].items()} | {"new": kind}
    return {**more, "description": "other words"} if "type" in made else more


@given(schemas, kinds, st.data())
@settings(max_examples=100)
def test_what_has_grown_reads_the_old_and_is_read_by_it(old, kind, data):
    new = grown(old, kind)
    assert breaking(old, new) == []
    for writer, reader in ((old, new), (new, old)):
        assert Draft202012Validator(reader).is_valid(data.draw(instances(writer)))


@given(schemas, schemas, st.data())
@settings(max_examples=100)
def test_what_one_writes_and_the_other_cannot_read_is_named(old, new, data):
    written, wanted = data.draw(st.sampled_from([(old, new), (new, old)]))
    if not Draft202012Validator(wanted).is_valid(data.draw(instances(written))):
        assert breaking(old, new)


# --------------------------------------------------------------------------------------------------- the real ones


class Leaf(msgspec.Struct):
    """A leaf."""

    size: int = 0
    twin: "Leaf | None" = None


@pytest.mark.parametrize("event", TYPES, ids=slug)
def test_the_published_schema_is_that_of_the_type(event):
    published = json.loads((publish.FOLDER / publish.SCHEMAS / file_name(event)).read_text(encoding="utf-8"))
    assert published == schema(event)
    assert breaking(published, schema(event)) == []


def test_a_type_that_contains_itself_is_compared_once():
    made = msgspec.json.schema(Leaf)
    wider = copy.deepcopy(made)
    wider["$defs"]["Leaf"]["properties"]["size"]["type"] = "number"
    assert breaking(made, made) == []
    assert breaking(made, wider) == ["size: may no longer be integer", "size: may now be number"]


# ------------------------------------------------------------------------------------------------------ publishing


def published(folder, *, files=None, check=False):
    return publish.main(["--check"] if check else [], folder, files)


def with_schema(made, name=f"{publish.SCHEMAS}/thing.v1.schema.json"):
    return {name: json.dumps(made), publish.ASYNCAPI: "asyncapi: 3.0.0\n"}


def test_what_is_committed_is_as_it_would_be_made():
    assert publish.stale(publish.FOLDER, publish.made()) == []


def test_check_writes_nothing_and_says_what_to_run(tmp_path, capsys):
    assert published(tmp_path, check=True) == 1
    assert "run make generate" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_passes_the_check_until_a_file_changes(tmp_path, capsys):
    assert published(tmp_path) == 0
    assert published(tmp_path, check=True) == 0
    (tmp_path / publish.ASYNCAPI).write_text("asyncapi: 2.6.0\n", encoding="utf-8")
    assert published(tmp_path, check=True) == 1
    assert publish.ASYNCAPI in capsys.readouterr().err


def test_a_breaking_change_is_refused_and_the_files_stay(tmp_path, capsys):
    before, after = with_schema(THING), with_schema(BREAKS[0][1])
    assert published(tmp_path, files=before) == 0
    for check in (True, False):
        assert published(tmp_path, files=after, check=check) == 1
        said = capsys.readouterr().err
        assert "count: removed" in said
        assert "raise the event's version" in said
    assert publish.stale(tmp_path, before) == []


def test_a_breaking_change_is_published_under_a_new_version_beside_the_old(tmp_path):
    before = with_schema(THING)
    after = with_schema(BREAKS[0][1], f"{publish.SCHEMAS}/thing.v2.schema.json")
    assert published(tmp_path, files=before) == 0
    assert published(tmp_path, files=after) == 0
    assert {file.name for file in (tmp_path / publish.SCHEMAS).iterdir()} == {
        "thing.v1.schema.json",
        "thing.v2.schema.json",
    }


def test_a_compatible_change_is_published(tmp_path):
    assert published(tmp_path, files=with_schema(THING)) == 0
    after = with_schema(IS_FINE["an optional field"])
    assert published(tmp_path, files=after) == 0
    assert publish.stale(tmp_path, after) == []


def test_every_schema_in_the_folder_is_of_an_event_and_of_no_version_to_come():
    newest = {slug(event): version(event) for event in TYPES}
    for file in (publish.FOLDER / publish.SCHEMAS).iterdir():
        event, number, rest = file.name.split(".", 2)
        assert rest == "schema.json"
        assert 1 <= int(number.removeprefix("v")) <= newest[event]
