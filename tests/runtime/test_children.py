"""Child processes: status lines, restarts, the end with the parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.runtime.supervise.children import BACKOFF, Child, backoff, log_file

TALKS = """
import os, sys, time
os.write(int(os.environ["EARSHOT_STATUS_FD"]), b'{"http": "http://127.0.0.1:1", "n": 1}\\nnot json\\n{"n": 2}\\n')
time.sleep(60)
"""
FAILS = "import sys; print('earshot: the reason', file=sys.stderr); sys.exit(int(sys.argv[1]))"
FOLLOWS = """
import signal, sys, time
from pipeline.runtime.status import follow_parent
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
follow_parent()
print("up", flush=True)
time.sleep(60)
"""


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def make(tmp_path):
    made = []

    def child(code, *arguments, on_status=lambda *_: None):
        one = Child("triage", 0, [sys.executable, "-c", code, *arguments], tmp_path / "log" / "t.log", on_status)
        made.append(one)
        return one

    yield child
    for one in made:
        if one.process:
            one.process.kill()
            one.join(5)


def test_status_lines_arrive_and_garbage_is_passed_over(make):
    heard = []
    child = make(TALKS, on_status=lambda _, facts: heard.append(facts))
    child.start(0.0)
    until(lambda: len(heard) == 2)
    assert child.http == "http://127.0.0.1:1"
    assert [facts["n"] for facts in heard] == [1, 2]


def test_a_worker_that_ends_is_started_again_after_its_backoff(make):
    child = make(FAILS, "1")
    child.start(100.0)
    child.process.wait(20)
    assert child.check(101.0) == 1
    assert child.check(101.0 + BACKOFF[0] - 0.01) is None
    assert child.process is None
    assert child.check(101.0 + BACKOFF[0]) is None
    assert child.process is not None
    assert child.restarts == 1


@pytest.mark.parametrize("code", ["2", "4"])
def test_a_worker_that_a_restart_cannot_help_stays_down_and_says_why(make, code):
    child = make(FAILS, code)
    child.start(0.0)
    child.process.wait(20)
    assert child.check(1.0) == int(code)
    assert child.stopped == "the reason"
    assert child.check(1000.0) is None
    assert child.process is None


def test_the_backoff_grows_and_stops_growing():
    waits = [backoff(number) for number in range(20)]
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF[-1]


def test_a_worker_that_does_not_end_is_killed(make):
    child = make(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    child.start(0.0)
    until(lambda: b"deaf" in child.log.read_bytes())
    child.terminate()
    assert child.join(0.2) is False
    assert child.process is None


def test_a_role_ends_when_its_supervisor_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    log = tmp_path / "x.log"
    program = f"""
import sys, time, pathlib
from pipeline.runtime.supervise.children import Child
child = Child("x", 0, [sys.executable, "-c", {FOLLOWS!r}], pathlib.Path({str(log)!r}), lambda *_: None)
child.start(0.0)
pathlib.Path({str(pid_file)!r}).write_text(str(child.process.pid))
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    until(lambda: pid_file.exists() and log.exists() and b"up" in log.read_bytes())
    pid = int(pid_file.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)

    def gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        try:  # where there is /proc: a zombie only waits for whoever adopted it
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return False

    until(gone)


def test_a_log_that_grew_too_large_makes_way(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.runtime.supervise.children.MAX_LOG", 10)
    path = tmp_path / "a.log"
    path.write_text("x" * 11)
    assert log_file(path).read_text() == ""
    assert path.with_suffix(".old.log").read_text() == "x" * 11
