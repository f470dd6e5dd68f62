"""JSON Lines in and out, for commands that judge files: bad lines are told, counted and end nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from pipeline.contract.events import Reason


class Lines:
    """JSON Lines from files; counts and reports those that are wrong. `bad_line` gets their value, None where none is."""

    def __init__(self, bad_line: Callable[[Any, Reason], None] | None = None) -> None:
        self.bad = 0
        self._name = ""
        self._bad_line = bad_line

    def of(self, files: Iterable[Path]) -> Iterator[tuple[int, Any]]:
        """Yield line number and value of every line with JSON in it; empty lines are passed over."""
        from pipeline.contract.codec import json_line
        from pipeline.contract.errors import InvalidMessageError

        for file in files:
            self._name = "standard input" if str(file) == "-" else str(file)
            with click.open_file(str(file), "rb") as stream:
                for number, line in enumerate(stream, 1):
                    if not line.strip():
                        continue
                    try:
                        row = json_line(line)
                    except InvalidMessageError as error:
                        self._report(number, None, str(error), error.reason)
                        continue
                    yield number, row

    def attempt(self, number: int, row: Any, act: Callable[[], bytes | None]) -> bytes | None:
        """Return what `act` returns; report the line when it is wrong, and None."""
        from pipeline.contract.errors import InvalidMessageError
        from pipeline.contract.events import Reason

        try:
            return act()
        except InvalidMessageError as error:
            self._report(number, row, str(error), error.reason)
        except ValueError as error:
            self._report(number, row, str(error), Reason.INVALID)
        return None

    def _report(self, number: int, row: Any, said: str, reason: Reason) -> None:
        from pipeline.runtime.lines import safe

        self.bad += 1
        click.echo(f"earshot: {self._name}, line {number}: {safe(said, 300)}", err=True)
        if self._bad_line is not None:
            self._bad_line(row, reason)


class Output:
    """Lines to standard output, quickly; a reader that goes away (`| head`) ends the program quietly."""

    def __init__(self) -> None:
        self._to = sys.stdout.buffer
        self._is_watched = sys.stdout.isatty()

    def __enter__(self) -> Self:
        return self

    def write(self, line: bytes) -> None:
        """Write one line."""
        try:
            self._to.write(line)
            if self._is_watched:
                self._to.flush()
        except BrokenPipeError:
            self._leave()

    def __exit__(self, *_: object) -> None:
        try:
            self._to.flush()
        except BrokenPipeError:
            self._leave()

    @staticmethod
    def _leave() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        sys.exit(141)  # as a program ended by SIGPIPE
