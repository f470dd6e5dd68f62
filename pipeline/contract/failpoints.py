"""Named points at which a test lets a worker die or stand still: the steps between which a crash must do no harm.

EARSHOT_FAILPOINTS=triage.before_commit=kill@0.02,triage.after_commit=pause:9@0.01

`kill` ends the process at once, as `kill -9` does; `pause:SECONDS` stops it as SIGSTOP does and lets it go on later. The
share behind `@` is how often, 1 where none is given. Without the variable `POINTS` is None, and a point is one
comparison a batch: `if POINTS: POINTS.reach("triage.before_commit")`.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pipeline.contract.errors import ConfigError

VARIABLE: Final = "EARSHOT_FAILPOINTS"
NAMES: Final = tuple(
    f"{role}.{step}"
    for role, steps in (
        ("connectors", ("before_send", "after_send", "before_commit", "after_commit")),
        ("triage", ("before_produce", "after_produce", "before_offsets", "before_commit", "after_commit")),
        ("reputation", ("before_fold", "before_produce", "after_produce", "before_commit", "after_commit")),
        ("learning", ("before_commit", "after_commit")),
        ("notify", ("before_tell", "after_tell", "before_commit", "after_commit")),
    )
    for step in steps
)
_FORM: Final = re.compile(r"([a-z_.]+)=(kill|pause:(\d+(?:\.\d+)?))(?:@(0?\.\d+|1(?:\.0+)?))?")


@dataclass(frozen=True, slots=True)
class Point:
    """What happens at one point: a pause of so many seconds, or death where there is none."""

    pause: float | None
    share: float


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pause(seconds: float) -> None:
    """Stop this process; another one, which has nothing of ours, lets it go on."""
    subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass
class Points:
    """The points that are on."""

    on: dict[str, Point]
    chance: Callable[[], float] = random.random
    kill: Callable[[], None] = _kill
    pause: Callable[[float], None] = _pause
    reached: list[str] = field(default_factory=list)

    def reach(self, name: str) -> None:
        """Do what is to be done at this point, now and then."""
        point = self.on.get(name)
        if point is None or self.chance() >= point.share:
            return
        self.reached.append(name)
        os.write(2, f"fail point {name}: {'kill' if point.pause is None else 'pause'}\n".encode())
        if point.pause is None:
            self.kill()
        else:
            self.pause(point.pause)


def read(text: str) -> Points | None:
    """Return the points that a text names, None where it names none. Raises ConfigError."""
    on = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _FORM.fullmatch(part)
        if found is None or found[1] not in NAMES:
            raise ConfigError(
                f"{VARIABLE}: {part!r} is no fail point: write NAME=kill@0.1 or NAME=pause:9@0.1 with a NAME of "
                f"{', '.join(NAMES)}"
            )
        on[found[1]] = Point(None if found[3] is None else float(found[3]), float(found[4] or 1.0))
    return Points(on) if on else None


POINTS: Final = read(os.environ.get(VARIABLE, ""))
