"""`earshot bench`: what has become slower is seen, what has not passes, and what was measured is drawn."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from pipeline.bench import core
from pipeline.bench.plot import Panel, curves
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


def test_curves_are_drawn_where_they_were_measured():
    flat, steep = {10: 20.0, 100: 20.0, 1000: 20.0}, {10: 1.0, 100: 10.0, 1000: 100.0}
    drawn = curves(
        [Panel("of <brands>", "brands", {"flat": flat, "steep & long": steep}), Panel("two", "x", {"y": flat})]
    )
    root = ET.fromstring(drawn)
    first, second = (group for group in root.findall("{*}g") if "transform" in group.attrib)
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in first.findall("{*}circle")]
    assert len(dots) == 6
    assert len(list(second.findall("{*}circle"))) == 3
    assert dots[0][1] == dots[1][1] == dots[2][1], "what does not grow is level"
    assert [x for x, _ in dots[:3]] == [x for x, _ in dots[3:]]
    assert dots[3][1] - dots[4][1] == pytest.approx(dots[4][1] - dots[5][1], abs=0.2), "what grows with x is straight"
    assert {"of <brands>", "steep & long"} <= {text.text for text in first.findall("{*}text")}


def test_curves_of_one_point_are_a_picture_too():
    ET.fromstring(curves([Panel("one", "x", {"y": {1: 1.0}})]))
