"""`earshot parse`: recorded answers to mentions, without network or broker."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from connectors import registry
from tests.cli.running import COMMAND, ROOT, environment, inside
from tests.connectors import kit

PAGE = ROOT / "connectors/hackernews/example/page.json"


def lines(done) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", [kind.name for kind in kit.all_kinds(extra=())])
def test_the_example_of_every_source_becomes_mentions_a_line_each(name):
    page = kit.example(registry.find(name), "page")
    done = inside("parse", "--source", name, str(page))
    assert done.returncode == 0, done.stderr.decode()
    found = lines(done)
    assert found
    assert {mention["source"] for mention in found} <= set(registry.find(name).sources or (name,))
    assert all(mention["id"] == f"{mention['source']}:{mention['native_id']}" for mention in found)
    assert done.stderr == b""


def test_standard_input_is_an_answer_too():
    by_name = inside("parse", "--source", "hackernews", str(PAGE))
    by_input = inside("parse", "--source", "hackernews", given=PAGE.read_bytes())
    by_dash = inside("parse", "--source", "hackernews", "-", given=PAGE.read_bytes())
    without = [{key: value for key, value in one.items() if key != "collected_at"} for one in lines(by_name)]
    assert len(without) == 3
    for done in (by_input, by_dash):
        assert [{key: value for key, value in one.items() if key != "collected_at"} for one in lines(done)] == without


def test_a_bad_file_is_reported_and_the_others_are_still_read(tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"<html>busy</html>")
    done = inside("parse", "--source", "hackernews", str(bad), str(tmp_path / "absent.json"), str(tmp_path), str(PAGE))
    said = done.stderr.decode()
    assert done.returncode == 1
    assert len(lines(done)) == 3
    assert f"earshot: {bad}: not an answer of this source" in said
    assert "absent.json: cannot be read: No such file or directory" in said
    assert "cannot be read: Is a directory" in said
    assert "Traceback" not in said


def test_an_answer_with_nothing_in_it_gives_no_lines_and_is_no_error(tmp_path):
    empty = kit.example(registry.find("hackernews"), "empty")
    done = inside("parse", "--source", "hackernews", str(empty))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_unknown_source_is_answered_with_those_there_are():
    done = inside("parse", "--source", "nope", str(PAGE))
    assert done.returncode == 2
    assert "there is no source 'nope'; there are: " in done.stderr.decode()
    for name in registry.names():
        assert name in done.stderr.decode()


def test_a_name_with_or_without_its_hyphens_is_the_same(monkeypatch):
    monkeypatch.setattr(registry, "names", lambda: ["hackernews"])
    assert registry.find("hacker-news").name == "hackernews"


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    rows = json.loads(PAGE.read_text())["hits"]
    many = tmp_path / "many.json"
    many.write_text(json.dumps([{**rows[0], "objectID": str(number)} for number in range(5000)]))
    done = subprocess.run(
        [*COMMAND, "parse", "--source", "hackernews", str(many)],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=60,
    )
    os.close(writing)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.shared
def test_recorded_answers_of_the_platforms_never_end_in_an_error_of_ours(shared):
    for name in ("hackernews", "rss"):
        files = [str(path) for path in sorted((shared / "api" / name).rglob("*")) if path.is_file()]
        done = inside("parse", "--source", name, *files)
        said = done.stderr.decode()
        assert "Traceback" not in said
        assert "defect of the connector" not in said
        assert len(lines(done)) > 5
