"""Which process is meant. A number alone is not enough: systems give it to another process later."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its number and when it started, in the words of this system."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the process that has this number now, None when there is none or it has ended and waits to be reaped."""
        started = _started_linux(pid) if sys.platform == "linux" else _started_elsewhere(pid)
        return cls(pid, started) if started else None

    @property
    def is_alive(self) -> bool:
        """Whether it still runs. A stranger that got the same number does not count."""
        return Process.of(self.pid) == self

    def send(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended, whoever has its number now."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def _started_linux(pid: int) -> str | None:
    try:
        # The name in brackets may hold anything, brackets too: what follows the last one has no surprises.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(") ")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]  # proc(5): state, and start time in ticks since boot


def _started_elsewhere(pid: int) -> str | None:
    asked = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        env={"LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    state, _, started = asked.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()
