"""From symptoms to incidents: at most one of a kind a brand, opened once, resolved once, one fingerprint.

An incident opens when its symptoms stand over their threshold at two minutes, or far over it at once. Its severity
only rises. It is resolved when nothing has been near a threshold for `resolve_after`. What happened more than a day
before triage read it is held: recorded, and nobody is told.
"""

from __future__ import annotations

import hashlib
from typing import Final

from pipeline.config.model import AlertRules
from pipeline.contract.events import Alert, AlertStatus, Severity, Symptom
from pipeline.core.reputation import wording
from pipeline.core.reputation.state import Brand, Incident, Usual, total
from pipeline.core.reputation.symptoms import at, find, usual, window

DAMAGE: Final = "ReputationDamage"
PRAISE: Final = "PraiseSurge"
DROP: Final = "MentionsDrop"
NAMES: Final = (DAMAGE, PRAISE, DROP)
AT_ONCE: Final = 1.5  # so far over the threshold that no second look is needed
CALM_BELOW: Final = 0.8
RISES: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
UPDATE_EVERY: Final = 1  # minutes between two records of an open incident
LONG_AGO: Final = 1440  # minutes behind the clock at which nobody is to be told: the past is being read in


def fingerprint(brand: str, name: str, started: int) -> str:
    """Return the name of an incident: the same in all its records, for ever."""
    return hashlib.sha256(f"{brand}|{name}|{started}".encode()).hexdigest()[:16]


def kind_of(symptom: Symptom, state: Brand, length: int) -> str:
    """Return which incident a symptom is evidence of. A spike is praise when praise is what there is more of."""
    if symptom.kind == "drop":
        return DROP
    if symptom.kind == "spike":
        series = state.series.get(symptom.scope)
        counts = total(series, state.watermark - length + 1, state.watermark) if series else [0.0] * 5
        if counts[2] > 1.5 * counts[1] and counts[3] > 0:
            return PRAISE
    return DAMAGE


def severity_of(name: str, symptoms: list[Symptom]) -> Severity:
    """Return how bad it is: damage is critical when volume and feeling turn together, or one of them by far."""
    if name == PRAISE:
        return Severity.INFO
    if name == DROP:
        return Severity.WARNING
    over = [symptom for symptom in symptoms if symptom.score >= 1]
    kinds = {symptom.kind for symptom in over}
    far = any(symptom.score >= 2 and symptom.kind != "spike" for symptom in over)
    return Severity.CRITICAL if far or ("spike" in kinds and len(kinds) > 1) else Severity.WARNING


def evaluate(state: Brand, rules: AlertRules) -> list[Alert]:
    """Look at the windows as they stand at the watermark; change the incidents and return what is to be told."""
    length = window(rules)
    known: dict[str, Usual] = {}
    for incident in state.incidents.values():
        known.update(incident.usual)
    by_name: dict[str, list[Symptom]] = {name: [] for name in NAMES}
    for symptom in find(state, rules, known):
        by_name[kind_of(symptom, state, length)].append(symptom)
    burns = DAMAGE in state.incidents or any(symptom.score >= 1 for symptom in by_name[DAMAGE])
    if burns and PRAISE not in state.incidents:
        by_name[PRAISE] = []  # praise in the same storm is no incident of its own
    alerts: list[Alert] = []
    for name in NAMES:
        alert = _step(state, name, by_name[name], rules, length)
        if alert is not None:
            alerts.append(alert)
    state.judged = state.watermark
    return alerts


def _step(state: Brand, name: str, symptoms: list[Symptom], rules: AlertRules, length: int) -> Alert | None:
    over = [symptom for symptom in symptoms if symptom.score >= 1]
    incident = state.incidents.get(name)
    if incident is None:
        return _open(state, name, over, rules, length)
    last = state.hot[-1] if state.hot else None
    if last is not None and last[0] <= incident.started:
        state.hot[-1] = (last[0], max(last[1], state.watermark))
    if any(symptom.score >= CALM_BELOW for symptom in symptoms):
        incident.calm_since = None
        return _update(state, incident, over, length)
    if incident.calm_since is None:
        incident.calm_since = state.watermark
    if (state.watermark - incident.calm_since) * 60 < rules.resolve_after:
        return None
    del state.incidents[name]
    incident.sequence += 1
    return _alert(state, incident, AlertStatus.RESOLVED, [], length)


def _open(state: Brand, name: str, over: list[Symptom], rules: AlertRules, length: int) -> Alert | None:
    if not over:
        state.pending.pop(name, None)
        return None
    suspected = state.pending.setdefault(name, state.watermark)
    if suspected == state.watermark and max(symptom.score for symptom in over) < AT_ONCE:
        return None
    del state.pending[name]
    usuals = {scope: usual(state, scope, rules, suspected - length) for scope in state.series}
    incident = Incident(
        name=name,
        fingerprint=fingerprint(state.brand, name, suspected),
        severity=severity_of(name, over),
        started=suspected,
        sequence=0,
        updated=state.watermark,
        usual={scope: normal for scope, normal in usuals.items() if normal is not None},
        symptoms={f"{symptom.kind} {symptom.scope}": symptom.score for symptom in over},
        is_held=state.behind > LONG_AGO,
    )
    state.incidents[name] = incident
    state.hot.append((suspected - length, state.watermark))
    return _alert(state, incident, AlertStatus.FIRING, over, length)


def _update(state: Brand, incident: Incident, over: list[Symptom], length: int) -> Alert | None:
    """Tell what is materially new: a higher severity, a symptom that was not there."""
    severity = severity_of(incident.name, over)
    rises = RISES[severity] > RISES[Severity(incident.severity)]
    fresh = [symptom for symptom in over if f"{symptom.kind} {symptom.scope}" not in incident.symptoms]
    has_come_near = incident.is_held and state.behind <= LONG_AGO  # the past has been caught up with, it still burns
    if not (rises or fresh or has_come_near) or state.watermark - incident.updated < UPDATE_EVERY:
        return None
    for symptom in over:
        key = f"{symptom.kind} {symptom.scope}"
        incident.symptoms[key] = max(incident.symptoms.get(key, 0.0), symptom.score)
    if rises:
        incident.severity = severity
    if has_come_near:
        incident.is_held = False
    incident.sequence += 1
    incident.updated = state.watermark
    return _alert(state, incident, AlertStatus.FIRING, over, length)


def _alert(state: Brand, incident: Incident, status: AlertStatus, symptoms: list[Symptom], length: int) -> Alert:
    is_over = status is AlertStatus.RESOLVED
    minutes = state.watermark - incident.started
    description = (
        f"{state.brand}: back to usual after {minutes} minutes."
        if is_over
        else wording.describe(state, symptoms, incident.started, length)
    )
    return Alert(
        fingerprint=incident.fingerprint,
        name=incident.name,
        brand=state.brand,
        status=status,
        severity=Severity(incident.severity),
        started_at=at(incident.started),
        updated_at=at(state.watermark),
        sequence=incident.sequence,
        summary=wording.SUMMARIES[incident.name],
        description=description,
        symptoms=tuple(symptoms),
        top=() if is_over else wording.top(state, length),
        terms=() if is_over else wording.terms(state, length),
        sources={} if is_over else wording.sources(state, length),
        resolved_at=at(state.watermark) if is_over else None,
        runbook_url=f"deploy/runbook.md#{incident.name.lower()}",
        held=incident.is_held,
    )
