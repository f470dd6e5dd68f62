"""An alert in words for people, harmless to show anywhere.

Words in an alert may come from anybody: terms and addresses are taken from mentions. So nothing of them is markup to a
receiver, addresses somebody in a chat room (`@channel`, `<!here>`), turns the direction of writing, or ends a line.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

from pipeline.contract.events import Alert, AlertStatus, Top
from pipeline.core.notifying.values import Notification, Occasion

MAX_LINES: Final = 60
MAX_TOP: Final = 5
MAX_TERMS: Final = 10
MAX_SOURCES: Final = 10
CUT: Final = "…"

_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_TABLE: Final = str.maketrans({"<": "‹", ">": "›", "`": "'", "*": "∗", "[": "(", "]": ")", "|": "¦", "\\": "/"})
_CALLS: Final = re.compile(r"@(?=\w)")
_PATH: Final = re.compile(r"[\w./#-]{1,300}")
_URL_SAFE: Final = ":/?#!$&'()+,;=%~-._"


def plain(text: str, limit: int = 20_000) -> str:
    """Return a text from elsewhere as text and nothing else, of at most `limit` characters."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", " "))
    return cut(_CALLS.sub("＠", text.translate(_TABLE)), limit)


def one_line(text: str, limit: int = 200) -> str:
    """Return a text from elsewhere as one line of at most `limit` characters."""
    return cut(" ".join(plain(text, 4 * limit).split()), limit)


def address(url: str | None, limit: int = 500) -> str | None:
    """Return a web address with everything escaped that a receiver might read as markup; None for anything else."""
    if not url or len(url) > limit:
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            return None
        return quote(_CONTROL.sub("", url), safe=_URL_SAFE)
    except ValueError:
        return None


def link(url: str | None) -> str | None:
    """Return a web address, or a path in the repository as it is; None for anything else."""
    return address(url) or (url if url and _PATH.fullmatch(url) else None)


def cut(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, with a sign where it was cut."""
    return text if len(text) <= limit else text[: max(0, limit - 1)] + CUT


def cut_bytes(text: str, limit: int) -> str:
    """Return a text of at most `limit` bytes in UTF-8, cut between characters, with a sign where it was cut."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    return raw[: max(0, limit - len(CUT.encode()))].decode(errors="ignore") + CUT


_OPENINGS: Final = {
    Occasion.FIRING: "Firing",
    Occasion.UPDATED: "Worse",
    Occasion.REPEATED: "Still firing",
    Occasion.RESOLVED: "Resolved",
}


def title(notification: Notification) -> str:
    """Return one line that says what it is about: `Firing: ReputationDamage, acme (critical)`."""
    alert = notification.alert
    opening = _OPENINGS[notification.occasion]
    return f"{opening}: {one_line(alert.name, 80)}, {one_line(alert.brand, 80)} ({alert.severity.value})"


def body(notification: Notification) -> str:
    """Return what happened: figures against the baseline, sources, words, top mentions, since when, and what to do."""
    alert = notification.alert
    lines = [one_line(alert.summary, 500), *plain(alert.description, 4000).splitlines()]
    said = "\n".join(lines)
    if alert.status is AlertStatus.RESOLVED:
        lines.append(_lasted(alert))
    else:
        if moment(alert.started_at) not in said:
            lines.append(f"Since {moment(alert.started_at)} UTC.")
        lines += _what_is_missing(alert, said)
        lines += _tops(alert.top)
    lines += links(alert)
    return "\n".join(line for line in lines[:MAX_LINES] if line)


def _what_is_missing(alert: Alert, said: str) -> list[str]:
    """Return figures, sources and words, where the description does not give them itself."""
    lines = []
    if alert.symptoms and not any(f"{symptom.baseline:.1f}" in said or "usually" in said for symptom in alert.symptoms):
        lines += [
            f"{one_line(one.kind)} {one_line(one.scope)}: {one.value:.2f}, usually {one.baseline:.2f}."
            for one in alert.symptoms[:6]
        ]
    sources = [(one_line(name, 60), count) for name, count in alert.sources.items()]
    if sources and sources[0][0] not in said:
        lines.append("By source: " + ", ".join(f"{name} {count}" for name, count in sources[:MAX_SOURCES]) + ".")
    terms = [one_line(term, 40) for term in alert.terms]
    if terms and terms[0] not in said:
        lines.append(f"Often said: {', '.join(terms[:MAX_TERMS])}.")
    return lines


def _tops(top: tuple[Top, ...]) -> list[str]:
    lines = [
        f"{number}. {one.label.value}, reach {one.reach:,}: {address(one.url) or one_line(one.id)}"
        for number, one in enumerate(top[:MAX_TOP], 1)
    ]
    return ["Mentions that reach furthest:", *lines] if lines else []


def _lasted(alert: Alert) -> str:
    until = alert.resolved_at or alert.updated_at
    minutes = max(0, round((until - alert.started_at).total_seconds() / 60))
    return f"From {moment(alert.started_at)} to {moment(until)} UTC, {minutes} minutes."


def links(alert: Alert) -> list[str]:
    """Return the lines with the runbook and the dashboard; a path in the repository is shown as it is."""
    lines = []
    for name, url in (("Dashboard", alert.dashboard_url), ("Runbook", alert.runbook_url)):
        if shown := link(url):
            lines.append(f"{name}: {shown}")
    return lines


def moment(at: datetime) -> str:
    """Return an instant as people read it."""
    return f"{at:%Y-%m-%d %H:%M}"
