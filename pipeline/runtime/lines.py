"""Mentions as lines for a person at a terminal. Texts are from strangers: control characters never reach the terminal."""

from __future__ import annotations

import re
import textwrap
from typing import Final

from rich.markup import escape

from pipeline.contract.events import JudgedMention, Label, Priority

# C0 and C1 controls (terminal escape sequences begin with them) and the marks that turn writing direction around.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACE: Final = re.compile(r"\s+")

COLOURS: Final = {Label.NEGATIVE: "red", Label.NEUTRAL: "bright_black", Label.POSITIVE: "green"}
SIGNS: Final = {Label.NEGATIVE: "-", Label.NEUTRAL: "·", Label.POSITIVE: "+"}


def safe(text: str, width: int | None = None) -> str:
    """Return the text on one line without anything a terminal would act on, cut to `width` characters."""
    line = _SPACE.sub(" ", _UNSAFE.sub("", text)).strip()
    return line if width is None or len(line) <= width else line[: max(1, width - 1)] + "…"


def one_line(mention: JudgedMention, department: str, width: int = 100) -> str:
    """Return one plain line: time, department, feeling, source, text."""
    at = mention.created_at.strftime("%H:%M:%S")
    flag = "!" if mention.priority is Priority.HIGH else " "
    head = f"{at} {flag} {department:<10} {SIGNS[mention.sentiment.label]} {mention.source:<12} "
    return head + safe(mention.text or mention.title or "", max(20, width - len(head)))


def marked_up(mention: JudgedMention, department: str, width: int = 100) -> str:
    """Return several lines with rich markup: who, what, why. Everything from outside is escaped."""
    author = mention.author
    who = safe((author.handle or author.name or author.id or "") if author else "", 40)
    reach = f", {author.followers:,} followers" if author and author.followers else ""
    stars = f" ★ {mention.rating.value:g}/{mention.rating.best:g}" if mention.rating else ""
    colour = COLOURS[mention.sentiment.label]
    flag = " [bold red]high[/]" if mention.priority is Priority.HIGH else ""
    rules = ", ".join(rule.name for rule in mention.decision.rules[:4])
    body = safe(" — ".join(part for part in (mention.title, mention.text) if part), 600)
    lines = [
        f"[bold]{mention.created_at:%Y-%m-%d %H:%M:%S}[/] [cyan]{escape(department)}[/] {escape(mention.source)} "
        f"[{colour}]{mention.sentiment.label.value} {mention.sentiment.score:+.2f}[/]{stars}{flag}"
        + (f"  [dim]{escape(who)}{reach}[/]" if who else ""),
        *(f"  {escape(line)}" for line in textwrap.wrap(body, max(30, width - 2)) or [""]),
        f"  [dim]why: {escape(mention.decision.by)}{f' ({escape(rules)})' if rules else ''}"
        + (f"; intents: {escape(', '.join(mention.intents))}" if mention.intents else "")
        + (f"  {escape(safe(mention.url, 120))}" if mention.url else "")
        + "[/]",
    ]
    return "\n".join(lines)
