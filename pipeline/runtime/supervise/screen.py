"""The one screen of `earshot up`: addresses, sources with their state, mentions per department as they arrive.

On a terminal it is live (rich); elsewhere the same facts are plain lines, each printed once when it changes.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.contract.events import JudgedMention
from pipeline.runtime.lines import COLOURS, one_line, safe

STATE_COLOURS = {
    "listening": "green",
    "starting": "yellow",
    "waiting": "yellow",
    "unreachable": "red",
    "refused": "red",
    "failed": "red",
    "stopped": "bright_black",
}

WIDE = 96  # characters from which a row has room for more than name, state and reason
HIGH = 36  # lines from which there is room for frames around addresses and sources
_ADDRESS = re.compile(r"^[\w.:\[\]-]+/\S* (?:cannot be reached: )?")
_ONE_ROW_EACH: Any = {"no_wrap": True, "overflow": "ellipsis"}  # a wide letter must not make a second row


@dataclass
class View:
    """What the screen shows; the supervisor keeps it up to date."""

    addresses: dict[str, str] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> type, state, reason, mentions
    workers: dict[str, str] = field(default_factory=dict)  # name -> state
    departments: dict[str, int] = field(default_factory=dict)
    recent: deque[tuple[str, JudgedMention]] = field(default_factory=lambda: deque(maxlen=12))
    alerts: deque[str] = field(default_factory=lambda: deque(maxlen=4))
    note: str = "starting"
    is_ready: bool = False


class Screen(Protocol):
    """Either of the two below."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def update(self, view: View) -> None:
        """Show what has changed."""

    def say(self, line: str) -> None:
        """Print one line that stays."""


class LiveScreen:
    """For a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def update(self, view: View) -> None:
        """Draw the screen anew."""
        self._live.update(render(view, self._console.width, self._console.height))

    def say(self, line: str) -> None:
        """Print above the live part."""
        self._console.print(escape(line), highlight=False)


class PlainScreen:
    """For a pipe, a log or a service manager: each fact once, as a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}  # what was told of something, without what changes all the time
        self._counts: dict[str, int] = {}
        self._last: tuple[str, JudgedMention] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, view: View) -> None:
        """Print what is new since the last call."""
        for name, address in view.addresses.items():
            self._once(f"address {name}", f"{name:<14} {address}")
        for name, worker in view.workers.items():
            self._once(f"worker {name}", f"{name:<14} {worker}")
        for name, source in view.sources.items():
            reason = f": {safe(source['reason'], 160)}" if source.get("reason") else ""
            line = f"source {name} ({source['type']}) {source['state']}{reason}"
            # A source with several servers is tried at one after the other: the same reason is told once.
            self._once(f"source {name}", line, f"{source['state']} {brief(source.get('reason') or '')}")
        self._once("note", view.note)
        for alert in view.alerts:
            self._once(f"alert {alert}", alert)
        fresh = list(view.recent)
        if self._last is not None and self._last in fresh:
            fresh = fresh[fresh.index(self._last) + 1 :]
        for department, mention in fresh:
            self.say(one_line(mention, department, 140))
        if view.recent:
            self._last = view.recent[-1]

    def _once(self, key: str, line: str, fact: str | None = None) -> None:
        fact = line if fact is None else fact
        if self._said.get(key) != fact:
            self._said[key] = fact
            self.say(line)

    def say(self, line: str) -> None:
        """Print one line, as it is."""
        self._console.print(Text(line), soft_wrap=True, highlight=False)


def make(console: Console) -> Screen:
    """Return the screen that fits where the output goes."""
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


def brief(reason: str) -> str:
    """Return why a source is not heard without the address that it begins with: the row says which source it is."""
    return _ADDRESS.sub("", reason)


def render(view: View, width: int, height: int) -> Group:
    """Return the whole screen, as much as fits, what is wrong first. Texts come from strangers and are escaped."""
    is_high = height >= HIGH
    head = Table.grid(padding=(0, 2))
    for name, address in view.addresses.items():
        head.add_row(f"[bold]{escape(name)}[/]", escape(address))
    told = list(view.alerts)[-4 if is_high else -2 :]
    rows = len(view.addresses) + (2 if is_high else 0) + (len(told) + 2 if told else 0)
    rows += 6  # a frame, the counts, two lines at the foot and the cursor's
    most = max(3, height - rows - (6 if is_high else 2))
    sources = _sources(view, most, is_wide=width >= WIDE)
    rows += sources.row_count + (3 if is_high else 1)
    parts: list[RenderableType] = [head, sources]
    if is_high:
        colour = "green" if view.is_ready else "yellow"
        parts = [
            Panel(head, title="earshot", title_align="left", border_style=colour),
            Panel(sources, title="sources", title_align="left"),
        ]
    if told:
        alerts = Text("\n".join(safe(alert, width - 4) for alert in told), "red", **_ONE_ROW_EACH)
        parts.append(Panel(alerts, title="alerts", title_align="left"))
    counts = Text("   ", **_ONE_ROW_EACH).join(
        Text.assemble((name, "cyan"), f" {count:,}") for name, count in view.departments.items()
    )
    recent = Text("\n", **_ONE_ROW_EACH).join(
        Text(one_line(mention, department, width - 4), style=COLOURS[mention.sentiment.label])
        for department, mention in list(view.recent)[-max(1, height - rows) :]
    )
    parts.append(Panel(Group(counts, recent), title="departments", title_align="left"))
    workers = Text("  ".join(f"{name} {state}" for name, state in view.workers.items()), "dim", **_ONE_ROW_EACH)
    return Group(*parts, workers, Text(f"{view.note} · Ctrl-C stops", "dim", **_ONE_ROW_EACH))


def _sources(view: View, most: int, *, is_wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for column in ("source", *(("type",) if is_wide else ()), "mentions"):
        # Only the reason is shortened when there is not room for all.
        longest = max((len(str(source.get(column, name))) for name, source in view.sources.items()), default=0)
        width = max(len(column), min(24, longest))
        justify: Any = "right" if column == "mentions" else "left"
        table.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis", min_width=width)
    table.add_column("state", no_wrap=True, overflow="ellipsis")
    found = list(view.sources.items())
    if len(found) > most:
        found = sorted(found, key=lambda pair: pair[1]["state"] == "listening")[: most - 1]
    for name, source in found:
        colour = STATE_COLOURS.get(source["state"], "white")
        reason = f" [dim]{escape(safe(brief(source['reason']), 200))}[/]" if source.get("reason") else ""
        kind = (escape(source["type"]),) if is_wide else ()
        state = f"[{colour}]{escape(source['state'])}[/]{reason}"
        table.add_row(escape(name), *kind, f"{source.get('mentions', 0):,}", state)
    if left_out := len(view.sources) - len(found):
        table.add_row(f"and {left_out} more")
    return table
