"""Alerts for tests of what is told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.contract.events import Alert, AlertStatus, Label, Severity, Symptom, Top
from pipeline.core.notifying.values import Notification, Occasion, key_of

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
HOSTILE = "<!channel> @everyone [x](http://evil.example) `rm` *b* \u202egnp.exe\x1b[31m\nRunbook: http://evil.example"


def an_alert(sequence=0, status=AlertStatus.FIRING, fingerprint="0123456789abcdef", **changes) -> Alert:
    at = NOW + timedelta(minutes=sequence)
    facts = {
        "fingerprint": fingerprint,
        "name": "ReputationDamage",
        "brand": "acme",
        "status": status,
        "severity": Severity.WARNING,
        "started_at": NOW - timedelta(minutes=20),
        "updated_at": at,
        "sequence": sequence,
        "summary": "Much more negative talk about the brand than usual.",
        "description": "acme, since 2026-03-04 09:40 UTC.\n12.0 mentions a minute overall, usually 1.0 (12.0 times as many).",
        "resolved_at": at if status is AlertStatus.RESOLVED else None,
        "runbook_url": "deploy/runbook.md#reputationdamage",
    }
    return Alert(**{**facts, **changes})


def resolved(sequence=1, fingerprint="0123456789abcdef", **changes) -> Alert:
    return an_alert(sequence, AlertStatus.RESOLVED, fingerprint, **changes)


EXAMPLES = {
    "as reputation writes it": an_alert(
        symptoms=(
            Symptom(
                kind="spike", scope="brand", value=12.0, baseline=1.0, score=2.5, since=NOW - timedelta(minutes=20)
            ),
            Symptom(kind="negative_share", scope="source:rss", value=0.7, baseline=0.2, score=1.5, since=NOW),
        ),
        top=(
            Top(id="hn:1", reach=120_000, label=Label.NEGATIVE, url="https://news.example/item?id=1"),
            Top(id="hn:2", reach=5, label=Label.NEUTRAL),
        ),
        terms=("outage", "login"),
        sources={"hackernews": 30, "rss": 4},
        dashboard_url="https://grafana.example/d/reputation?var-brand=acme",
    ),
    "with nothing but what must be there": an_alert(summary="", description="", runbook_url=None),
    "resolved": resolved(description="acme: back to usual after 35 minutes."),
    "with hostile words": an_alert(
        brand="acme",
        summary=HOSTILE,
        description=HOSTILE,
        terms=(HOSTILE, "@here", "<@U024BE7LH>"),
        sources={HOSTILE: 3},
        top=(Top(id=HOSTILE, url="javascript:alert(1)"), Top(id="x:1", url="https://a.example/@bob/<b>|x>")),
        runbook_url="javascript:alert(1)",
        dashboard_url="https://user:secret@grafana.example/",
    ),
    "far too long": an_alert(
        summary="s" * 5_000,
        description="ä line of words\n" * 3_000,
        terms=tuple(f"term{number}" * 30 for number in range(300)),
        sources={f"source-{number}": number for number in range(300)},
        top=tuple(Top(id=f"x:{n}", reach=n, url="https://a.example/" + "p" * n * 20) for n in range(100)),
        symptoms=tuple(
            Symptom(kind="spike", scope=f"source:{n}", value=n, baseline=1, score=2, since=NOW) for n in range(100)
        ),
    ),
    "info, in other scripts": an_alert(
        name="PraiseSurge", severity=Severity.INFO, summary="すごい 👏🏽", description="مرحبا", terms=("素晴らしい",)
    ),
    "of a simulated future": an_alert(started_at=NOW + timedelta(days=3), updated_at=NOW + timedelta(days=3)),
}


def a_notification(alert=None, occasion=None, receiver="pager", opened_as=None) -> Notification:
    alert = alert or an_alert()
    usual = Occasion.RESOLVED if alert.status is AlertStatus.RESOLVED else Occasion.FIRING
    occasion = occasion or usual
    return Notification(key_of(alert, occasion, receiver), receiver, occasion, alert, opened_as or alert.severity)
