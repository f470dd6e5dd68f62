"""What the compiled part adds up about a text, by its tone, its form and its rules, is what the twins add up."""

import contextlib
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.events import Kind
from pipeline.core import native
from pipeline.core.intents import Intent
from pipeline.core.routing.leaning import leaning_twin, tables_of
from pipeline.core.routing.model import HandSet
from pipeline.core.routing.shipped import Shipped, shipped
from pipeline.core.routing.wordings import words_twin
from pipeline.core.sentiment.form import FormModel, feeling_twin

compiled = pytest.mark.skipif(native.compiled is None, reason=f"nothing compiled is used: {native.why_not}")

PIECES = [
    *(
        "?",
        "!",
        "@",
        "\uff1f",
        "h",
        "ht",
        "http",
        "https://x.example",
        "`",
        "<",
        "{",
        "(",
        "*",
        "**",
        "#",
        "###",
        ":",
        "::",
    ),
    *(
        "()",
        "</",
        "```",
        "->",
        "github.com",
        "\ud800",
        "é",
        "日",
        "😀",
        " ",
        "\n",
        "but",
        "aber",
        "not",
        "don't",
        "I",
        "my",
    ),
    *(
        "refund",
        "crash",
        "crashes",
        "love",
        "broken",
        "late",
        "refund please",
        "good",
        "a",
        "the app",
        "design",
        "ugly",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=70).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join)
FRESH = Shipped(shipped().rules, "")
INTENTS = st.lists(st.sampled_from([one.value for one in Intent]), max_size=3, unique=True).map(tuple)


@compiled
@given(st.floats(-40, 40) | st.sampled_from([0.0, -0.0, 1e300, -1e300]), TEXTS, INTENTS)
@settings(max_examples=500)
def test_a_text_feels_the_same(total, text, intents):
    words, tables = words_twin(text), FormModel()._tables
    told = (total, text, words, intents)
    first = native.compiled.feeling(tables, *told)
    assert first == feeling_twin(FormModel()._tables, *told)
    assert first == native.compiled.feeling(tables, *told), "the form is known now"


@compiled
@given(
    TEXTS,
    st.floats(-1, 1),
    st.none() | st.floats(0, 1) | st.sampled_from([0.25, 0.75]),
    st.sampled_from(Kind),
)
@settings(max_examples=500)
def test_rules_and_model_lean_the_same_way(text, sentiment, rating, kind):
    words = words_twin(text)
    found = shipped().find(words, None)
    fresh = (FRESH, HandSet())
    FRESH.spoken.clear()
    told = (found, (), text, words, sentiment, rating, kind)
    wanted = leaning_twin((shipped(), HandSet()), (), *told)
    assert native.compiled.leaning(None, tables_of(*fresh), *told) == wanted
    assert native.compiled.leaning(None, tables_of(*fresh), *told) == wanted, "all of it is known now"
    assert len(FRESH.spoken) == len(found)


@compiled
def test_what_new_forms_and_rules_raise_comes_through_and_nothing_is_left_behind():
    def raises(*_):
        raise LookupError

    text = "not good, but a refund? http://x.example (crash) ###"
    words = words_twin(text)
    known, learn, *others = FormModel()._tables
    spoken, say, forms, learn_form, *rest = tables_of(shipped(), HandSet())
    told = (shipped().find(words, "en"), (), text, words, -0.4, 0.9, Kind.POST)
    lean, feel = native.compiled.leaning, native.compiled.feeling
    failing = [
        (feel, (({}, raises, *others), 1.0, text, words, ())),
        (feel, (({}, lambda *_: (1.0, 2.0), *others), 1.0, text, words, ())),
        (feel, (({}, lambda *_: (1.0, "x", 2.0), *others), 1.0, text, words, ())),
        (feel, ((known, learn, *others), 1.0, text, [{}, *words], ())),
        (lean, (None, ({}, raises, forms, learn_form, *rest), *told)),
        (lean, (None, ({}, lambda *_: ((1.0,), None), forms, learn_form, *rest), *told)),
        (lean, (None, (spoken, say, {}, raises, *rest), *told)),
        (lean, (None, (spoken, say, {}, lambda _: ((1.0, 2.0, 3.0, "x"), ()), *rest), *told)),
        (lean, (None, (spoken, say, {}, lambda _: 1, *rest), *told)),
        (lean, (None, (spoken, say, forms, learn_form, *rest), {1: 2}, *told[1:])),
        (lean, (None, (spoken, say, forms, learn_form, *rest), *told[:4], "x", *told[5:])),
    ]
    passing = [
        (feel, ((known, learn, *others), 1.0, text, words, ())),
        (lean, (None, (spoken, say, forms, learn_form, *rest), *told)),
    ]
    for function, arguments in failing:
        with pytest.raises((LookupError, TypeError)):
            function(*arguments)

    def blocks(function, arguments):
        for _ in range(500):
            with contextlib.suppress(LookupError, TypeError):
                function(*arguments)
        return sys.getallocatedblocks()

    for function, arguments in failing + passing:
        blocks(function, arguments)  # fills what is kept
        before = blocks(function, arguments)
        assert blocks(function, arguments) - before < 100, arguments
