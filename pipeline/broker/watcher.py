"""Owns the Java process of embedded Kafka and ends it when earshot is gone, however earshot ended.

Started as `python -IS watcher.py LOCK_FD COMMAND…`. Its standard input is a pipe that only its starter
holds: when that reaches its end, the starter has stopped or died, and Kafka is stopped in order. Should the watcher
itself be killed, Linux ends Java with it (PR_SET_PDEATHSIG); elsewhere the lock, which Java inherits, shows the next
start that a broker was left over. Imports nothing of ours, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

STOP_TIMEOUT = 20.0  # seconds Kafka has to flush and close its files
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _die_with_parent() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run the command until standard input ends or it ends by itself; return its exit code."""
    lock, command = int(sys.argv[1]), sys.argv[2:]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Only the end of the pipe ends us. A handler, not SIG_IGN: Java would inherit that and be deaf to SIGTERM.
        signal.signal(number, lambda *_: None)
    java = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,  # our output is a pipe of which one line is read; Java would fill it and stand still
        pass_fds=(lock,),
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - single-threaded here
        restore_signals=True,
    )
    os.write(1, f"{java.pid}\n".encode())

    def wait_for_the_end() -> None:
        while os.read(0, 4096):
            pass
        java.send_signal(signal.SIGTERM)
        try:
            java.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            java.kill()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    return java.wait()


if __name__ == "__main__":
    sys.exit(main())
