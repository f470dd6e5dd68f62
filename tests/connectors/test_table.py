"""The table of sources: made from the connectors, and never out of date."""

from __future__ import annotations

import pytest

from connectors import registry, table
from connectors.base import Facts, PollingConnector, PushConnector, StreamingConnector
from pipeline.contract.errors import ConfigError


def test_the_table_in_the_readme_is_what_the_connectors_say(capsys):
    assert table.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", [*registry.shipped(), "template"])
def test_every_connector_declares_its_facts_in_a_few_words(name):
    facts = registry.find(name).facts
    assert isinstance(facts, Facts)
    for words in (facts.auth, facts.cursor, facts.changes, facts.tested):
        assert 0 < len(words) < 60
        assert "\n" not in words


def test_a_new_connector_gets_its_line_by_itself(monkeypatch, tmp_path, capsys):
    class Forum(PollingConnector):
        name = "my-forum"
        facts = Facts(auth="a|b", cursor="id", changes="both", tested="nothing")

    monkeypatch.setattr(registry, "shipped", lambda: ["my-forum"])
    monkeypatch.setattr(registry, "find", lambda _: Forum)
    page = tmp_path / "README.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    monkeypatch.setattr(table, "FILE", page)
    assert table.main(["--check"]) == 1
    assert "run python -m connectors.table" in capsys.readouterr().err
    assert table.main([]) == 0
    assert table.main(["--check"]) == 0
    assert "| [my-forum](my_forum/README.md) | a/b | pull | no | id | both | not run | nothing |" in page.read_text()
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("\nafter\n")


def test_what_is_missing_is_said(monkeypatch, tmp_path, capsys):
    class Bare(StreamingConnector):
        name = "bare"

    with pytest.raises(ConfigError, match="bare declares no facts"):
        table.row(Bare)
    (tmp_path / "README.md").write_text("no place")
    monkeypatch.setattr(table, "FILE", tmp_path / "README.md")
    assert table.main([]) == 1
    assert "has no place for the table" in capsys.readouterr().err


def test_who_begins_is_seen_from_the_form():
    class Both(PushConnector, PollingConnector):
        pass

    assert [table.form_of(kind) for kind in (PollingConnector, StreamingConnector, PushConnector, Both)] == [
        "pull",
        "stream",
        "push",
        "push and pull",
    ]


def test_how_many_tests_a_source_has_passed_is_kept_until_they_are_run_again(monkeypatch, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"{table.BEGIN}\n{table.END}")
    monkeypatch.setattr(table, "FILE", page)
    monkeypatch.setattr(table, "run_contract", lambda: dict.fromkeys(registry.shipped(), "31"))
    assert table.main([]) == 0
    assert set(table.passed_in(page.read_text()).values()) == {table.NOT_RUN}
    assert table.main(["--contract"]) == 0
    assert table.main([]) == 0
    assert table.passed_in(page.read_text()) == dict.fromkeys(registry.shipped(), "31")


@pytest.mark.parametrize(
    ("test", "source"),
    [
        ("test_it[x]", "x"),
        ("test_it[x-stream]", "x-stream"),
        ("test_it[500-hackernews]", "hackernews"),
        ("test_it[x-webhook-a body]", "x-webhook"),
        ("test_it", ""),
        ("test_it[template]", ""),
    ],
)
def test_a_tests_name_says_which_source_it_is_about(test, source):
    assert table.source_of(test) == source
