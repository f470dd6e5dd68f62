"""The one screen of `earshot up`: addresses, sources with their state, mentions per department as they arrive.

On a terminal it is live (rich); elsewhere the same facts are plain lines, each printed once when it changes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from rich.console import Console, Group
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
        self._live.update(render(view, self._console.width))

    def say(self, line: str) -> None:
        """Print above the live part."""
        self._console.print(escape(line), highlight=False)


class PlainScreen:
    """For a pipe, a log or a service manager: each fact once, as a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}
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
            self._once(f"source {name}", f"source {name} ({source['type']}) {source['state']}{reason}")
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

    def _once(self, key: str, line: str) -> None:
        if self._said.get(key) != line:
            self._said[key] = line
            self.say(line)

    def say(self, line: str) -> None:
        """Print one line, as it is."""
        self._console.print(Text(line), soft_wrap=True, highlight=False)


def make(console: Console) -> Screen:
    """Return the screen that fits where the output goes."""
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


def render(view: View, width: int) -> Group:
    """Return the whole screen. Texts come from strangers and are escaped."""
    head = Table.grid(padding=(0, 2))
    for name, address in view.addresses.items():
        head.add_row(f"[bold]{escape(name)}[/]", escape(address))
    sources = Table(box=None, padding=(0, 1), header_style="dim")
    for column in ("source", "type", "state", "mentions"):
        sources.add_column(column, justify="right" if column == "mentions" else "left")
    for name, source in view.sources.items():
        colour = STATE_COLOURS.get(source["state"], "white")
        reason = f" [dim]{escape(safe(source['reason'], max(20, width - 60)))}[/]" if source.get("reason") else ""
        state = f"[{colour}]{escape(source['state'])}[/]{reason}"
        sources.add_row(escape(name), escape(source["type"]), state, f"{source.get('mentions', 0):,}")
    counts = Table.grid(padding=(0, 3))
    counts.add_row(*(f"[cyan]{escape(name)}[/] {count:,}" for name, count in view.departments.items()))
    workers = "  ".join(f"{escape(name)} [dim]{escape(state)}[/]" for name, state in view.workers.items())
    recent = Text("\n").join(
        Text(one_line(mention, department, width - 4), style=COLOURS[mention.sentiment.label])
        for department, mention in view.recent
    )
    parts = [
        Panel(head, title="earshot", title_align="left", border_style="green" if view.is_ready else "yellow"),
        Panel(sources, title="sources", title_align="left"),
        Panel(Group(counts, recent), title="departments", title_align="left"),
    ]
    if view.alerts:
        alerts = Text("\n".join(safe(alert, width - 4) for alert in view.alerts), style="red")
        parts.append(Panel(alerts, title="alerts", title_align="left"))
    return Group(*parts, f"[dim]{workers}[/]", f"[dim]{escape(view.note)} · Ctrl-C stops[/]")
