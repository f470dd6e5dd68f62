"""The query language: what is read how, and what a mistake is answered with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.contract.errors import ConfigError
from pipeline.core.query.parse import MAX_LENGTH, QueryError, parse
from pipeline.core.query.tree import Named


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "a AND b"),
        ("+a b", "a AND b"),
        ("a -b", "a AND NOT b"),
        ("a NOT b", "a AND NOT b"),
        ("a OR b AND c", "a OR (b AND c)"),
        ("(a OR b) -c", "(a OR b) AND NOT c"),
        ("a (b (c d))", "a b c d"),
        ("a OR (b OR c)", "a OR b OR c"),
        ("title:(a OR b)", "title:a OR title:b"),
        ("tags:Acme", "#acme"),
        ("coca-cola", '"coca cola"'),
        ("“a b”", '"a b"'),
        ("a\u3000b", "a b"),
        ("*:*", "*"),
        ("title:*", "_exists_:title"),
        ("rating.value:[* TO 3}", "rating.value:<3"),
        ("spam:<-0.5", "spam:[* TO -0.5}"),
        ("Macy's", "macys"),
        ("a\n  b", "a b"),
    ],
)
def test_two_ways_of_writing_the_same(one, other):
    assert parse(one).root == parse(other).root


MISTAKES = [
    ("", "the query is empty", 0, "* for every mention"),
    ("   ", "the query is empty", 0, "* for every mention"),
    ("a OR", "nothing stands after OR", 2, "add a word"),
    ("OR a", "nothing stands before OR", 0, "add a word"),
    ("a AND OR b", "nothing stands before OR", 6, "add a word"),
    ("(a OR) b", "nothing stands after OR", 3, "add a word"),
    ("a (b", "a parenthesis is not closed", 2, "add a )"),
    ("a) b", "a parenthesis is closed that was not opened", 1, "add a ("),
    ("a ()", "the parentheses are empty", 2, "put words in"),
    ('a "b', "'\"' is not expected", 2, "close the quotation"),
    ("a /b", "'/' is not expected", 2, "close the regular expression"),
    ("'tis", '"\'" is not expected', 0, "double quotes for phrases"),
    ("a b OR c", "mixed with OR", 2, "with parentheses"),
    ("a OR b -c", "mixed with OR", 7, "with parentheses"),
    ("-a", "only excludes", 0, "* -word is everything without the word"),
    ("-a -b", "only excludes", 0, "add what to look for"),
    ("a (-b -c)", "only excludes", 3, "add what to look for"),
    ("a OR -b", "a negation beside OR", 5, "(a OR b) NOT c"),
    ("a OR +b", "+ beside OR", 5, "a AND (b OR c)"),
    ("NOT NOT a", "NOT follows NOT", 4, "one sign"),
    ("x -(-a)", "two negations", 2, "leave both out"),
    ("acme or beta", "or is read as a word", 5, "write OR in capitals"),
    ("acme and beta", "and is read as a word", 5, "write AND in capitals"),
    ("acme && beta", "&& is read as a word", 5, "write AND"),
    ("acme !beta", "!beta is read as a word", 5, "write NOT beta"),
    ("acme NEAR/5 beta", "NEAR/5 is not known", 5, '"two words"~5'),
    ("acme~1", "~ after a single word", 4, '"near words"~5'),
    ('"a b"~1.5', "~1.5 is no distance", 5, "a whole number"),
    ('"a b"~9999', "~9999 is no distance", 5, "up to 100"),
    ('author.name:"a b"~2', "takes no near words", 12, "leave ~ out"),
    ("acme^2", "a boost", 4, "leave ^ out"),
    ("autor.followers:3", "unknown field autor.followers", 0, "author.followers"),
    ("autor:x", "unknown field autor", 0, "author.handle"),
    ("author:x", "unknown field author", 0, "author has several parts"),
    ("lang:en", "unknown field lang", 0, "write language"),
    ("stars:1", "unknown field stars", 0, "write rating.value"),
    ("quux:1", "unknown field quux", 0, "put the word in double quotes"),
    ("acme _exists_:ratin", "unknown field ratin", 14, "rating"),
    ("a:b:c", "a second colon", 3, "double quotes"),
    ("title:(text:a)", "text: inside title:", 7, "name one field"),
    ("title:", "the field has no value", 5, "field:value"),
    ("sentiment:bad", "sentiment is never bad", 10, "negative, neutral, positive"),
    ("author.bot:maybe", "author.bot is never maybe", 11, "true or false"),
    ("rating.value:low", "rating.value is a number", 13, "rating.value:[1 TO 5]"),
    ("rating.value:>=nan", "rating.value is a number", 13, "rating.value:[1 TO 5]"),
    ("rating.value:[5 TO 1]", "ends before it begins", 13, "turn the bounds round"),
    ("rating.value:[* TO *]", "the range has no bound", 13, "_exists_:rating.value"),
    ("rating.value:[1 2]", "2 is not expected", 16, "field:[1 TO 5]"),
    ("rating.value:[1 TO", "ends too early", 17, "close [ ranges ]"),
    ("created_at:yesterday", "created_at is a date", 11, "2025-01-31"),
    ("source:[a TO b]", "neither a number nor a date", 7, "wildcard"),
    ("[1 TO 2]", "a range without a field", 0, "rating.value:<3"),
    ("a*", "fits nearly every word", 0, "two letters"),
    ("中*国", "a wildcard inside", 0, "no spaces"),
    ("acme ...", "there is no word in ...", 5, "letters, digits or emoji"),
    ('"https://acme.example/x"', "there is no word", 0, 'links:"…"'),
    ("/a(?=b)/", "not valid", 0, "RE2"),
    ("/a*/", "fits an empty text", 0, "write +"),
    ("(" * 26 + "a" + ")" * 26, "more than 25 parentheses", 25, "leave out"),
]


@pytest.mark.parametrize(("query", "problem", "position", "advice"), MISTAKES, ids=[one[0][:30] for one in MISTAKES])
def test_a_mistake_is_answered_with_its_place_and_advice(query, problem, position, advice):
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert problem in caught.value.problem
    assert caught.value.position == position
    assert advice in caught.value.advice
    assert str(caught.value) == f"{caught.value.problem} at character {position + 1} — {caught.value.advice}"
    assert isinstance(caught.value, ConfigError)


def test_judged_fields_are_refused_where_nothing_is_judged_yet():
    assert parse("sentiment:negative")
    with pytest.raises(QueryError, match="not known yet when brands are looked for"):
        parse("acme sentiment:negative", judged=False)
    with pytest.raises(QueryError, match="unknown field sentimen"):
        parse("_exists_:sentimen", judged=False)


def test_says_which_names_it_compares_with():
    assert parse("brand:Acme (department:support OR x)").named == (
        Named("brand", "acme", 6),
        Named("department", "support", 23),
    )


HUGE = [
    "(" * 9_999 + "a" + ")" * 9_999,
    "-" * 9_999 + "a",
    "NOT " * 4_000 + "a",
    "a:" * 9_000 + "b",
    "a AND b OR " * 900 + "c",
    "a b OR c AND " * 1_000 + "d",
    '"' * 9_999,
    "/" * 9_999,
    "\\" * 9_999,
    "[" * 9_999,
    "ab " * 6_000,
    "ab OR " * 1_990 + "c",
    '"' + "ab " * 6_000 + '"',
    "/(a{900}){900}/",
    "x" * MAX_LENGTH,
    "x" * (MAX_LENGTH + 1),
    "a AND (b OR " * 25 + "c" + ")" * 25,
    "ab*cd* OR " * 900 + "c",
    '"' + "\u0300\u0327" * 9_000 + '"',
]


@pytest.mark.timeout(60)  # 50 ms at the most where nothing else runs
@pytest.mark.parametrize("query", HUGE, ids=[one[:10] for one in HUGE])
def test_huge_queries_end_soon_and_never_in_a_recursion_error(query):
    with suppress(QueryError):
        parse(query)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                ["a", "ab*", '"a b"', "~2", "^2", "(", ")", "AND", "OR", "NOT", "-", "+", "title:", "[1 TO 2]", "spam:", ">", "<",
                 "TO", "/x/", "*", "?", "\\", ":", '"', "{", "}", "中", "#a", "@b", "'s", "_exists_:", " "]
            ),
            max_size=12,
        ).map("".join),
    )
)  # fmt: skip
@example("~")
@example("\ud800")
@example("a AND \ud800")
@example('\\"')
def test_any_text_is_a_query_or_a_mistake_with_advice(text):
    mistake = None
    try:
        parse(text)
    except QueryError as error:
        mistake = error
    assert mistake is None or (mistake.advice and 0 <= mistake.position <= len(text))


def test_may_be_used_from_several_threads():
    texts = [f"a{number} AND (b OR c{number}) -d" for number in range(300)]
    with ThreadPoolExecutor(8) as pool:
        assert [query.root for query in pool.map(parse, texts)] == [parse(text).root for text in texts]
