"""Fail points: off unless named, and each does what it says."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline.contract.errors import ConfigError
from pipeline.contract.failpoints import NAMES, POINTS, Points, read
from tests.running import until


def test_without_the_variable_there_are_none():
    assert POINTS is None
    assert read("") is None
    assert read(" , ") is None


def test_a_point_is_reached_as_often_as_it_says():
    ended, chances = [], iter([0.0, 0.19, 0.2, 0.9])
    points = Points(read("triage.before_commit=kill@0.2").on, lambda: next(chances), lambda: ended.append(1))
    for _ in range(4):
        points.reach("triage.before_commit")
    points.reach("triage.after_commit")  # not named: chance is not even asked
    assert len(ended) == 2
    assert points.reached == ["triage.before_commit"] * 2


@pytest.mark.parametrize(
    "wrong", ["triage", "triage.nowhere=kill", "triage.before_commit=stop", "triage.before_commit=kill@2"]
)
def test_what_is_no_point_is_refused_with_the_names(wrong):
    with pytest.raises(ConfigError, match=NAMES[0]):
        read(wrong)


def process(points):
    code = (
        "import sys; from pipeline.contract.failpoints import POINTS; POINTS.reach('triage.before_commit'); print('on')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "EARSHOT_FAILPOINTS": points}, stdout=subprocess.PIPE
    )


def test_kill_ends_the_process_at_once():
    killed = process("triage.before_commit=kill")
    assert killed.communicate(timeout=30) == (b"", None)
    assert killed.returncode == -signal.SIGKILL


def test_a_pause_stops_the_process_and_lets_it_go_on():
    paused = process("triage.before_commit=pause:1")

    def stopped():
        found = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(paused.pid)], capture_output=True, text=True, check=False
        )
        return found.stdout.startswith("T")

    until(stopped, 30, "the process does not stop")
    assert paused.communicate(timeout=30) == (b"on\n", None)
