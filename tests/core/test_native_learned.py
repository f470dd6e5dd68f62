"""What was learned is read alike with the compiled part and without: the same sums to the last bit, the same reasons."""

import contextlib
import random
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.model import Config
from pipeline.contract.codec import mention_from_json
from pipeline.core import native
from pipeline.core.dedup import Memory
from pipeline.core.routing import learned
from pipeline.core.routing.features import features
from pipeline.core.routing.learned import Learner
from pipeline.core.routing.recalling import COUNTS, SIZES, recall_twin
from pipeline.core.triage import Triage

compiled = pytest.mark.skipif(native.compiled is None, reason=f"nothing compiled is used: {native.why_not}")

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
CLASSES = ("service", "support", "design")
KNOWN = [
    "the",
    "of",
    "dongle",
    "blinks",
    "blinking",
    "porter",
    "is",
    "refund",
    "crashing",
    "e\u0301t\u00e9",
    "\U0001f600",
]
WORDS = st.lists(st.sampled_from([*KNOWN, "unheard", "und", "refunds", "x" * 60]), max_size=40)
RULES = ["crash", "late"]


def a_learner(count=60, seed=5):
    learner, rng = Learner(CLASSES, 0.7), random.Random(seed)
    for _ in range(count):
        seen = features(rng.choices(KNOWN, k=6), rng.sample(RULES, 1), rng.choice([0.0, 0.5, -0.5]))
        learner.learn(seen, (0.1, 0.0, -0.1), rng.choice(CLASSES))
    return learner


LEARNER = a_learner()


def tables_of(learner):
    learner.read(())
    return learner._tables


@compiled
@given(WORDS, st.lists(st.sampled_from([*RULES, "unknown"]), unique=True), st.sampled_from([0.0, 0.4, -1.0]))
@settings(max_examples=400)
def test_what_was_learned_is_read_alike(words, rules, feeling):
    tables = tables_of(LEARNER)
    for most in (0, 1, 3, 8):
        ours = native.compiled.recall(tables, words, rules, feeling, most)
        assert ours == recall_twin(tables, words, rules, feeling, most), "to the last bit"
        assert len(ours[1]) <= most


@compiled
def test_reasons_that_are_equally_strong_come_by_name():
    tables = tables_of(a_learner(0))
    row, other = [0.0, 2.0, 0.0], [0.0, 2.0, 0.5]
    entries = tables[0]
    for word in ("b", "a", "c", "d"):
        entries[word] = entries["unheard"]
    packed = entries._pack(*row, 1.0, 0.0)
    entries |= {"b": bytes(bytearray(packed)), "a": (bytes(bytearray(packed)), {"c": row, "b": other}), "c": packed}
    given_ = (tables, ["c", "b", "a", "c", "a", "b"], [], 0.0)
    for most in range(9):
        ours = native.compiled.recall(*given_, most)
        assert ours == recall_twin(*given_, most)
    assert native.compiled.recall(*given_, 3)[1] == ("a", "b", "c")


@compiled
def test_a_long_text_is_read_up_to_the_same_word():
    tables, rng = tables_of(LEARNER), random.Random(2)
    for size in (299, 300, 301, 5000):
        words = [rng.choice([*KNOWN, f"w{rng.randrange(400)}"]) for _ in range(size)]
        assert native.compiled.recall(tables, words, [], 0.1, 3) == recall_twin(tables, words, [], 0.1, 3)


@compiled
def test_decisions_are_the_same_with_the_compiled_reading_and_without(monkeypatch):
    rng, triage = random.Random(3), Triage(Config(version=1))
    texts = [
        f"{' '.join(rng.choices(['my dongle', 'the refund', 'crashes', 'is late', 'love it', 'please add'], k=4))} {n}"
        for n in range(120)
    ]
    mentions = [mention_from_json({"id": f"m{n}", "text": text}, now=NOW) for n, text in enumerate(texts)]
    for mention in mentions[:60]:
        glad = "love" in mention.text
        triage.learn(
            mention,
            department="design" if "dongle" in mention.text else "service",
            sentiment="positive" if glad else "negative",
            spam="late" in mention.text,
        )
    assert all(line.serving is not None for line in triage.taught.lines.values())
    ours = [triage.judge(mention, Memory(limit=1), NOW) for mention in mentions]
    assert any(fired.terms for judged in ours for fired in judged.decision.model)
    monkeypatch.setattr(learned, "recall", recall_twin)
    assert [triage.judge(mention, Memory(limit=1), NOW) for mention in mentions] == ours


def wrong():
    """Return arguments that are not what they should be, one part at a time."""
    tables = tables_of(LEARNER)
    entries, by_rule, always, feels, trust, sizes, counts = tables
    words = ["dongle", "blinks"]
    yield from [
        (None, words, [], 0.0, 3),
        (tables[:6], words, [], 0.0, 3),
        (tables, None, [], 0.0, 3),
        (tables, [1], [], 0.0, 3),
        (tables, words, [None], 0.0, 3),
        (tables, words, [], "x", 3),
        (tables, words, [], 0.0, 9),
        (tables, words, [], 0.0, -1),
        (({}, *tables[1:]), words, [], 0.0, 3),
        (({"dongle": 1}, *tables[1:]), words, [], 0.0, 3),
        (({"dongle": b"short"}, *tables[1:]), words, [], 0.0, 3),
        (({"dongle": (entries["unheard"], [])}, *tables[1:]), words, [], 0.0, 3),
        (
            ({"dongle": (entries["unheard"], {"blinks": [1.0]}), "blinks": entries["unheard"]}, *tables[1:]),
            words,
            [],
            0.0,
            3,
        ),
        ((entries, {"late": 1}, always, feels, trust, sizes, counts), words, ["late"], 0.0, 3),
        ((entries, by_rule, [1, 2, 3], feels, trust, sizes, counts), words, [], 0.0, 3),
        ((entries, by_rule, [0.0] * 9, feels, trust, sizes, counts), words, [], 0.0, 3),
        ((entries, by_rule, [], feels, trust, sizes, counts), words, [], 0.0, 3),
        ((entries, by_rule, always, [0.0], trust, sizes, counts), words, [], 0.5, 3),
        ((entries, by_rule, always, feels, "x", sizes, counts), words, [], 0.0, 3),
        ((entries, by_rule, always, feels, trust, SIZES[:7], counts), words, [], 0.0, 3),
        ((entries, by_rule, always, feels, trust, sizes, (513, COUNTS[1])), words, [], 0.0, 3),
        ((entries, by_rule, always, feels, trust, sizes, (300,)), words, [], 0.0, 3),
    ]


@compiled
@pytest.mark.parametrize("number", range(len(list(wrong())) if native.compiled else 0))
def test_wrong_arguments_are_refused(number):
    arguments = list(wrong())[number]
    with pytest.raises((TypeError, ValueError, KeyError)):
        native.compiled.recall(*arguments)


@compiled
def test_nothing_is_left_behind_by_reading_and_by_errors():
    tables = tables_of(LEARNER)
    calls = [*wrong(), (tables, KNOWN * 3, RULES, 0.3, 3), (tables, (), (), 0.0, 0)]

    def blocks(arguments):
        for _ in range(300):
            with contextlib.suppress(TypeError, ValueError, KeyError):
                native.compiled.recall(*arguments)
        return sys.getallocatedblocks()

    for arguments in calls:
        before = blocks(arguments)
        assert blocks(arguments) - before < 100, arguments[1:]


def test_what_words_add_is_looked_up_anew_after_each_label():
    learner = a_learner(10)
    before = learner.read(["dongle"])[0]
    learner.learn(features(["dongle"]), (0.0, 0.0, 0.0), "design")
    after = learner.read(["dongle"])[0]
    assert after != before
    assert after == pytest.approx(learner.adds(features(["dongle"])), abs=1e-9)


def test_the_memory_of_words_is_bounded(monkeypatch):
    monkeypatch.setattr("pipeline.core.routing.recalling._REMEMBERED", 50)
    learner = a_learner(10)
    for number in range(40):
        learner.read([f"w{number}x{place}" for place in range(20)])
    assert len(learner._tables[0]) <= 50 + 20
