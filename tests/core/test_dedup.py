"""The memory of a partition: what was seen, which stories go round, and that an aborted batch leaves no trace."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.dedup import MAX_WORDS, Memory, Remembered

LONG = "the new firmware of the kitchen radio drops the network every night since monday"


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


def same_story(*texts: str, limit: int = 100) -> bool:
    memory = Memory(limit)
    return len({memory.story(words(text), f"x:{number}") for number, text in enumerate(texts)}) == 1


def seen(revision: int = 0, **fields) -> Remembered:
    return Remembered(revision=revision, **fields)


def state(memory: Memory) -> tuple:
    """Everything a memory knows, as values."""
    stories = {id(story): (story.id, tuple(story.sketch), story.queued) for story in memory._queue}
    return (
        list(memory._events),
        dict(memory._latest),
        [stories[id(story)] for story in memory._queue],
        {key: (story.id, tuple(story.sketch), story.queued) for key, story in memory._index.items()},
    )


def test_remembers_the_latest_revision_of_a_mention():
    memory = Memory(10)
    assert memory.latest("x:1") is None
    memory.remember("x:1", seen(1, departments=("support",)))
    memory.remember("x:1", seen(2, brands=("acme",), story="s"))
    assert memory.latest("x:1") == seen(2, brands=("acme",), story="s")


def test_forgets_the_oldest_first():
    memory = Memory(3)
    for number in range(5):
        memory.remember(f"x:{number}", seen())
    assert [memory.latest(f"x:{number}") is None for number in range(5)] == [True, True, False, False, False]


def test_a_mention_that_comes_again_is_new_again():
    memory = Memory(3)
    for name in ("a", "b", "a", "c", "d"):
        memory.remember(name, seen())
    assert [memory.latest(name) is None for name in "abcd"] == [False, True, False, False]


def test_is_the_same_when_it_is_rebuilt_from_the_last_records():
    """The runtime restores a memory by remembering the last `limit` records of the output topic, in order."""
    events = [(f"x:{number * 7 % 11}", seen(number)) for number in range(60)]
    live, restored = Memory(20), Memory(20)
    for event in events:
        live.remember(*event)
    for event in events[-20:]:
        restored.remember(*event)
    assert state(live)[:2] == state(restored)[:2]


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper(),
        LONG + "!!!",
        "RT @someone: " + LONG,
        LONG + " https://t.co/a1B2c3",
        "@acme " + LONG,
        LONG.replace("monday", "tuesday"),
        LONG.replace(" ", ", "),
        "42 " + LONG + " 7",
        " ".join(LONG.split()[:-2]),
    ],
)
def test_nearly_the_same_words_are_one_story(other):
    assert same_story(LONG, other)
    assert same_story(other, LONG)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LONG, "the old firmware of the garden lamp works all day and night since tuesday thanks"),
        ("thanks!", "thanks!"),
        ("thank you so much", "thank you so much"),
        ("I love it, love it, love it, love it, love it", "I love it, love it, love it, love it, love it"),
        ("", ""),
        ("https://example.org/some/long/path/here", "https://example.org/some/long/path/here"),
        ("1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 9"),
    ],
)
def test_other_words_or_too_few_are_stories_of_their_own(one, other):
    assert not same_story(one, other)


def test_a_short_text_keeps_its_story_when_it_is_judged_again():
    memory = Memory(10)
    assert memory.story(["thanks"], "x:1") == memory.story(["thank", "you"], "x:1") != memory.story(["thanks"], "x:2")


def test_texts_without_spaces_have_stories_too():
    text = "这个手机的电池真的很差而且客服不理人"
    assert same_story(text, text + "!", "哎" + text)
    assert not same_story(text, "今天天气很好我们去公园散步吃冰淇淋吧")


def test_copies_that_change_a_little_each_time_follow_the_first():
    assert same_story(LONG, "so " + LONG, "so sad " + LONG, LONG + " really", "really sad: " + LONG)


def test_a_story_that_goes_on_is_not_forgotten():
    memory = Memory(4)
    first = memory.story(words(LONG), "x:0")
    for number in range(20):
        memory.story([f"{letter}word{chr(97 + number)}" for letter in "abcdefgh"], f"x:{number}")
        assert memory.story(words(LONG + " again"), "x:0") == first


def test_a_story_that_ended_is_forgotten():
    memory = Memory(3)
    first = memory.story(words("well " + LONG), "x:0")
    for number in range(5):
        memory.story([f"{letter}word{chr(97 + number)}" for letter in "abcdefgh"], f"x:{number}")
    assert memory.story(words(LONG), "x:1") != first
    assert len(memory._queue) <= 3
    assert len(memory._index) <= 12


def test_equal_words_have_the_same_story_in_every_process():
    code = f"from pipeline.core.dedup import Memory; print(Memory(9).story({words(LONG)!r}, 'x:1'))"
    ids = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert ids == {Memory(100).story(words("42 " + LONG.upper() + " http://t.co/z1"), "y:2") + "\n"}


def test_undo_goes_back_to_either_of_the_newest_two_marks():
    memory = Memory(10)
    first = memory.mark()
    memory.remember("x:0", seen())
    second = memory.mark()
    memory.remember("x:1", seen())
    third = memory.mark()
    memory.remember("x:2", seen())
    with pytest.raises(ValueError, match="replaced by newer ones"):
        memory.undo(first)
    memory.undo(third)
    assert len(memory) == 2
    memory.remember("x:2", seen())
    memory.undo(second)
    assert len(memory) == 1
    memory.remember("x:3", seen())
    memory.undo(second)  # the batch is read again and aborted again
    assert len(memory) == 1
    with pytest.raises(ValueError, match="replaced by newer ones"):
        memory.undo(third)


pool = [
    [*letters, *common]
    for letters in (["alpha", "bravo", "delta"], ["golf", "hotel", "india"], ["kilo", "lima", "mike", "oscar"])
    for common in (
        ["seven", "words", "here", "make"],
        ["seven", "words", "here", "make", "story"],
        ["quite", "other", "ones"],
    )
]
step = st.one_of(
    st.tuples(st.just("remember"), st.integers(0, 8), st.integers(0, 3)),
    st.tuples(st.just("story"), st.sampled_from(pool), st.integers(0, 8)),
)


def do(memory: Memory, steps: list[tuple]) -> list[str]:
    found = []
    for kind, what, number in steps:
        if kind == "remember":
            memory.remember(f"x:{what}", seen(number))
        else:
            found.append(memory.story(what, f"x:{number}"))
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(step, max_size=20),
    st.lists(st.lists(step, max_size=20), min_size=1, max_size=2),
    st.lists(step, max_size=10),
)
def test_undo_restores_exactly(limit, before, batches, after):
    memory = Memory(limit)
    do(memory, before)
    expected = copy.deepcopy(memory)
    marks = []
    for batch in batches:
        marks.append(memory.mark())
        do(memory, batch)
    memory.undo(marks[0])
    assert state(memory) == state(expected)
    assert do(memory, after) == do(expected, after)
    assert state(memory) == state(expected)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.lists(step, max_size=40), st.booleans())
def test_never_holds_more_than_its_limit(limit, steps, marked):
    memory = Memory(limit)
    if marked:
        memory.mark()
    for one in steps:
        do(memory, [one])
        assert len(memory) <= limit
        assert len(memory._queue) <= limit
        assert len(memory._index) <= 4 * limit
        assert {id(story) for story in memory._index.values()} <= {id(story) for story in memory._queue}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=30))
def test_any_words_have_a_story_and_the_same_words_the_same(tokens):
    one, other = Memory(10), Memory(10)
    story = one.story(tokens, "x:1")
    assert re.fullmatch("[0-9a-f]{16}", story)
    assert other.story(tokens, "x:1") == story
    assert one.story(tokens, "x:1") == story


def test_a_huge_text_costs_no_more_than_its_first_words():
    memory = Memory(10)
    huge = [f"w{chr(97 + number % 26)}{chr(97 + number // 26 % 26)}word" for number in range(1_000_000)]
    first = huge[:MAX_WORDS]

    def taken(words: list[str]) -> float:
        began = time.process_time()
        for _ in range(200):
            memory.story(words, "x:1")
        return time.process_time() - began

    few, many = (min(taken(words) for _ in range(3)) for words in (first, huge))
    assert many < 20 * few + 0.01  # all of its words would take 2,500 times as long
    assert memory.story(huge[:MAX_WORDS], "x:2") == memory.story(huge, "x:3")
