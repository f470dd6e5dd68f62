"""`earshot bench core --check`: what has become slower is seen, and what has not passes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pipeline.bench import core
from pipeline.cli.main import main

SMALL = ["bench", "core", "--mentions", "60", "--rounds", "1"]


def test_beyond_a_quarter_more_is_slower():
    committed = {"judge": 1.0, "whole": 2.0}
    assert core.slower({"judge": 1.24, "whole": 2.49}, committed) == {}
    assert core.slower({"judge": 1.3, "whole": 2.0}, committed) == {"judge": 1.3}


def test_every_committed_part_is_measured():
    assert core.expected().keys() <= core.measure(60, 1)["ratio_to_vaderSentiment"].keys()


@pytest.mark.parametrize(("committed", "code"), [(1e-6, 1), (1e6, 0)])
def test_a_check_fails_when_a_part_is_slower_than_committed(monkeypatch, committed, code):
    monkeypatch.setattr(core, "MOST_ROUNDS", 2)
    monkeypatch.setattr(core, "expected", lambda: {"judge": committed})
    ran = CliRunner().invoke(main, [*SMALL, "--check"])
    assert ran.exit_code == code, ran.output
    assert ("expected.json" in ran.stderr) is bool(code)
    assert json.loads(ran.stdout)["slower"].keys() == ({"judge"} if code else set())
