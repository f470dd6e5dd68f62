"""Texts of strangers on a terminal."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.contract.events import Author, Decision, Fired, JudgedMention, Label, Outcome, Priority, Rating, Sentiment
from pipeline.runtime.lines import marked_up, one_line, safe

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def judged(text="It broke again", **changes):
    facts = {
        "id": "rss:1",
        "source": "rss",
        "native_id": "1",
        "created_at": AT,
        "collected_at": AT,
        "text": text,
        "outcome": Outcome.ROUTED,
        "sentiment": Sentiment(label=Label.NEGATIVE, score=-0.5),
        "decision": Decision(by="rule:broken", version="0", rules=(Fired(name="broken", department="support"),)),
        "departments": ("support",),
    }
    return JudgedMention(**{**facts, **changes})


@given(st.text())
def test_nothing_a_terminal_acts_on_gets_through(text):
    line = safe(text)
    assert "\x1b" not in line
    assert "\n" not in line
    assert "\u202e" not in line
    assert all(ord(char) >= 0x20 and not 0x7F <= ord(char) <= 0x9F for char in line)


def test_an_escape_sequence_is_disarmed():
    assert safe("red \x1b[31malert\x07 \u202etxt.exe") == "red [31malert txt.exe"


def test_a_long_text_is_cut_to_the_width():
    assert len(one_line(judged("word " * 500), "support", 100)) == 100


def test_markup_in_a_text_is_shown_and_not_obeyed():
    console = Console(width=100, record=True, force_terminal=True)
    console.print(marked_up(judged("[bold red]ruin[/] [link=http://evil.example]x[/link]"), "support"))
    assert "[bold red]ruin[/]" in console.export_text()


def test_the_reader_sees_who_what_and_why():
    mention = judged(
        author=Author(handle="ann", followers=12_000),
        rating=Rating(value=1),
        priority=Priority.HIGH,
        intents=("problem",),
        url="https://forum.example/1",
    )
    console = Console(width=120, record=True)
    console.print(marked_up(mention, "support", 120))
    text = console.export_text()
    for part in (
        "support",
        "negative -0.50",
        "★ 1/5",
        "high",
        "ann, 12,000 followers",
        "rule:broken",
        "problem",
        "https://forum.example/1",
    ):
        assert part in text
