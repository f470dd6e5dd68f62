"""Processes: whom a number means, and who watches over Java. No broker."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.broker import settings, watcher
from pipeline.broker.embedded import Running
from pipeline.broker.process import Process

WAITS = [sys.executable, "-c", "input()"]


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_a_process_is_known_by_its_number_and_its_start():
    ours = Process.of(os.getpid())
    assert ours.is_alive
    assert not replace(ours, started="another time").is_alive


def test_a_process_that_has_ended_is_not_alive_before_it_is_reaped():
    child = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    known = Process.of(child.pid)
    assert known.is_alive
    child.kill()
    until(lambda: not known.is_alive)
    assert Process.of(child.pid) is None
    child.communicate()


def test_a_stranger_with_the_number_of_a_broker_long_gone_is_left_alone():
    stranger = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    gone = replace(Process.of(stranger.pid), started="long ago")
    left = Running("127.0.0.1:1", gone, gone, gone)
    assert left.is_left_over
    left.end()
    assert stranger.poll() is None
    stranger.communicate(b"\n", timeout=10)
    assert stranger.returncode == 0, "it ended by itself, not by a signal"


def watched(tmp_path, code):
    with (tmp_path / "lock").open("wb") as lock, (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-IS", watcher.__file__, str(lock.fileno()), sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
            pass_fds=(lock.fileno(),),
        )
    return process, Process.of(int(process.stdout.readline()))


def test_what_java_says_cannot_stop_it(tmp_path):
    process, _ = watched(tmp_path, "print('x' * 1_000_000)")
    assert process.wait(20) == 0
    assert (tmp_path / "out").stat().st_size == 1_000_001
    process.communicate()


def test_the_watched_process_is_ended_in_order_when_the_pipe_ends(tmp_path):
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print('ready', flush=True); time.sleep(60)"
    process, child = watched(tmp_path, code)
    until((tmp_path / "out").read_bytes)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    assert child.is_alive, "signals to the watcher do not end the broker: the roles still need it"
    process.stdin.close()
    assert process.wait(20) == 7
    assert not child.is_alive
    process.stdout.close()


@given(st.binary(min_size=15, max_size=15))
def test_no_cluster_id_looks_like_an_option(rest):
    assert len(settings.new_cluster_id(b"\xf8" + rest)) == 22  # these bytes alone would make it begin with a dash
    assert not settings.new_cluster_id(b"\xf8" + rest).startswith("-")
