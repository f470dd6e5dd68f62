"""The broker that the processes of one test run share."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.broker.embedded import answers, running
from tests.kafka import shared

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.mark.parametrize("n", range(2))
def test_sees(n, kafka, record_property):
    record_property("bootstrap", kafka)
"""


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_it_is_shared_ends_after_the_last_and_starts_again_for_one_who_comes_late(tmp_path):
    with shared(tmp_path) as first, shared(tmp_path) as second:
        assert first == second
    until(lambda: not (tmp_path / "bootstrap").exists())
    with shared(tmp_path) as late:
        assert answers(late)
    until(lambda: running(tmp_path / "kafka") is None)


def test_workers_of_one_run_use_one_broker_which_ends_with_the_run(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "tests.kafka", "-p", "no:cacheprovider"]
    options = [f"--basetemp={tmp_path / 'base'}", f"--junitxml={report}", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command + options, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = re.findall(r'name="bootstrap" value="([^"]+)"', report.read_text())
    assert len(seen) == 2
    assert len(set(seen)) == 1
    until(lambda: not answers(seen[0]))
