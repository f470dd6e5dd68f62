"""Signals and the deadline behind them: a role ends, whatever it is in the middle of."""

import os
import signal
import subprocess
import sys
import threading
import time

from pipeline.runtime.roles import obey, on_signal
from tests.running import ROOT, until


def test_a_signal_sets_stop_while_the_main_thread_is_in_a_call_that_does_not_return():
    code = (
        "import ctypes, os, threading; from pipeline.runtime.roles import obey\n"
        "stop = threading.Event()\n"
        "threading.Thread(target=lambda: (stop.wait(), os.write(1, b'stop')), daemon=True).start()\n"
        "with obey(stop, lambda: os.write(1, b' metrics'), timeout=0.3):\n"
        "    os.write(1, b'here ')\n"
        "    ctypes.CDLL(None).pause()\n"  # interrupted by the signal, and asked again
        "    ctypes.CDLL(None).sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.read(5) == b"here "
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[0]
    assert said.startswith(b"stop")
    assert said.endswith(b" metrics")
    assert process.returncode == 1


def test_who_ends_in_time_is_left_alone_and_everything_is_as_before():
    handler, ended, stop = signal.getsignal(signal.SIGTERM), [], threading.Event()
    with obey(stop, lambda: ended.append("words"), timeout=0.2, end=ended.append):
        os.kill(os.getpid(), signal.SIGTERM)
        until(stop.is_set, 10, "the signal does not arrive")
    time.sleep(0.4)  # the deadline passes, and nothing happens
    assert ended == []
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.set_wakeup_fd(-1) == -1


def test_last_words_that_fail_do_not_keep_it_from_ending():
    ended, stop = [], threading.Event()
    with obey(stop, lambda: 1 / 0, timeout=0.05, end=ended.append):
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: ended, 10, "it does not end")
    assert ended == [1]


def test_a_signal_is_taken_while_the_main_thread_holds_the_lock_of_the_event_it_waits_on():
    stop = threading.Event()
    with on_signal(stop.set):
        with stop._cond:  # as within `stop.wait()`, for a moment at every turn
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)  # a handler in this thread would wait for the lock for ever
        assert stop.wait(10)


def test_what_is_asked_twice_is_done_once():
    asked = []
    with on_signal(lambda: asked.append(1)):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        until(lambda: asked, 10, "the signal does not arrive")
    assert asked == [1]
