"""The compiled part and its pure-Python twins say the same, on everything we could think of."""

import contextlib
import gc
import importlib.util
import os
import random
import subprocess
import sys
import tomllib
import weakref
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment import vaderSentiment as original  # noqa: N813

from pipeline.core import native
from pipeline.core.dedup import _LongHashes
from pipeline.core.language import _CODES, _VOTES
from pipeline.core.query.matcher import Matcher
from pipeline.core.query.vocabulary import places_twin
from pipeline.core.routing.model import shares_twin
from pipeline.core.routing.shipped import CANONICAL, NEGATORS, rules_twin, shipped
from pipeline.core.routing.wordings import Wordings, wordings_twin, words_twin
from pipeline.core.sentiment.lexicon import Phrases, phrases_twin, read, valences
from pipeline.core.sentiment.tokens import Tokens, installed
from pipeline.core.sentiment.vader import FastVader, PairedVader
from pipeline.core.signs import has_sign_twin, replaced_twin, set_of, set_of_ranges
from pipeline.core.sketch import SKETCH, in_common_twin, packed, sketch_twin
from pipeline.core.spam import _NUMBERS, numbers_twin
from pipeline.core.votes import votes_twin

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "pipeline" / "native"

compiled = pytest.mark.skipif(native.compiled is None, reason=f"nothing compiled is used: {native.why_not}")

PIECES = [
    *"aAzZ09 _'’.,!?@#$£/:<>*`\n\t\x00\x1c\x85\xa0ßİıΣςſéÉñ½²٣ñ❤♥♡☺😀👍🏽日한ขعрd",
    *("\ud800", "\udfff", "\u2028", "it's", "don’t", "'quoted'", "rock'n'roll", "http://t.co/x", "https"),
    *("not", "no", "never", "so", "this", "but", "BUT", "kind", "of", "least", "at", "very", "without", "doubt", "or"),
    *("good", "bad", "GREAT", "terrible", "love", "refund", "crash", "to", "die", "for", "the", "bomb", "shit", "yeah"),
    *("right", "cut", "mustard", "upper", "hand", "cooking", "with", "gas", "sort", "hate", "please", "work", "works"),
]
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from([piece for piece in PIECES if piece.isalpha()]), max_size=60).map(" ".join),
)
WORDS = TEXTS.map(words_twin)
LANGUAGES = st.sampled_from([None, "en", "de", "es", "fr"])

SHIPPED = shipped()
TINY = Wordings(
    {
        0: ("good", "good day", "good day sir", "some*"),
        1: ("^hello", "^hello wor*", "wor* of goo*", "^wonder* day"),
        2: ("day", "o'clock", "of good*", "day sir"),
    }
)
TINY_TEXTS = st.lists(
    st.sampled_from(
        ["good", "day", "sir", "some", "something", "hello", "world", "wor", "of", "goods", "o'clock", "oclock"]
    )
    | st.sampled_from(["wonder", "wonderful", "x"]),
    max_size=30,
)
LONG = _LongHashes()
PHRASES = Phrases(read("en")["phrases"])


@compiled
@given(TEXTS)
@settings(max_examples=500)
def test_a_text_has_the_same_words(text):
    assert native.compiled.words(text) == words_twin(text)


@compiled
@pytest.mark.parametrize("part", ["a ", "it's ", "é’t ", "😡", "'", "İ", "x" * 50 + " ", "ab"])
def test_long_texts_are_cut_at_the_same_place(part):
    for size in (19_990, 20_000, 20_010, 50_000):
        text = (part * size)[:size]
        assert native.compiled.words(text) == words_twin(text)


@compiled
@given(WORDS, LANGUAGES)
@settings(max_examples=300)
def test_the_same_rules_fire_on_the_same_wordings(words, language):
    wordings = SHIPPED._wordings
    given_ = (wordings.starts, wordings.opening, words, SHIPPED._means, NEGATORS, language)
    ours, theirs = native.compiled.rules(*given_), rules_twin(*given_)
    assert ours == theirs
    assert list(ours) == list(theirs), "the order of rules is the order of reasons"
    assert native.compiled.wordings(*given_[:3]) == wordings_twin(*given_[:3])


@compiled
@given(TINY_TEXTS)
@settings(max_examples=500)
def test_wordings_that_overlap_are_found_alike(words):
    assert native.compiled.wordings(TINY.starts, TINY.opening, words) == wordings_twin(TINY.starts, TINY.opening, words)


@compiled
@given(WORDS, st.integers(0, 30))
def test_phrases_weigh_the_same(words, most):
    known = (PHRASES._follow, PHRASES._by_first, words, most)
    assert native.compiled.phrases(*known) == phrases_twin(*known)


@compiled
def test_every_phrase_is_found_alike():
    texts = [text.replace("*", "ing").replace("'", "") for row in read("en")["phrases"].values() for text in row]
    rng = random.Random(3)
    found = 0
    for _ in range(300):
        words = " ".join(rng.choices(texts, k=4)).split()
        known = (PHRASES._follow, PHRASES._by_first, words, len(words))
        assert native.compiled.phrases(*known) == phrases_twin(*known)
        found += phrases_twin(*known) != 0
    assert found > 250, "nearly every such text has a phrase that tells"


@compiled
@given(st.lists(st.sampled_from([*list(_VOTES)[::7], "zzz", "été"]), max_size=120))
def test_words_vote_alike_for_languages(words):
    given_ = (_VOTES, words, 80, len(_CODES))
    assert native.compiled.votes(*given_) == votes_twin(*given_)


@compiled
@given(st.one_of(WORDS, st.lists(st.sampled_from(["https", "http", "word", "longer", "été"]), max_size=6)))
def test_texts_have_the_same_sketch(words):
    assert native.compiled.sketch(LONG, words, 3) == sketch_twin(LONG, words, 3)


@compiled
def test_only_the_first_words_of_a_long_text_are_sketched():
    words = [f"word{'abcdefghij'[n % 10] * (n // 10 + 1)}" for n in range(1000)]
    assert native.compiled.sketch(LONG, words, 3) == sketch_twin(LONG, words, 3)


_HASHES = st.sets(st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)), max_size=SKETCH)


@compiled
@given(_HASHES, _HASHES, st.sampled_from([0.0, 0.5, 0.7]))
@settings(max_examples=500)
def test_two_sketches_have_the_same_in_common(one, other, least):
    sketches = (packed(one), packed(other), least)
    assert native.compiled.in_common(*sketches) == in_common_twin(*sketches)


@compiled
@given(st.lists(st.floats(-30, 30) | st.sampled_from([0.0, 1.6, 0.8]), min_size=4, max_size=4))
@settings(max_examples=500)
def test_shares_are_rounded_alike(sums):
    assert native.compiled.shares(sums, 1.6, CANONICAL) == shares_twin(sums, 1.6, CANONICAL)


@compiled
@given(st.floats(allow_nan=False) | st.integers(-99_999, 99_999).map(lambda n: n / 2000), st.integers(0, 6))
@settings(max_examples=1000)
def test_numbers_are_rounded_as_python_does(value, digits):
    ours = native.compiled.rounded(value, digits)
    assert (ours, str(ours)) == (round(value, digits), str(round(value, digits))), "-0.0 is not 0.0"


@compiled
@given(TEXTS, st.sets(st.sampled_from("aé’😀👍\ud800日 \U0010ffff"), max_size=5))
def test_signs_are_found_and_replaced_alike(text, chars):
    signs, table = set_of(map(ord, chars)), {char: f" <{char}>" for char in chars}
    assert native.compiled.has_sign(signs, text) == has_sign_twin(signs, text) == any(char in text for char in chars)
    ours = native.compiled.replaced(signs, table, text)
    assert ours == replaced_twin(signs, table, text) == "".join(table.get(char, char) for char in text)


def test_a_set_of_ranges_is_a_set_of_their_codes():
    assert set_of_ranges([(65, 70), (0x1F600, 0x1F602)]).rstrip(b"\0") == set_of(
        [*range(65, 71), *range(0x1F600, 0x1F603)]
    )
    assert set_of_ranges([(0, 0)]) == set_of([0])


@compiled
@given(st.text("0149 pPmMwW/x²é_٣", max_size=20))
@settings(max_examples=1000)
def test_numbers_of_advertisements_are_seen_alike(text):
    assert native.compiled.numbers(text) == numbers_twin(text)
    assert numbers_twin(text) or not _NUMBERS.search(text), "only what cannot be one is passed over"


@compiled
@given(TEXTS)
def test_the_same_is_asked_of_chunks(text):
    vocabulary = Matcher({"a": 'good OR bad OR refund* OR "to die" OR #tag OR don\'t OR 日'})._text
    assert native.compiled.places(vocabulary, text.split()) == places_twin(vocabulary, text.split())


def _twin_of(vader):
    """Return a scorer without the compiled walk."""
    vader.walk = None
    return vader


OURS, TWIN = FastVader(), _twin_of(FastVader())
PAIRED, PAIRED_TWIN = PairedVader(valences("en")), _twin_of(PairedVader(valences("en")))
THEIRS = original.SentimentIntensityAnalyzer()


@given(TEXTS)
@settings(max_examples=400)
def test_vader_is_the_same_three_times(text):
    wanted = THEIRS.polarity_scores(text)["compound"]
    assert OURS.compound(text) == TWIN.compound(text) == wanted
    assert OURS.total(text) == TWIN.total(text), "to the last bit"
    assert PAIRED.totals(text) == PAIRED_TWIN.totals(text)


_FEELING = [
    "good",
    "bad",
    "good",
    "love",
    "hate",
    "terrible",
    "great",
    "but",
    "not",
    "x",
    "VERY",
    "kind",
    "of",
    "no",
    "best",
]


@given(st.lists(st.sampled_from(_FEELING), min_size=20, max_size=200))
@settings(max_examples=200, deadline=None)
def test_many_equal_words_around_but_are_weighed_alike(words):
    text = " ".join(words)
    assert OURS.total(text) == TWIN.total(text)
    assert PAIRED.totals(text) == PAIRED_TWIN.totals(text)
    assert OURS.compound(text) == THEIRS.polarity_scores(text)["compound"]


def test_wrong_arguments_are_refused_and_nothing_breaks():
    if native.compiled is None:
        pytest.skip(native.why_not)
    for name in (
        "words",
        "wordings",
        "rules",
        "phrases",
        "votes",
        "sketch",
        "in_common",
        "shares",
        "feeling",
        "leaning",
        "rounded",
        "vader",
        "has_sign",
        "replaced",
        "places",
    ):
        function = getattr(native.compiled, name)
        for count in range(10):
            for value in (None, 1, "x", [], {}, (), [1], [None, "x"], b"1", -(2**70)):
                with contextlib.suppress(TypeError, ValueError, OverflowError, SystemError):
                    function(*[value] * count)
    with pytest.raises(TypeError, match="takes a text"):
        native.compiled.words(None)
    with pytest.raises(TypeError, match="takes 3 arguments, got 2"):
        native.compiled.wordings({}, None)
    wordings = SHIPPED._wordings
    with pytest.raises(TypeError):
        native.compiled.wordings(wordings.starts, wordings.opening, ["good", None])
    with pytest.raises(TypeError):
        native.compiled.wordings({"good": ((1,), (), frozenset({"x"}), ())}, None, ["good", "x"])
    with pytest.raises(IndexError):
        native.compiled.rules(wordings.starts, wordings.opening, ["refund"], [], NEGATORS, "en")
    with pytest.raises(TypeError):
        native.compiled.vader({"x": (1, 2)}, None, (0.7, -0.7, {}, None), "x")
    with pytest.raises(KeyError):
        native.compiled.vader({}, None, (0.7, -0.7, {}, None), "x")


@compiled
def test_nothing_is_left_behind_by_calls_and_by_errors():
    wordings, vocabulary, text = (
        SHIPPED._wordings,
        Matcher({"a": "good OR refund"})._text,
        "It's NOT good but a refund 😀 5p",
    )
    words = words_twin(text)
    rules = (wordings.starts, wordings.opening, words, SHIPPED._means, NEGATORS, "en")
    table = dict.fromkeys("😀", " smile")
    calls = [
        (native.compiled.words, (text,)),
        (native.compiled.words, (None,)),
        (native.compiled.wordings, rules[:3]),
        (native.compiled.wordings, (*rules[:2], [*words, None])),
        (native.compiled.rules, rules),
        (native.compiled.rules, (*rules[:3], [], *rules[4:])),
        (native.compiled.phrases, (PHRASES._follow, PHRASES._by_first, words, 50)),
        (native.compiled.phrases, ({"good": (True, frozenset(), ())}, {"good": (1,)}, words, 50)),
        (native.compiled.votes, (_VOTES, words, 80, len(_CODES))),
        (native.compiled.votes, (_VOTES, words, 80, 3)),
        (native.compiled.sketch, (LONG, words, 3)),
        (native.compiled.sketch, ({}, words, 3)),
        (native.compiled.in_common, (packed({1, 2}), packed({2, 3}), 0.1)),
        (native.compiled.shares, ([1.0, 2.0, 3.0, 4.0], 1.6, CANONICAL)),
        (native.compiled.shares, ([1.0, "x", 3.0, 4.0], 1.6, CANONICAL)),
        (native.compiled.rounded, (0.00005, 4)),
        (native.compiled.numbers, (text,)),
        (native.compiled.replaced, (set_of([0x1F600]), table, text)),
        (native.compiled.replaced, (set_of([0x1F600]), {}, text)),
        (native.compiled.places, (vocabulary, text.split())),
        (native.compiled.places, ({"good": 1}, ["good"])),
        (OURS.walk, (text,)),
        (OURS.walk, ("good and bad but " * 100,)),
        (OURS.walk, (None,)),
        (native.compiled.vader, (OURS.tokens, {}, (0.7, -0.7, {}, None), text)),
    ]

    def blocks(function, arguments):
        for _ in range(500):
            with contextlib.suppress(TypeError, KeyError, IndexError):
                function(*arguments)
        return sys.getallocatedblocks()

    for function, arguments in calls:
        blocks(function, arguments)  # fills what is kept
        before = blocks(function, arguments)
        assert blocks(function, arguments) - before < 100, (function, arguments)


class _Odd(str):
    """A text whose lower case is none."""

    __slots__ = ()

    def lower(self):
        return b"odd"


@compiled
def test_a_text_of_a_class_of_its_own_is_read_as_it_is_or_refused():
    for text in ("it's", "été 😀", "\ud800 x", ""):
        assert native.compiled.words(type("Text", (str,), {})(text)) == words_twin(text)
    for function in (native.compiled.words, words_twin):
        with pytest.raises(TypeError):
            function(_Odd("été"))


@compiled
@pytest.mark.parametrize("count", [2, 20, 200])
def test_a_valence_that_is_no_number_ends_the_walk_all_the_same(count):
    lexicon = {"good": float("nan"), "bad": -1.5, "best": 3.0}
    tokens = Tokens(installed(), lexicon)
    text = "bad best but good " * count
    assert native.compiled.vader(tokens, None, (0.7, -0.7, {}, None), text) == (0.0, 0.0), (
        "neither above zero nor below"
    )


@compiled
def test_every_module_that_is_loaded_keeps_its_own_and_gives_it_back():
    spec = importlib.util.find_spec("pipeline.core._native")
    vocabulary, chunks = Matcher({"a": "good OR refund"})._text, ["A", "good", "refund"]
    wanted = places_twin(vocabulary, chunks)

    def load():
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.places is not native.compiled.places
        vocabulary.clear()
        assert module.places(vocabulary, chunks) == wanted
        return weakref.ref(module)

    modules = [load() for _ in range(5)]
    gc.collect()
    assert not any(module() for module in modules), "a module that nobody has any more is gone"
    vocabulary.clear()
    assert native.compiled.places(vocabulary, chunks) == wanted


@compiled
def test_tables_that_are_full_begin_anew_in_the_middle_of_a_text(monkeypatch):
    """Whatever a look-up takes from a table, the next one may empty it."""
    monkeypatch.setattr("pipeline.core.query.vocabulary.MAX_CHUNKS", 3)
    monkeypatch.setattr("pipeline.core.routing.wordings._REMEMBERED", 3)
    monkeypatch.setattr("pipeline.core.dedup._MAX_CACHED", 3)
    monkeypatch.setattr("pipeline.core.sentiment.tokens.CACHE", 3)
    monkeypatch.setattr("pipeline.core.sentiment.vader.CACHE", 3)
    query, hashes = {"a": 'good OR refund* OR "kind of"'}, type("Hashes", (_LongHashes,), {"rare": (3, 40, 3)})
    small = Wordings({0: ("good", "good day", "some*"), 1: ("^very", "kind of")})
    ours, theirs = PairedVader({"good": 3.0, "refund": -1.0}), _twin_of(PairedVader({"good": 3.0, "refund": -1.0}))
    assert ours.walk.args[0].rare[0] == small.starts.rare[0] == Matcher(query)._text.rare[0] == 3
    table, vocabulary, theirs_of = hashes(), Matcher(query)._text, Matcher(query)._text
    rng = random.Random(7)
    letters = [piece for piece in PIECES if piece.isalpha()] + ["refunds", "day", "some", "something", "GOOD!", "#good"]
    for _ in range(300):
        text = " ".join(rng.choices(letters, k=rng.randrange(40)))
        words, chunks = words_twin(text), text.split()
        assert native.compiled.sketch(table, words, 3) == sketch_twin(hashes(), words, 3)
        assert ours.totals(text) == theirs.totals(text)
        found, wanted = native.compiled.places(vocabulary, chunks), places_twin(theirs_of, chunks)
        assert [place and place.forms for place in found] == [place and place.forms for place in wanted]
        fresh = wordings_twin(small.starts, small.opening, words)
        assert native.compiled.wordings(small.starts, small.opening, words) == fresh
        assert max(map(len, (table, vocabulary, small.starts, ours.walk.args[0], ours.walk.args[1]))) <= 3


_DECISIONS = """
import hashlib, itertools, sys
from datetime import UTC, datetime
from msgspec.structs import replace
from pipeline.bench.growth import STRANGE
from pipeline.bench.messages import config, mentions
from pipeline.contract import codec
from pipeline.core import native
from pipeline.core.dedup import Memory
from pipeline.core.triage import Triage
now = datetime(2026, 1, 1, tzinfo=UTC)
triage, memory, digest = Triage(config()), Memory(1000), hashlib.sha256()
rows = [replace(row, created_at=now, collected_at=now) for row in mentions(600)]
rows += [replace(rows[n], id=str(n), text="Brand1 " + text[:30_000]) for n, text in enumerate(STRANGE.values())]
for row in rows:
    verdict = triage.judge(row, memory, now)
    digest.update(codec.encode(verdict) if hasattr(verdict, "outcome") else repr(verdict).encode())
print(native.used(), digest.hexdigest())
"""


def test_every_decision_is_the_same_without_the_compiled_part():
    said = {}
    for pure in ("1", "0"):
        run = subprocess.run(
            [sys.executable, "-c", _DECISIONS],
            env={**os.environ, "EARSHOT_PURE": pure},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        used, said[pure] = run.stdout.split()
        assert used == ("pure" if pure == "1" or native.compiled is None else used)
    assert said["1"] == said["0"]


def test_what_was_built_from_other_sources_is_not_used(monkeypatch):
    monkeypatch.delenv(native.PURE, raising=False)
    monkeypatch.setattr(native, "FORM", -1)
    module, why = native._load()
    assert module is None
    assert "install" in why


@pytest.mark.parametrize(("is_free", "told"), [(0, "install a C compiler"), (1, "with one that has the GIL")])
def test_who_has_nothing_compiled_is_told_what_to_do(monkeypatch, is_free, told):
    def missing(name):
        raise ImportError(name)

    monkeypatch.delenv(native.PURE, raising=False)
    monkeypatch.setattr(native, "import_module", missing)
    monkeypatch.setattr(native, "get_config_var", {"Py_GIL_DISABLED": is_free}.get)
    module, why = native._load()
    assert module is None
    assert told in why


def test_all_sources_are_built_and_their_form_is_the_one_python_asks_for():
    extension = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"][0]
    assert sorted(extension["sources"]) == sorted(str(path.relative_to(ROOT)) for path in NATIVE.glob("*.c"))
    assert sorted(extension["depends"]) == sorted(str(path.relative_to(ROOT)) for path in NATIVE.glob("*.h"))
    assert extension["optional"], "a machine without a compiler works with the twins"
    assert f"#define NATIVE_FORM {native.FORM}\n" in (NATIVE / "native.h").read_text()
