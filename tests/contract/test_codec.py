"""Bytes and events: whatever comes in is an event or an InvalidMessageError that quotes nothing of it."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import codec, events
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating, Reason, State

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SECRET = "Zaphod"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
instants = st.datetimes(timezones=st.just(UTC))
numbers = st.integers(0, 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)


def maybe(strategy):
    return st.none() | strategy


mentions = st.builds(
    Mention,
    id=text,
    source=text,
    native_id=text,
    created_at=instants,
    collected_at=instants,
    text=text,
    title=maybe(text),
    revision=numbers,
    state=st.sampled_from(State),
    kind=st.sampled_from(Kind),
    language=maybe(text),
    url=maybe(text),
    author=maybe(
        st.builds(Author, id=maybe(text), handle=maybe(text), followers=maybe(numbers), bot=maybe(st.booleans()))
    ),
    conversation=maybe(text),
    in_reply_to=maybe(text),
    rating=maybe(st.builds(Rating, value=finite, best=finite, worst=finite)),
    engagement=maybe(st.builds(Engagement, likes=maybe(numbers), views=maybe(numbers))),
    tags=st.lists(text, max_size=3).map(tuple),
    backfill=st.booleans(),
)

# Half surrogate pairs and NUL, which UTF-8 and some databases cannot carry, and everything else.
broken = st.text(st.characters(categories=["Cs"]) | st.just("\x00") | st.characters(), max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | broken,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(broken, inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from([field.name for field in msgspec.structs.fields(Mention)])


@given(mentions)
def test_every_mention_survives_the_way_to_bytes_and_back(mention):
    assert codec.decode(Mention, codec.encode(mention)) == mention


def outcome(read, *given, **options):
    """Return what was read, or the reason why it could not be; any other exception fails the test."""
    try:
        return read(*given, **options)
    except InvalidMessageError as error:
        return error.reason


@given(st.sampled_from(list(codec.TYPES)), st.binary(max_size=200))
def test_any_bytes_are_an_event_or_an_invalid_message(event_type, value):
    found = outcome(codec.decode, event_type, value)
    assert isinstance(found, event_type) or found in {Reason.UNDECODABLE, Reason.INVALID}


@given(st.sampled_from(list(codec.TYPES)), anything)
def test_any_json_is_an_event_or_an_invalid_message(event_type, value):
    found = outcome(codec.decode, event_type, json.dumps(value).encode())
    assert isinstance(found, event_type) or found in {Reason.UNDECODABLE, Reason.INVALID}


@given(st.dictionaries(fields, anything, max_size=5), st.sampled_from([{}, {"id": 1, "text": "x"}]))
def test_any_json_object_becomes_a_mention_that_can_be_written_or_an_invalid_message(row, rest):
    found = outcome(codec.mention_from_json, {**rest, **row}, now=NOW)
    if isinstance(found, Reason):
        assert found in {Reason.INVALID, Reason.EMPTY}
    else:
        assert codec.decode(Mention, codec.encode(found)) == found
        assert found.id == f"{found.source}:{found.native_id}"
        assert found.native_id


@given(anything)
def test_json_that_is_no_object_is_an_invalid_message_not_a_crash(row):
    if isinstance(row, dict):
        row = [row]
    with pytest.raises(InvalidMessageError, match="expected a JSON object"):
        codec.mention_from_json(row, now=NOW)


@given(broken)
def test_a_clean_text_can_be_written_and_is_left_alone_the_second_time(found):
    cleaned = codec.clean(found)
    cleaned.encode("utf-8")
    assert "\x00" not in cleaned
    assert codec.clean(cleaned) == cleaned
    if not any("\ud800" <= one <= "\udfff" or one == "\x00" for one in found):
        assert cleaned == found


# ----------------------------------------------------------------------------------------------- nothing is quoted

LEAST = {
    "id": "forum:1",
    "source": "forum",
    "native_id": "1",
    "created_at": "2026-11-24T09:30:00Z",
    "collected_at": "2026-11-24T09:30:00Z",
}


@pytest.mark.parametrize("field", [one.name for one in msgspec.structs.fields(Mention)])
@pytest.mark.parametrize("wrong", [SECRET, f"{SECRET} - at `$.x`", [SECRET], {SECRET: SECRET}, [{SECRET: 1}], 7])
def test_no_error_quotes_what_was_in_the_message(field, wrong):
    errors = []
    for read in (
        lambda row: codec.decode(Mention, json.dumps(row).encode()),
        lambda row: codec.mention_from_json(row, now=NOW),
    ):
        try:
            read({**LEAST, "text": "x", field: wrong})
        except InvalidMessageError as error:
            errors.append(str(error))
    assert not any(SECRET in error for error in errors)


@pytest.mark.parametrize(
    ("event_type", "wrong", "accepted"),
    [
        (
            Mention,
            {**LEAST, "kind": SECRET},
            "`$.kind`: write one of post, comment, review, article, question, message",
        ),
        (Mention, {**LEAST, "state": f"{SECRET} - at `$.kind`"}, "`$.state`: write one of live, edited, deleted"),
        (
            events.Pulse,
            {
                "brand": "a",
                "source": "b",
                "minute": 1,
                "counts": {},
                "sent_at": LEAST["created_at"],
                "top": [{"id": "1", "label": SECRET}],
            },
            "`$.top[0].label`: write one of negative, neutral, positive",
        ),
    ],
)
def test_a_value_outside_a_closed_set_is_answered_with_the_set(event_type, wrong, accepted):
    with pytest.raises(InvalidMessageError) as caught:
        codec.decode(event_type, json.dumps(wrong).encode())
    assert accepted in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.INVALID),
        (b"", Reason.UNDECODABLE),
        (b"\xff\xfe", Reason.UNDECODABLE),
        (b'{"id": "\xff"}', Reason.UNDECODABLE),
        (b'{"text": "\\ud800"}', Reason.UNDECODABLE),
        pytest.param(b'{"x": ' + b"[" * 500_000, Reason.UNDECODABLE, id="deep"),
        (b"{}", Reason.INVALID),
        (b"null", Reason.INVALID),
        pytest.param(b" " * 1_000_001, Reason.TOO_LARGE, id="large"),
    ],
)
def test_what_cannot_be_decoded_says_why(value, reason):
    with pytest.raises(InvalidMessageError) as caught:
        codec.decode(Mention, value)
    assert caught.value.reason is reason


# -------------------------------------------------------------------------------------------------- JSON by people


def read(**row):
    return codec.mention_from_json({"id": "1", "text": "x", **row}, now=NOW)


def test_the_least_that_is_needed_is_an_id_and_a_text():
    assert read() == Mention(id="import:1", source="import", native_id="1", created_at=NOW, collected_at=NOW, text="x")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-24T09:30:00Z", NOW),
        ("2026-11-24T10:30:00+01:00", NOW),
        ("2026-11-24 09:30", NOW),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        (1795512600, NOW),
        (1795512600.0, NOW),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_people_write_them_and_without_a_zone_are_utc(written, meant):
    assert read(created_at=written).created_at == meant


@pytest.mark.parametrize("written", ["yesterday", True, [], {}, 10**30, float("nan"), "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_answered_with_how_to_write_one(written):
    with pytest.raises(InvalidMessageError, match="`created_at` is no time: write it as"):
        read(created_at=written)


def test_numbers_are_accepted_where_sources_give_ids_as_numbers():
    mention = read(id=7, author={"id": 8}, conversation=9, in_reply_to=10)
    assert (mention.native_id, mention.author, mention.conversation, mention.in_reply_to) == (
        "7",
        Author(id="8"),
        "9",
        "10",
    )


@pytest.mark.parametrize("native", [None, "", "\x00", True, 1.5, [], {}, 1 << 64, pytest.param(10**5000, id="huge")])
def test_an_id_that_is_none_is_refused_with_an_example(native):
    with pytest.raises(InvalidMessageError, match=r"`id` is missing: .*for example"):
        read(id=native)


@pytest.mark.parametrize("origin", ["", "My Shop", "a" * 65, 7, ["x"], "../x"])
def test_a_source_that_is_no_name_is_refused(origin):
    with pytest.raises(InvalidMessageError, match="`source` must be a short lower-case name"):
        read(source=origin)


@pytest.mark.parametrize("said", [{}, {"text": ""}, {"text": None, "title": ""}])
def test_a_mention_that_says_nothing_is_empty(said):
    with pytest.raises(InvalidMessageError) as caught:
        codec.mention_from_json({"id": "1", **said}, now=NOW)
    assert caught.value.reason is Reason.EMPTY


def test_what_was_withdrawn_needs_no_text():
    assert codec.mention_from_json({"id": "1", "state": "deleted"}, now=NOW).is_withdrawn


def test_an_unknown_key_is_passed_over():
    assert read(colour="blue") == read()


def test_a_deep_nest_is_an_invalid_message():
    nest = []
    for _ in range(100_000):
        nest = [nest]
    with pytest.raises(InvalidMessageError, match="nested too deeply"):
        read(extra=nest)
    while nest:  # taken apart from outside, or the interpreter recurses when it is freed
        nest = nest[0]


# ------------------------------------------------------------------------------------------------------- headers


def test_headers_are_cloudevents_in_binary_mode():
    found = codec.headers(
        Mention, event_id="forum:1@0", source="earshot/connectors/forum", at=NOW, extra=[("ce_x", b"y")]
    )
    assert dict(found) == {
        "ce_specversion": b"1.0",
        "ce_id": b"forum:1@0",
        "ce_type": b"earshot.mention.v1",
        "ce_source": b"earshot/connectors/forum",
        "ce_time": b"2026-11-24T09:30:00+00:00",
        "content-type": b"application/json",
        "ce_x": b"y",
    }


def test_of_several_headers_of_a_name_the_last_counts():
    assert codec.header([("a", b"1"), ("b", b"2"), ("a", b"\xff3")], "a") == "\ufffd3"
    assert codec.header([("a", None)], "a") is None
    assert codec.header(None, "a") is None
