"""A decision as a page for a person. Texts and terms come from strangers: everything is escaped."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pipeline.contract.events import Fired, JudgedMention, Outcome, Reason
from pipeline.core.routing.shipped import CANONICAL, shipped
from pipeline.runtime.lines import COLOURS, safe

_WIDTH = 24  # characters of a bar of 1.0


def explanation(judged: JudgedMention) -> RenderableType:
    """Return why a mention went where it went."""
    parts: list[RenderableType] = [_head(judged)]
    if judged.department_scores:
        parts.append(_shares(judged))
    if judged.decision.rules or judged.decision.model:
        parts.append(_reasons(judged))
    parts.append(_foot(judged))
    return Group(*parts)


def _head(judged: JudgedMention) -> str:
    feeling, decision = judged.sentiment, judged.decision
    text = safe(" — ".join(part for part in (judged.title, judged.text) if part), 400)
    colour = COLOURS[feeling.label]
    vader = "" if feeling.vader is None else f", VADER {feeling.vader:+.4f}"
    lines = [
        f"[italic]{escape(text)}[/]" if text else "[dim](no text)[/]",
        f"[bold]{escape(_where(judged))}[/]",
        f"feeling: [{colour}]{feeling.label.value}[/] {feeling.score:+.2f}{vader}, {feeling.confidence:.0%} sure{_asked(judged)}",
    ]
    if judged.intents:
        lines.append(f"intents: {escape(', '.join(judged.intents))}")
    if judged.language:
        by = f" (by {escape(decision.language_by)})" if decision.language_by else ""
        lines.append(f"language: {escape(judged.language)}{by}")
    for brand, terms in decision.matched.items():
        seen = f", seen in: {_terms(terms)}" if terms else ""
        own = judged.towards.get(brand)
        felt = f" — [{COLOURS[own.label]}]{own.label.value}[/] {own.score:+.2f}" if own else ""
        lines.append(f"about: {escape(brand)}{seen}{felt}")
    if judged.spam or decision.spam_reasons:
        why = f": {escape(safe(', '.join(decision.spam_reasons), 200))}" if decision.spam_reasons else ""
        lines.append(f"spam: {judged.spam:.2f}{why}")
    return "\n".join(lines)


def _asked(judged: JudgedMention) -> str:
    """Return whether the stronger model had its say."""
    return f", by {escape(safe(judged.decision.deep, 60))}" if judged.decision.deep else ""


def _where(judged: JudgedMention) -> str:
    priority = f", {judged.priority.value} priority"
    if judged.reason is Reason.SPAM:
        return "to review: it looks like spam; a person looks first" + priority
    if judged.reason is Reason.NOT_RELEVANT:
        return "to nobody: no brand's query matches it (not_relevant); about a brand, it would weigh as follows"
    if judged.outcome is Outcome.DISCARDED:
        return f"to nobody: {judged.reason.value if judged.reason else 'discarded'}"
    to = ", ".join(judged.departments)
    by, sure = judged.decision.by, f"{judged.decision.confidence:.0%}"
    if by.startswith("rule:"):
        return f"to {to}, because your route {by[5:]} says so{priority}"
    nearly = f"; nearly {judged.decision.nearly}" if judged.decision.nearly else ""
    if by == "review":
        return f"to review: no department has a share large enough (best {sure}){nearly}{priority}"
    return f"to {to}, {sure} sure{nearly}{priority}"


def _shares(judged: JudgedMention) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, share in sorted(judged.department_scores.items(), key=lambda pair: -pair[1]):
        table.add_row(escape(name), f"{share:.2f}", "█" * round(share * _WIDTH))
    return table


def _reasons(judged: JudgedMention) -> Table:
    """The rules and model terms that spoke, with what each adds before the sums become shares."""
    table = Table("what spoke", "for", "adds", "because of", "which means")
    means = {rule.name: rule.means for rule in shipped().rules}
    for fired in judged.decision.rules:
        meaning = means.get(fired.name, "a route of yours")
        table.add_row(f"rule {escape(fired.name)}", *_said(fired), _terms(fired.terms), f"[dim]{escape(meaning)}[/]")
    for fired in judged.decision.model:
        table.add_row(f"model: {escape(fired.name)}", *_said(fired), _terms(fired.terms), "")
    return table


def _said(fired: Fired) -> tuple[str, str]:
    if fired.department is None:
        return "", ""
    return escape(fired.department), f"{fired.weight:+.1f}" if fired.department in CANONICAL else ""


def _terms(terms: tuple[str, ...]) -> str:
    return escape(", ".join(safe(term, 40) for term in terms))


def _foot(judged: JudgedMention) -> str:
    judged_at = f", decided {judged.judged_at:%Y-%m-%d %H:%M:%S} UTC" if judged.judged_at else ""
    learned = f", learned {escape(safe(judged.decision.learned, 40))}" if judged.decision.learned else ""
    version = escape(judged.decision.version)
    return f"[dim]{escape(safe(judged.id, 120))}, rules and model {version}{learned}{judged_at}[/]"
