"""Reading what platforms send: JSON in all its disguises, HTML as a reader sees it, and nothing that breaks us."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import reading
from connectors.reading import MAX_DEPTH, Rich, as_bytes, documents, from_html, json_value, timestamp, walk, whole
from pipeline.contract.errors import InvalidMessageError


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"null", None),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"[1e999]", [float("inf")]),
        (b" 12345678901234567890123 ", 12345678901234567890123),
    ],
    ids=repr,
)
def test_json_is_read_also_where_it_is_not_quite_json(body, value):
    assert json_value(body) == value


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000, b"'a'", b"[1,]"], ids=lambda b: repr(b[:8])
)
def test_what_is_no_json_is_a_value_error(body):
    with pytest.raises(ValueError, match="not JSON"):
        json_value(body)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"[1, 2]", [[1, 2]]),
        (b"", []),
        (b"\n\n", []),
        (b'{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}\r\n{"broken\r\n{"a": 2}', [{"a": 1}, {"a": 2}]),
        (b': hello\nevent: update\nid: 3\nretry: 9\ndata: {"a": 1}\n\ndata:{"a": 2}\n\n', [{"a": 1}, {"a": 2}]),
    ],
    ids=repr,
)
def test_an_answer_is_one_value_lines_or_events(body, values):
    assert list(documents(body)) == values


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"\xff\xfe\x00", b"data: none\n", b'{"cut": '], ids=repr)
def test_an_answer_in_which_nothing_is_json_is_none_of_the_source(body):
    with pytest.raises(InvalidMessageError, match="neither JSON nor JSON Lines nor an event stream"):
        list(documents(body))


def test_every_object_is_found_outer_ones_first_in_the_order_they_are_written():
    value = {"n": 1, "in": [{"n": 2, "in": {"n": 3}}, [[{"n": 4}]]], "last": {"n": 5}}
    assert [found["n"] for found in walk(iter([value, {"n": 6}]))] == [1, 2, 3, 4, 5, 6]


def test_the_depths_are_not_gone_into_without_end():
    deep: object = {"bottom": True}
    for _ in range(MAX_DEPTH * 5):
        deep = {"in": deep}
    found = list(walk(iter([deep])))
    assert MAX_DEPTH <= len(found) <= MAX_DEPTH + 2
    assert list(walk(iter([None, 1, "x", [], [[]]]))) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_what_is_written_as_json_is_read_the_same(value):
    assert json_value(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_read_or_refused(body):
    try:
        for row in walk(documents(body)):
            assert isinstance(row, dict)
    except InvalidMessageError:
        pass


@given(
    st.recursive(
        st.none() | st.text() | st.binary() | st.floats(),
        lambda i: st.lists(i) | st.dictionaries(st.text(), i),
        max_leaves=8,
    )
)
def test_a_part_of_an_answer_becomes_bytes_whatever_it_is(row):
    assert isinstance(as_bytes(row), bytes)


def test_a_part_that_is_kept_is_bounded():
    assert len(as_bytes(b"x" * 10**6)) == len(as_bytes("x" * 10**6)) == reading.MAX_REJECTED_BYTES
    looped: list[object] = []
    looped.append(looped)
    assert as_bytes(looped) == b"<class 'list'>"
    assert msgspec.json.decode(as_bytes({"a": 1})) == {"a": 1}


AT = datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (AT.timestamp(), AT),
        (str(int(AT.timestamp())), AT),
        (AT.timestamp() * 1000, AT),
        (AT.timestamp() * 1_000_000, AT),
        ("2026-11-20T12:00:05Z", AT),
        ("2026-11-20T13:00:05+01:00", AT),
        ("2026-11-20T12:00:05", AT),
        ("2026-11-20", AT.replace(hour=0, second=0)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (None, None),
        ("", None),
        (True, None),
        ("soon", None),
        ("0001-01-01T00:00:00+14:00", None),
        (float("nan"), None),
        (1e300, None),
        ([], None),
    ],
    ids=repr,
)
def test_an_instant_is_read_in_seconds_milliseconds_microseconds_or_words(value, at):
    assert timestamp(value) == at


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3),
        ("7", 7),
        (2.9, 2),
        ("1e3", 1000),
        (-4, 0),
        (None, None),
        (True, None),
        ("many", None),
        (float("inf"), None),
        ({}, None),
    ],
    ids=repr,
)
def test_a_count_is_whole_and_at_least_nothing(value, count):
    assert whole(value) == count


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (None, ""),
        ("", ""),
        ("  plain  ", "plain"),
        ("2 &lt; 3 &amp; 4 &gt; 1", "2 < 3 & 4 > 1"),
        ("It&#x27;s &quot;so&quot; &#128512;", 'It\'s "so" 😀'),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("one\n   two", "one\n   two"),  # no tag, no entity: it was never HTML
        ("<p>one\n   two</p>", "one two"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        ("<blockquote>said</blockquote>answered", "said\n\nanswered"),
        ("a&nbsp;b", "a b"),
        ("<script>evil()</script><style>p{}</style>seen", "seen"),
        ("<p>nested <b>bold <i>both</i></b> end</p>", "nested bold both end"),
        ("<p>never closed <b>at all", "never closed at all"),
        ("</div></p>only ends", "only ends"),
        ('<img src="x" alt="🎉">party', "🎉party"),
        ("<!-- hidden -->seen", "seen"),
        ("<p></p><p></p><p>x</p>", "x"),
        ("<span>no</span><span>space</span>", "nospace"),
    ],
    ids=repr,
)
def test_html_becomes_what_a_reader_would_see(html, text):
    assert from_html(html).text == text


def test_line_breaks_of_the_source_stay_where_they_are_asked_for():
    assert from_html("<p>one\ntwo</p>", keep_lines=True).text == "one\ntwo"


def test_links_are_kept_and_a_shortened_address_is_shown_whole():
    rich = from_html(
        '<p><a href="https://example.org/a/long/way">https://example.org/a/lo...</a> and '
        '<a href="https://example.org/b">here</a>, <a href="https://example.org/b">there</a>, '
        '<a href="javascript:alert(1)">bad</a>, <a href="/relative">near</a></p>'
    )
    assert rich.text == "https://example.org/a/long/way and here, there, bad, near"
    assert rich.links == ("https://example.org/a/long/way", "https://example.org/b")


def test_names_of_people_and_tags_are_words_not_links():
    rich = from_html(
        '<a href="https://example.org/@sam" class="u-url mention">@<span>sam</span></a> '
        '<a href="https://example.org/tags/acme" class="mention hashtag" rel="tag">#<span>acme</span></a>'
    )
    assert rich == Rich("@sam #acme", ())


@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<a href='https://x.y'>",
                "</a>",
                "<",
                ">",
                "&",
                "&#",
                "<!",
                "<![CDATA[",
                "]]>",
                "a",
                "\n",
                "<script>",
                "<br/>",
                "\x00",
            ]
        ),
        max_size=30,
    ).map("".join)
)
def test_whatever_html_comes_it_becomes_a_text_without_rough_edges(html):
    rich = from_html(html)
    assert rich.text == rich.text.strip()
    if "<" in html or "&" in html:
        assert "\n\n\n" not in rich.text
    assert all(link.startswith(("http://", "https://")) for link in rich.links)


def test_a_deep_and_a_long_html_is_read_in_a_moment():
    assert from_html("<div>" * 20_000 + "x").text == "x"
    assert len(from_html("<a href='https://x.y'>" * 20_000 + "x").links) <= 1
    assert from_html("<" * 50_000 + "p>x").text is not None


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (None, ()),
        ("no address, http:// neither", ()),
        ("see https://acme.example/a?b=1&c=2.", ("https://acme.example/a?b=1&c=2",)),
        (
            "[the manual](https://acme.example/m)s, <https://acme.example/n>",
            ("https://acme.example/m", "https://acme.example/n"),
        ),
        (
            "https://acme.example/Kettle_(model_2), **https://acme.example/x**",
            ("https://acme.example/Kettle_(model_2)", "https://acme.example/x"),
        ),
        ("(https://acme.example/a) https://acme.example/a", ("https://acme.example/a",)),
    ],
    ids=repr,
)
def test_addresses_in_a_text_are_found_without_the_marks_around_them(text, links):
    assert reading.addresses(text) == links


@pytest.mark.parametrize(
    ("text", "plain", "links"),
    [
        ("tea &amp; milk <3", "tea & milk <3", ()),
        (
            " use <kettle> (https://a.example/x).\r\nBye ",
            "use <kettle> (https://a.example/x).\nBye",
            ("https://a.example/x",),
        ),
        (None, "", ()),
    ],
    ids=["entities", "brackets and lines", "none"],
)
def test_a_text_that_is_no_html_keeps_its_brackets(text, plain, links):
    assert reading.from_plain(text) == reading.Rich(plain, links)


@pytest.mark.parametrize("odd", [None, 5, "x", True, 1.5, [1]], ids=repr)
def test_what_is_no_object_or_no_list_of_objects_is_an_empty_one(odd):
    assert reading.mapping(odd) == {}
    assert reading.objects(odd) == []
    assert reading.mapping({"a": 1}) == {"a": 1}
    assert reading.objects([1, {"a": 1}, None]) == [{"a": 1}]
