"""What a role tells the supervisor that started it: JSON lines through an inherited pipe.

A role started by hand has no such pipe and tells nobody. The other way round, a role started by a supervisor ends
when the supervisor is gone: its standard input is a pipe that reaches its end when the parent dies, however it dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, Final

STATUS_FD: Final = "EARSHOT_STATUS_FD"  # file descriptor of the pipe
LAST_METRICS: Final = "EARSHOT_LAST_METRICS"  # file a role leaves its metrics in when it ends in order
SUPERVISED: Final = "EARSHOT_SUPERVISED"  # set: standard input is the supervisor's lifeline


class Status:
    """Writes status lines; does nothing when there is no supervisor. Safe to use from several threads."""

    def __init__(self) -> None:
        number = os.environ.get(STATUS_FD)
        self._fd = int(number) if number and number.isdigit() else None
        self._lock = threading.Lock()

    def tell(self, **facts: Any) -> None:
        """Send one line. A supervisor that is gone is not an error: the lifeline ends this process anyway."""
        if self._fd is None:
            return
        line = json.dumps(facts, default=str).encode() + b"\n"
        with self._lock:
            try:
                os.write(self._fd, line)
            except OSError:
                self._fd = None


def follow_parent() -> None:
    """End this process in order (SIGTERM) when the supervisor that started it has died."""
    if not os.environ.get(SUPERVISED):
        return

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
