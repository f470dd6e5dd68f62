"""The screen of `earshot up` on terminals of any size."""

import io
from collections import deque

import pytest
from rich.console import Console

from pipeline.runtime.supervise.screen import PlainScreen, View, brief, render
from tests.runtime.test_lines import judged

DNS = "search.example.org/api/v1/a-long-way-to-what-is-asked-for cannot be reached: its name is not known (DNS)"


def a_view(**changes):
    sources = {
        f"source-{number}": {"type": "hackernews", "state": "unreachable", "reason": DNS, "mentions": number}
        for number in range(6)
    }
    facts = {
        "addresses": {"kafka": "127.0.0.1:9092", "health": "http://127.0.0.1:9477/readyz", "logs": "/srv/data/log"},
        "sources": sources,
        "workers": {"triage-0": "running", "notify-0": "running"},
        "departments": dict.fromkeys(("service", "support", "design", "marketing", "review"), 1200),
        "recent": deque([("support", judged(f"{number} 😡 " + "鶏" * 200)) for number in range(12)]),
        "alerts": deque([f"09:30:0{number} critical ReputationDamage acme: negative" for number in range(4)]),
        "note": "ready after 4.1 s",
    }
    return View(**{**facts, **changes})


def drawn(view, width, height):
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(render(view, width, height))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 45), (220, 70)])
def test_reasons_alerts_and_how_to_stop_are_seen_on_any_terminal(width, height):
    lines = drawn(a_view(), width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert sum("its name is not known (DNS)" in line for line in lines) == 6
    assert sum(f" source-{number} " in line for number in range(6) for line in lines) == 6
    assert "09:30:03 critical ReputationDamage" in "\n".join(lines)  # the newest is there
    assert lines[-1].startswith("ready after 4.1 s · Ctrl-C stops")
    assert "11 😡" in "\n".join(lines)


def test_of_many_sources_those_that_are_not_heard_are_seen():
    view = a_view()
    for number in range(60):
        view.sources[f"fine-{number}"] = {"type": "rss", "state": "listening", "mentions": 7}
    lines = drawn(view, 100, 40)
    assert len(lines) < 40
    assert sum("its name is not known (DNS)" in line for line in lines) == 6
    assert sum("fine-" in line for line in lines) + 6 + more(lines) == 66
    assert lines[-1].startswith("ready after 4.1 s")


def more(lines):
    return next(int(line.split("and ")[1].split(" more")[0]) for line in lines if " more" in line)


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        (DNS, "its name is not known (DNS)"),
        ("api.example/posts answers 503", "answers 503"),
        ("127.0.0.1:8080/feed does not answer in time", "does not answer in time"),
        ("feed.xml is no address; write https://…", "feed.xml is no address; write https://…"),
        ("the token is refused: make a new one at https://forum.example/settings", None),
        ("", ""),
    ],
)
def test_a_reason_loses_only_the_address_it_begins_with(reason, short):
    assert brief(reason) == (reason if short is None else short)


def test_a_source_that_is_tried_at_one_server_after_the_other_is_told_of_once():
    console = Console(file=io.StringIO(), width=200)
    screen, view = PlainScreen(console), a_view(recent=deque())
    for server in ("one", "two", "three"):
        for source in view.sources.values():
            source["reason"] = DNS.replace("search", server)
        screen.update(view)
    said = console.file.getvalue()
    assert said.count("its name is not known") == 6
    view.sources["source-0"].update(state="listening", reason=None)
    screen.update(view)
    assert "source source-0 (hackernews) listening" in console.file.getvalue()
