"""`earshot config`: what is right, every mistake, and the schema."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pipeline.cli.main import main
from tests.config.test_load import WHOLE


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EARSHOT_CONFIG", raising=False)

    def run(*arguments, text=None):
        if text is not None:
            (tmp_path / "earshot.yaml").write_text(text)
        return CliRunner().invoke(main, ["config", *arguments])

    return run


def test_check_says_what_is_there(run):
    result = run("check", text=WHOLE)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "earshot.yaml is right",
        "  brands: acme",
        "  sources: none: import and webhook only",
        "  sources off: hn",
        "  departments: service, support, apps, review",
        "  campaigns: summer",
        "  notifiers: desk (console)",
        "  routes: 3, before the shipped rules; 5 examples tried",
    ]


def test_check_without_a_file_is_about_the_smallest_one(run):
    result = run("check")
    assert result.exit_code == 0
    assert "the smallest valid configuration" in result.stdout


def test_check_reports_every_mistake_on_standard_error(run):
    result = run("check", text="version: 1\nbrand: {}\ntriage: {batch: 0}\n")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "earshot.yaml:2:1: brand: there is no such setting — did you mean brands?",
        "earshot.yaml:3:17: triage.batch: is out of bounds — write at least 1",
        "2 mistakes",
    ]


def test_check_of_a_file_that_is_not_there_says_so(run):
    result = run("check", "--config", "absent.yaml")
    assert result.exit_code == 2
    assert "absent.yaml: cannot be read" in result.stderr


def test_check_knows_the_settings_of_connectors(run):
    result = run("check", text="version: 1\nsources:\n  a: {type: nonsense}\n  b: {type: rss, nonsense: 1}\n")
    assert result.exit_code == 2
    assert "3:13: sources.a.type: there is no source 'nonsense'" in result.stderr
    assert "sources.b.nonsense: there is no such setting" in result.stderr


def test_schema_prints_the_json_schema(run):
    result = run("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "earshot.yaml"
